#include "cpu/fusion.hpp"

#include <algorithm>

#include "cpu/ops/gated_matmul.hpp"

namespace ingot::cpu {
namespace {

// How many instructions read each value; the logits are read by the caller as well.
std::vector<int> count_readers(const Program& program) {
  std::vector<int> readers(program.values.size());
  ++readers[static_cast<std::size_t>(program.logits.index)];
  for (const Instruction& instruction : program.instructions) {
    for (const ValueId id : operands(instruction).reads) {
      ++readers[static_cast<std::size_t>(id.index)];
    }
  }
  return readers;
}

}  // namespace

std::vector<Fusion> find_fusions(const BuildContext& context) {
  const Program& program = context.program;
  const std::vector<int> readers = count_readers(program);
  const auto has_one_reader = [&](ValueId id) {
    return readers[static_cast<std::size_t>(id.index)] == 1;
  };
  const auto at = [&](std::size_t i) { return &program.instructions[i]; };
  std::vector<Fusion> out;
  for (std::size_t i = 0; i + 2 < program.instructions.size(); ++i) {
    const auto* first = std::get_if<ops::MatMul>(at(i));
    const auto* glu = std::get_if<ops::Glu>(at(i + 1));
    const auto* next = std::get_if<ops::MatMul>(at(i + 2));
    if (first == nullptr || glu == nullptr || next == nullptr) continue;
    const auto writes = [&](ValueId id) {
      return std::any_of(first->parts.begin(), first->parts.end(),
                         [id](const ops::MatMul::Part& part) { return part.out == id; });
    };
    if (!writes(glu->gate) || !writes(glu->up) || next->in != glu->out) continue;
    if (!has_one_reader(glu->gate) || !has_one_reader(glu->up) || !has_one_reader(glu->out)) {
      continue;
    }
    if (program.value(glu->gate).columns != program.value(glu->out).columns) continue;
    auto gated = build_gated(*first, *glu, *next, context);
    if (!gated) continue;
    const int index = static_cast<int>(i);
    Fusion fusion{i, {}};
    fusion.parts.push_back({std::move(gated->gated), index + 1});
    fusion.parts.push_back({std::move(gated->next), index + 2});
    out.push_back(std::move(fusion));
    i += 2;
  }
  return out;
}

std::vector<Range> fused_groups(const std::vector<CompiledInstruction>& parts) {
  std::vector<Range> out;
  std::int64_t begin = 0;
  for (const CompiledInstruction& part : parts) {
    const std::int64_t end = part.index + 1;
    if (end - begin > 1) out.push_back({begin, end});
    begin = end;
  }
  return out;
}

}  // namespace ingot::cpu
