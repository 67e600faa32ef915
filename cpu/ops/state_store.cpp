#include "src/ops/state_store.hpp"

#include <algorithm>

#include "cpu/ops/build.hpp"

namespace ingot::internal::cpu {
namespace {

// A task stores the keys and values of one token. The codec is the one that the reference executor
// calls, or for f16 a faster one with the same results, so both caches hold the same bits.
class StateStoreKernel final : public Kernel {
 public:
  StateStoreKernel(const ops::StateStore& op, const BuildContext& context)
      : op_(op),
        store_halves_(context.table.store_halves),
        group_(context.program.state(op.state).group),
        values_in_keys_(context.program.state(op.state).values_in_keys) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return step.input.rows(Rows::tokens);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const StepSequence& sequence = sequence_of(step.input, task);
    const std::int64_t position = sequence.cached + (task - sequence.first_row);
    const std::int32_t page = step.input.pages(sequence, group_)[position / kPageTokens];
    const std::int64_t slot = position % kPageTokens;
    if (values_in_keys_) {
      store_joined(step, task, page, slot);
      return;
    }
    store(step.states.keys(op_.state), step.value(op_.key), task, page, slot);
    store(step.states.values(op_.state), step.value(op_.value), task, page, slot);
  }

 private:
  static const StepSequence& sequence_of(const StepInput& input, std::int64_t row) {
    // The last sequence that begins at or before the row: they are in row order.
    std::size_t low = 0;
    std::size_t high = input.sequences.size();
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      (input.sequences[middle].first_row <= row ? low : high) = middle;
    }
    return input.sequences[low];
  }

  void store(const StateRows& pages, const float* rows, std::int64_t row, std::int32_t page,
             std::int64_t slot) const {
    const float* from = rows + row * pages.kv_head_count * pages.size;
    for (std::int64_t head = 0; head < pages.kv_head_count; ++head, from += pages.size) {
      encode(pages, from, pages.row(page, head, slot));
    }
  }

  void encode(const StateRows& pages, const float* from, std::byte* out) const {
    if (pages.type == DType::F16) {
      store_halves_(from, pages.size, reinterpret_cast<std::uint16_t*>(out));
    } else {
      encode_state_row(pages.type, {from, static_cast<std::size_t>(pages.size)}, out);
    }
  }

  // A latent row: the value's columns, then the key's.
  void store_joined(const StepContext& step, std::int64_t row, std::int32_t page,
                    std::int64_t slot) const {
    const StateRows& pages = step.states.keys(op_.state);
    const std::int64_t front = step.states.values(op_.state).size;
    const std::int64_t back = pages.size - front;
    float joined[kLongestStateRow];
    std::copy_n(step.value(op_.value) + row * front, front, joined);
    std::copy_n(step.value(op_.key) + row * back, back, joined + front);
    encode(pages, joined, pages.row(page, 0, slot));
  }

  ops::StateStore op_;
  void (*store_halves_)(const float*, std::int64_t, std::uint16_t*);
  std::int32_t group_;
  bool values_in_keys_;
};

}  // namespace

Built build(const ops::StateStore& op, const BuildContext& context) {
  return single(StateStoreKernel(op, context));
}

}  // namespace ingot::internal::cpu
