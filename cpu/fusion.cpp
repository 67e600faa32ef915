#include "cpu/fusion.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "cpu/ops/attention_matmul.hpp"
#include "cpu/ops/gated_matmul.hpp"

namespace ingot::internal::cpu {
namespace {

class Finder {
 public:
  explicit Finder(const BuildContext& context)
      : context_(context), program_(context.program), readers_(program_.values.size()) {
    // The logits are read by the caller as well.
    ++readers_[static_cast<std::size_t>(program_.logits.index)];
    for (const Instruction& instruction : program_.instructions) {
      for (const ValueId id : operands(instruction).reads) {
        ++readers_[static_cast<std::size_t>(id.index)];
      }
    }
  }

  // What runs as one from instruction `first` on.
  std::optional<Fusion> find(std::size_t first) const {
    if (auto fusion = find_attention(first)) return fusion;
    const BeforeMatMul before = find_before(first);
    const std::size_t at = first + before.instructions();
    if (auto gated = find_gated(before, at)) {
      Fusion fusion{first, {}};
      fusion.parts.push_back({std::move(gated->gated), static_cast<int>(at) + 1});
      fusion.parts.push_back({std::move(gated->next), static_cast<int>(at) + 2});
      return fusion;
    }
    if (!before.norm) return std::nullopt;
    Fusion fusion{first, {}};
    fusion.parts.push_back(
        {build_behind(before, *op<ops::MatMul>(at), context_), static_cast<int>(at)});
    return fusion;
  }

 private:
  template <class Op>
  const Op* op(std::size_t i) const {
    return i < program_.instructions.size() ? std::get_if<Op>(&program_.instructions[i]) : nullptr;
  }

  bool has_one_reader(ValueId id) const {
    return readers_[static_cast<std::size_t>(id.index)] == 1;
  }

  // The first instruction from `i` on that does not prepare or store keys and values.
  std::size_t behind_keys(std::size_t i) const {
    while (op<ops::Norm>(i) != nullptr || op<ops::Rope>(i) != nullptr ||
           op<ops::StateStore>(i) != nullptr) {
      ++i;
    }
    return i;
  }

  // Rope of the queries, what stands between, Attention and MatMul, or all but the first or last.
  std::optional<Fusion> find_attention(std::size_t first) const {
    const auto* rope = op<ops::Rope>(first);
    const std::size_t at = rope == nullptr ? first : behind_keys(first + 1);
    const auto* attention = op<ops::Attention>(at);
    if (attention == nullptr) return std::nullopt;
    if (rope != nullptr && (!takes_rope(*attention, *rope, context_) || !has_one_reader(rope->in) ||
                            !has_one_reader(rope->out))) {
      return std::nullopt;
    }
    const auto* next = op<ops::MatMul>(at + 1);
    if (next != nullptr &&
        (!takes_next(*attention, *next, context_) || !has_one_reader(attention->out))) {
      next = nullptr;
    }
    if (rope == nullptr && next == nullptr) return std::nullopt;
    Fusion fusion{first, {}};
    AttentionMatMul parts = build_around({rope, next}, *attention, context_);
    Kernels kernels;
    const auto append = [&](const Kernels& more) {
      kernels.insert(kernels.end(), more.begin(), more.end());
    };
    for (std::size_t i = first + 1; i < at; ++i) {
      append(std::get<Kernels>(build(program_.instructions[i], context_)));
    }
    append(parts.attention);
    fusion.parts.push_back({std::move(kernels), static_cast<int>(at)});
    if (next != nullptr) {
      fusion.parts.push_back({std::move(parts.next), static_cast<int>(at) + 1});
    }
    return fusion;
  }

  // Add, Norm and MatMul, or the last two, as far as the MatMul can take them over.
  BeforeMatMul find_before(std::size_t first) const {
    const auto* add = op<ops::Add>(first);
    const std::size_t at = add == nullptr ? first : first + 1;
    const auto* norm = op<ops::Norm>(at);
    const auto* product = op<ops::MatMul>(at + 1);
    if (norm == nullptr || product == nullptr || product->in != norm->out) return {};
    if (add != nullptr && norm->in != add->out) return {};
    if (!has_one_reader(norm->out) || !takes_prepared(*product, context_)) return {};
    return {add == nullptr ? std::nullopt : std::optional(*add), *norm};
  }

  // MatMul of gate and up, Glu, MatMul.
  std::optional<GatedMatMul> find_gated(const BeforeMatMul& before, std::size_t at) const {
    const auto* first = op<ops::MatMul>(at);
    const auto* glu = op<ops::Glu>(at + 1);
    const auto* next = op<ops::MatMul>(at + 2);
    if (first == nullptr || glu == nullptr || next == nullptr) return std::nullopt;
    const auto writes = [&](ValueId id) {
      return std::any_of(first->parts.begin(), first->parts.end(),
                         [id](const ops::MatMul::Part& part) { return part.out == id; });
    };
    if (!writes(glu->gate) || !writes(glu->up) || next->in != glu->out) return std::nullopt;
    for (const ValueId id : {glu->gate, glu->up, glu->out}) {
      if (!has_one_reader(id)) return std::nullopt;
    }
    if (program_.value(glu->gate).columns != program_.value(glu->out).columns) return std::nullopt;
    return build_gated(before, *first, *glu, *next, context_);
  }

  const BuildContext& context_;
  const Program& program_;
  std::vector<int> readers_;
};

}  // namespace

std::vector<Fusion> find_fusions(const BuildContext& context) {
  const Finder finder(context);
  std::vector<Fusion> out;
  std::size_t i = 0;
  while (i < context.program.instructions.size()) {
    auto fusion = finder.find(i);
    if (!fusion) {
      ++i;
      continue;
    }
    i = static_cast<std::size_t>(fusion->parts.back().index) + 1;
    out.push_back(std::move(*fusion));
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

}  // namespace ingot::internal::cpu
