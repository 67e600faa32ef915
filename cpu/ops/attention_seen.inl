// Which positions the queries of a task see, for attention on AMX, where queries of several rows
// share a tile. Query q is head q % heads of the task's row q / heads.
#include "cpu/ops/attention.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#if defined(__AMX_BF16__) && !defined(INGOT_CPU_ATTENTION_SEEN_INL)
#define INGOT_CPU_ATTENTION_SEEN_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Which positions 16 queries see, by lane: [first, last].
struct LanesSee {
  Ints first;
  Ints last;
};

/// Of a query behind the last one: what the last one sees.
class SeenPositions {
 public:
  explicit SeenPositions(const Attend& task) : task_(task) {}

  std::int64_t first(std::int64_t query) const {
    const std::int64_t first =
        task_.window > 0 ? task_.first_position + row_of(query) - task_.window + 1 : task_.begin;
    return first > task_.begin ? first : task_.begin;
  }
  std::int64_t last(std::int64_t query) const {
    const std::int64_t last = task_.first_position + row_of(query);
    return last < task_.end ? last : task_.end - 1;
  }

  /// Of the `m`-th 16 queries.
  LanesSee lanes(std::int64_t m) const {
    LanesSee see;
    for (int lane = 0; lane < kLanes; ++lane) {
      see.first[lane] = static_cast<std::int32_t>(first(m * kLanes + lane));
      see.last[lane] = static_cast<std::int32_t>(last(m * kLanes + lane));
    }
    return see;
  }

 private:
  std::int64_t row_of(std::int64_t query) const {
    const std::int64_t queries = task_.rows * task_.heads;
    return (query < queries ? query : queries - 1) / task_.heads;
  }

  const Attend& task_;
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
