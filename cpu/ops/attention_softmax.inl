// The running softmax of attention on AMX: a query to a lane, so that no step of it crosses lanes.
#include "cpu/ops/attention_pack.inl"
#include "cpu/ops/attention_seen.inl"
#include "cpu/ops/attention_work.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#if defined(__AMX_BF16__) && !defined(INGOT_CPU_ATTENTION_SOFTMAX_INL)
#define INGOT_CPU_ATTENTION_SOFTMAX_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Weights may grow to 2^this before what was summed is scaled down: with every new largest score
/// that would be in most blocks.
inline constexpr float kMostWeight = 8.0F;

/// Scores of one or two tiles of queries: [group][tile of queries][position][16 queries] f32.
/// Weights take their place, as right operands of pairs of positions: those of j and j + 16 where
/// position j was.
inline constexpr std::int64_t kTileScores = kGroupPositions * kLanes;

inline void cap_scores(float* scores, float cap) {
  for (std::int64_t t = 0; t < kGroupPositions; ++t, scores += kLanes) {
    store(scores, soft_capped(load(scores), cap));
  }
}

/// Scores at `position` and behind it: those that are not seen become -infinity.
inline void mask_scores(float* scores, std::int64_t position, const LanesSee& see) {
  for (std::int64_t t = 0; t < kGroupPositions; ++t, scores += kLanes) {
    const Ints p = Ints{} + static_cast<std::int32_t>(position + t);
    const Ints is_seen = (p >= see.first) & (p <= see.last);
    store(scores, is_seen != 0 ? load(scores) : broadcast(kNoScore));
  }
}

inline Floats largest_scores(const float* scores) {
  Floats largest[2] = {broadcast(kNoScore), broadcast(kNoScore)};
  for (std::int64_t t = 0; t < kGroupPositions; t += 2, scores += 2 * kLanes) {
    largest[0] = larger(largest[0], load(scores));
    largest[1] = larger(largest[1], load(scores + kLanes));
  }
  return larger(largest[0], largest[1]);
}

/// Turns scores of one or two tiles of queries into weights 2^(score log2 e - base), little by
/// little: other work runs beside it. A weight is one bf16, whatever the values are: errors of many
/// positions do not all point one way, and the sum divides what values were multiplied with.
class WeightMaker {
 public:
  /// `steps`: how often advance() will be called.
  void start(float* scores, std::int64_t groups, std::int64_t width, const Floats (&base)[2],
             std::int64_t steps) {
    at_ = scores;
    left_ = groups * width * kTilePairs;
    is_double_ = width == 2;
    pairs_per_step_ = steps == 0 ? left_ : (left_ + steps - 1) / steps;
    for (int b = 0; b < 2; ++b) {
      base_[b] = base[b];
      totals_[b] = Floats{};
    }
  }
  __attribute__((always_inline)) void advance() {
    for (std::int64_t i = 0; i < pairs_per_step_ && left_ > 0; ++i) make_pair();
  }
  void finish() {
    while (left_ > 0) make_pair();
  }
  Floats total(int b) const { return totals_[b]; }

 private:
  __attribute__((always_inline)) void make_pair() {
    // Two tiles of queries take turns by group.
    const std::int64_t b = is_double_ ? ((left_ - 1) / kTilePairs + 1) % 2 : 0;
    const Floats base = base_[b];
    const Ints rounded = pair_bf16(power_of_two(load(at_) * kLog2E - base),
                                   power_of_two(load(at_ + kTileScores / 2) * kLog2E - base));
    __builtin_memcpy(at_, &rounded, sizeof rounded);
    totals_[b] += (Floats)(rounded << 16) + (Floats)(rounded & ~0xffff);
    at_ += kLanes;
    if (--left_ % kTilePairs == 0) at_ += kTileScores / 2;
  }

  float* at_ = nullptr;
  std::int64_t left_ = 0;  ///< pairs of rows
  std::int64_t pairs_per_step_ = 0;
  bool is_double_ = false;
  Floats base_[2] = {};
  Floats totals_[2] = {};
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
