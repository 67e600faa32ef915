#include "ingot/cost.hpp"

#include <algorithm>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/session/loaded.hpp"

namespace ingot {

using namespace internal;

namespace {

void add_once(std::vector<DType>& types, DType type) {
  if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
}

std::vector<DType> formats(const Operands& used, const Program& program, const CacheTypes& cache) {
  std::vector<DType> found;
  for (const WeightOperand& weight : used.weights) {
    const Tensor& tensor = program.tensor(weight.tensor);
    if (tensor.rows > 1) add_once(found, tensor.type);
  }
  if (found.empty()) {
    for (const WeightOperand& weight : used.weights) {
      add_once(found, program.tensor(weight.tensor).type);
    }
  }
  if (!used.reads_states.empty() || !used.writes_states.empty()) {
    add_once(found, cache.key);
    add_once(found, cache.value);
  }
  return found;
}

std::string name(const Operands& used, const Program& program) {
  if (!used.writes.empty()) return program.value(used.writes.front()).name;
  if (!used.writes_states.empty()) return program.state(used.writes_states.front()).name;
  return {};
}

}  // namespace

std::vector<InstructionCost> step_cost(const Executable& executable,
                                       const StepOutline& outline) try {
  const Executable::Impl& loaded = executable.internals();
  StepShape shape;
  shape.outputs = outline.outputs;
  shape.key_type = loaded.plan().cache.key;
  shape.value_type = loaded.plan().cache.value;
  for (const StepOutline::Sequence& sequence : outline.sequences) {
    if (sequence.rows < 0 || sequence.cached < 0) {
      fail(ErrorCode::invalid_argument, "a step outline has ", sequence.rows, " rows after ",
           sequence.cached, " positions; neither can be negative");
    }
    shape.sequences.push_back({sequence.rows, sequence.cached});
  }
  if (outline.outputs < 0 || outline.outputs > shape.tokens()) {
    fail(ErrorCode::invalid_argument, "a step outline asks for the logits of ", outline.outputs,
         " of ", shape.tokens(), " rows");
  }
  const Program& program = loaded.program();
  std::vector<InstructionCost> costs;
  costs.reserve(program.instructions.size());
  for (const Instruction& instruction : program.instructions) {
    const Operands used = operands(instruction);
    const Cost cost = ingot::cost(instruction, program, shape);
    costs.push_back({name(used, program), std::string(name_of(instruction)),
                     formats(used, program, loaded.plan().cache), cost.flops, cost.weight_bytes,
                     cost.state_bytes, cost.value_bytes});
  }
  return costs;
} catch (...) {
  detail::rethrow_at_border("step_cost");
}

}  // namespace ingot
