// The loops of few rows exist for 1, 2, 4 and 8 rows; others take the next larger one.
#include "cpu/ops/matmul.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_ROW_COUNTS_INL
#define INGOT_CPU_ROW_COUNTS_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// use(in), in an array of the addresses of `rows` rows (at most kFewRows) or some more: the last
/// is repeated as often as it takes, which writes the same results again.
template <class AddressOf, class Use>
inline void with_row_count(std::int64_t rows, AddressOf&& address_of, Use&& use) {
  static_assert(kFewRows == 8);
  const auto fill_up = [&](auto count) {
    constexpr int kRows = decltype(count)::kValue;
    const float* in[kRows];
    for (int m = 0; m < kRows; ++m) in[m] = address_of(m < rows ? m : rows - 1);
    use(in);
  };
  if (rows > 4) return fill_up(Constant<8>{});
  if (rows > 2) return fill_up(Constant<4>{});
  if (rows == 2) return fill_up(Constant<2>{});
  if (rows == 1) return fill_up(Constant<1>{});
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ROW_COUNTS_INL
