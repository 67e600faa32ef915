#include "src/ops/route.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cpu/ops/build.hpp"

namespace ingot::internal::cpu {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

double as_key(double x) {
  return std::isnan(x) ? kNever : x;
}

// Inserts index `i` into the `count` best of those before it; a key as good as an earlier one comes
// after it. `best` has room for `most`.
std::int64_t insert(const double* keys, std::int64_t i, std::int32_t* best, std::int64_t count,
                    std::int64_t most) {
  if (count == most && !(keys[i] > keys[best[count - 1]])) return count;
  std::int64_t at = count < most ? count++ : count - 1;
  for (; at > 0 && keys[i] > keys[best[at - 1]]; --at) best[at] = best[at - 1];
  best[at] = static_cast<std::int32_t>(i);
  return count;
}

// The `most` largest of `size` keys (no NaN), best first; the lower index first among equals.
void largest(const double* keys, std::int64_t size, std::int32_t* best, std::int64_t most) {
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
    const std::int64_t keys = experts_ + op_.group_count;
    const std::int64_t indices = op_.used + op_.groups_used;
    return {0, static_cast<std::uint64_t>(keys) * sizeof(double) +
                   static_cast<std::uint64_t>(indices) * sizeof(std::int32_t)};
  }

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return step.input.rows(tokens_);
  }

  void run(const StepContext& step, float* space, std::int64_t task) const noexcept override {
    const float* logits = step.value(op_.logits) + task * experts_;
    std::int32_t* experts = step.indices(op_.out.experts) + task * op_.used;
    float* weights = step.value(op_.out.weights) + task * op_.used;
    auto* keys = reinterpret_cast<double*>(space);
    double* groups = keys + experts_;
    auto* best = reinterpret_cast<std::int32_t*>(groups + op_.group_count);
    // What the choice compares: the logits themselves where nothing is added to their
    // probabilities, as these order alike and can collapse to equal numbers. Double, as the
    // exponentials are: sigmoids of 17 and more are one number in f32.
    const bool by_probability = op_.selection_bias.has_value() || op_.group_count > 1;
    double most = 0;
    const double total = denominator(logits, most);
    for (std::int64_t e = 0; e < experts_; ++e) {
      double key = static_cast<double>(logits[e]);
      if (by_probability) key = gate(logits[e], most) / total;
      if (bias_ != nullptr) key += static_cast<double>(bias_[e]);
      keys[e] = key;
    }
    if (op_.group_count > 1) keep_best_groups(keys, groups, best + op_.used);
    for (std::int64_t e = 0; e < experts_; ++e) keys[e] = as_key(keys[e]);
    largest(keys, experts_, best, op_.used);
    std::sort(best, best + op_.used);
    double sum = 0;
    for (std::int64_t i = 0; i < op_.used; ++i) sum += gate(logits[best[i]], most);
    const double divisor = op_.normalise ? sum : total;
    for (std::int64_t i = 0; i < op_.used; ++i) {
      experts[i] = best[i];
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

  // Keys of experts outside of the best groups become -infinity, keys inside stay above it.
  // `groups` and `best` have room for the groups and for those used.
  void keep_best_groups(double* keys, double* groups, std::int32_t* best) const {
    const std::int64_t size = experts_ / op_.group_count;
    for (std::int64_t g = 0; g < op_.group_count; ++g) {
      double first = kNever;
      double second = kNever;
      for (std::int64_t e = g * size; e < (g + 1) * size; ++e) {
        const double key = as_key(keys[e]);
        second = std::max(second, std::min(first, key));
        first = std::max(first, key);
      }
      groups[g] = as_key(size == 1 ? first : first + second);
    }
    largest(groups, op_.group_count, best, op_.groups_used);
    for (std::int64_t g = 0; g < op_.group_count; ++g) {
      const bool is_best = std::find(best, best + op_.groups_used, g) != best + op_.groups_used;
      for (std::int64_t e = g * size; e < (g + 1) * size; ++e) {
        constexpr double kLowest = std::numeric_limits<double>::lowest();
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
    const std::int32_t* experts = step.indices(op_.out.experts);
    std::int32_t* offsets = step.indices(op_.out.offsets);
    auto* next = reinterpret_cast<std::int32_t*>(space);
    std::fill(next, next + experts_, 0);
    for (std::int64_t a = 0; a < tokens * op_.used; ++a)
      ++next[ops::safe_index(experts[a], experts_)];
    std::int32_t place = 0;
    for (std::int64_t e = 0; e < experts_; ++e) {
      offsets[e] = place;
      place += std::exchange(next[e], place);
    }
    offsets[experts_] = place;
    for (std::int64_t a = 0; a < tokens * op_.used; ++a) {
      const std::int32_t at = next[ops::safe_index(experts[a], experts_)]++;
      step.indices(op_.out.places)[a] = at;
      step.indices(op_.out.tokens)[at] = static_cast<std::int32_t>(a / op_.used);
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
