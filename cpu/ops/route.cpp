#include "src/ops/route.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cpu/ops/build.hpp"

namespace ingot::internal::cpu {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

float as_key(float x) {
  return std::isnan(x) ? kNever : x;
}

// Inserts index `i` into the `count` best of those before it; a key as good as an earlier one comes
// after it. `best` has room for `most`.
std::int64_t insert(const float* keys, std::int64_t i, std::int32_t* best, std::int64_t count,
                    std::int64_t most) {
  if (count == most && !(keys[i] > keys[best[count - 1]])) return count;
  std::int64_t at = count < most ? count++ : count - 1;
  for (; at > 0 && keys[i] > keys[best[at - 1]]; --at) best[at] = best[at - 1];
  best[at] = static_cast<std::int32_t>(i);
  return count;
}

// The `most` largest of `size` keys (no NaN), best first; the lower index first among equals.
void largest(const float* keys, std::int64_t size, std::int32_t* best, std::int64_t most) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < size; ++i) count = insert(keys, i, best, count, most);
}

// The experts and weights of each token. A task is a token.
class ChooseKernel final : public Kernel {
 public:
  ChooseKernel(const ops::Route& op, const BuildContext& context)
      : op_(op),
        tokens_(context.program.value(op.logits).rows),
        experts_(context.program.value(op.logits).columns),
        bias_(op.selection_bias ? context.vector(*op.selection_bias) : nullptr) {}

  WorkSpace work_space(const StepLimits&) const override {
    const std::int64_t floats = 2 * experts_ + 2 * op_.group_count + op_.used;
    return {0, static_cast<std::uint64_t>(floats) * sizeof(float)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return step.input.rows(tokens_);
  }

  void run(const StepContext& step, float* space, std::int64_t task) const noexcept override {
    const float* logits = step.value(op_.logits) + task * experts_;
    float* experts = step.value(op_.out.experts) + task * op_.used;
    float* weights = step.value(op_.out.weights) + task * op_.used;
    float* keys = space;
    auto* best = reinterpret_cast<std::int32_t*>(space + experts_);
    // What the choice compares: the logits themselves where nothing is added to their
    // probabilities, as these order alike and can collapse to equal numbers.
    const bool by_probability = op_.selection_bias.has_value() || op_.group_count > 1;
    double most = 0;
    const double total = denominator(logits, most);
    for (std::int64_t e = 0; e < experts_; ++e) {
      float key = logits[e];
      if (by_probability) key = static_cast<float>(gate(key, most) / total);
      if (bias_ != nullptr) key += bias_[e];
      keys[e] = key;
    }
    if (op_.group_count > 1) keep_best_groups(keys, space + 2 * experts_ + op_.used);
    for (std::int64_t e = 0; e < experts_; ++e) keys[e] = as_key(keys[e]);
    largest(keys, experts_, best, op_.used);
    std::sort(best, best + op_.used);
    double sum = 0;
    for (std::int64_t i = 0; i < op_.used; ++i) sum += gate(logits[best[i]], most);
    const double divisor = op_.normalise ? sum : total;
    for (std::int64_t i = 0; i < op_.used; ++i) {
      experts[i] = static_cast<float>(best[i]);
      weights[i] = static_cast<float>(gate(logits[best[i]], most) / divisor * op_.scale);
    }
  }

 private:
  // Exponentials are double: a few per token, and the weights scale everything that follows.
  double gate(float logit, double most) const {
    if (op_.gate == ops::Gate::softmax) return std::exp(static_cast<double>(logit) - most);
    return 1.0 / (1.0 + std::exp(-static_cast<double>(logit)));
  }

  // What gate() is divided by to give a probability; `most` becomes what it subtracts.
  double denominator(const float* logits, double& most) const {
    if (op_.gate != ops::Gate::softmax) return 1.0;
    most = static_cast<double>(*std::max_element(logits, logits + experts_));
    double sum = 0;
    for (std::int64_t e = 0; e < experts_; ++e) sum += gate(logits[e], most);
    return sum;
  }

  // Keys of experts outside of the best groups become -infinity, keys inside stay above it. `space`
  // holds 2 x group_count.
  void keep_best_groups(float* keys, float* space) const {
    const std::int64_t size = experts_ / op_.group_count;
    float* groups = space;
    auto* best = reinterpret_cast<std::int32_t*>(space + op_.group_count);
    for (std::int64_t g = 0; g < op_.group_count; ++g) {
      float first = kNever;
      float second = kNever;
      for (std::int64_t e = g * size; e < (g + 1) * size; ++e) {
        const float key = as_key(keys[e]);
        second = std::max(second, std::min(first, key));
        first = std::max(first, key);
      }
      groups[g] = as_key(size == 1 ? first : first + second);
    }
    largest(groups, op_.group_count, best, op_.groups_used);
    for (std::int64_t g = 0; g < op_.group_count; ++g) {
      const bool is_best = std::find(best, best + op_.groups_used, g) != best + op_.groups_used;
      for (std::int64_t e = g * size; e < (g + 1) * size; ++e) {
        constexpr float kLowest = std::numeric_limits<float>::lowest();
        keys[e] = !is_best ? kNever : keys[e] > kLowest ? keys[e] : kLowest;
      }
    }
  }

  ops::Route op_;
  Rows tokens_;
  std::int64_t experts_;
  const float* bias_;
};

// Sorts the assignments by expert, counting. One task: some thousand integers.
class GroupKernel final : public Kernel {
 public:
  GroupKernel(const ops::Route& op, const BuildContext& context)
      : op_(op),
        tokens_(context.program.value(op.logits).rows),
        experts_(context.program.value(op.logits).columns) {}

  WorkSpace work_space(const StepLimits&) const override {
    return {0, static_cast<std::uint64_t>(experts_) * sizeof(std::int32_t)};
  }

  std::int64_t task_count(const StepContext&) const noexcept override { return 1; }

  void run(const StepContext& step, float* space, std::int64_t) const noexcept override {
    const std::int64_t tokens = step.input.rows(tokens_);
    const float* experts = step.value(op_.out.experts);
    float* offsets = step.value(op_.out.offsets);
    auto* next = reinterpret_cast<std::int32_t*>(space);
    std::fill(next, next + experts_, 0);
    for (std::int64_t a = 0; a < tokens * op_.used; ++a)
      ++next[ops::safe_index(experts[a], experts_)];
    std::int32_t place = 0;
    for (std::int64_t e = 0; e < experts_; ++e) {
      offsets[e] = static_cast<float>(place);
      place += std::exchange(next[e], place);
    }
    offsets[experts_] = static_cast<float>(place);
    for (std::int64_t a = 0; a < tokens * op_.used; ++a) {
      const std::int32_t at = next[ops::safe_index(experts[a], experts_)]++;
      step.value(op_.out.places)[a] = static_cast<float>(at);
      step.value(op_.out.tokens)[at] = static_cast<float>(a / op_.used);
    }
  }

 private:
  ops::Route op_;
  Rows tokens_;
  std::int64_t experts_;
};

}  // namespace

Built build(const ops::Route& op, const BuildContext& context) {
  Kernels kernels;
  kernels.push_back(std::make_unique<const ChooseKernel>(op, context));
  kernels.push_back(std::make_unique<const GroupKernel>(op, context));
  return kernels;
}

}  // namespace ingot::internal::cpu
