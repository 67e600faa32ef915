#include "src/program/program.hpp"

#include <algorithm>

#include "ingot/error.hpp"

namespace ingot::internal {
namespace {

// Names the instruction in every message of a check.
class Checker {
 public:
  explicit Checker(const Program& program) : program_(program) {}

  void run() {
    std::vector<bool> assigned(program_.values.size(), false);
    for (index_ = 0; index_ < program_.instructions.size(); ++index_) {
      const Instruction& instruction = program_.instructions[index_];
      const Operands used = operands(instruction);
      check_ranges(used);
      for (const ValueId id : used.reads) {
        require(assigned[static_cast<std::size_t>(id.index)], "reads ", program_.value(id).name,
                " before it is written");
      }
      for (const ValueId id : used.writes) {
        require(!assigned[static_cast<std::size_t>(id.index)], "writes ", program_.value(id).name,
                " a second time");
        assigned[static_cast<std::size_t>(id.index)] = true;
      }
      std::visit([this](const auto& op) { check(op, program_); }, instruction);
    }
    require_written(assigned, program_.logits, "logits");
    if (program_.hidden.index >= 0) require_written(assigned, program_.hidden, "hidden rows");
  }

 private:
  template <class... Parts>
  void require(bool holds, const Parts&... parts) const {
    if (holds) return;
    fail(ErrorCode::internal, "program of ", program_.architecture, ", instruction ", index_, " (",
         name_of(program_.instructions[index_]), ") ", parts...);
  }

  void require_written(const std::vector<bool>& assigned, ValueId id, std::string_view what) const {
    if (id.index >= 0 && static_cast<std::size_t>(id.index) < assigned.size() &&
        assigned[static_cast<std::size_t>(id.index)]) {
      return;
    }
    fail(ErrorCode::internal, "program of ", program_.architecture, ": the ", what,
         " are never written");
  }

  template <class Id, class Table>
  void require_id(Id id, const Table& table, std::string_view what) const {
    require(id.index >= 0 && static_cast<std::size_t>(id.index) < table.size(), "names ", what, " ",
            id.index, ", which does not exist");
  }

  static bool inside(const Range& range, std::int64_t size) {
    return range.begin >= 0 && range.begin < range.end && range.end <= size;
  }

  void check_ranges(const Operands& used) const {
    for (const ValueId id : used.reads) require_id(id, program_.values, "value");
    for (const ValueId id : used.writes) require_id(id, program_.values, "value");
    for (const auto* values : {&used.reads, &used.writes}) {
      for (const ValueId id : *values) {
        const Value& value = program_.value(id);
        const bool is_index = value.type == ValueType::i32;
        const auto found = std::find(used.indices.begin(), used.indices.end(), id);
        require(is_index == (found != used.indices.end()), "takes ", value.name, ", which holds ",
                is_index ? "indices, for numbers" : "numbers, for indices");
      }
    }
    for (const StateId id : used.reads_states) require_id(id, program_.states, "state");
    for (const StateId id : used.writes_states) require_id(id, program_.states, "state");
    for (const auto* states : {&used.reads_states, &used.writes_states}) {
      for (const StateId id : *states) {
        const std::int32_t group = program_.state(id).group;
        require(group >= 0 && static_cast<std::size_t>(group) < program_.state_groups.size(),
                "uses a state of group ", group, ", which does not exist");
      }
    }
    for (const WeightOperand& weight : used.weights) {
      require_id(weight.tensor, program_.tensors, "tensor");
      const Tensor& tensor = program_.tensor(weight.tensor);
      require(inside(weight.rows, tensor.rows) && inside(weight.columns, tensor.columns) &&
                  inside(weight.experts, tensor.experts),
              "uses a part outside of ", tensor.name);
      require(weight.columns.begin % block_size(tensor.type) == 0 &&
                  weight.columns.end % block_size(tensor.type) == 0,
              "cuts ", tensor.name, " inside a block");
    }
  }

  const Program& program_;
  std::size_t index_ = 0;
};

}  // namespace

std::string_view name_of(const Instruction& instruction) {
  return std::visit([](const auto& op) { return std::decay_t<decltype(op)>::kName; }, instruction);
}

Operands operands(const Instruction& instruction) {
  return std::visit([](const auto& op) { return operands(op); }, instruction);
}

void check(const Program& program) {
  Checker(program).run();
}

}  // namespace ingot::internal
