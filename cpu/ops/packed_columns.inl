// Activations times a transposed interleaved weight. Lanes are weight rows, which is what is summed
// over: every column has a vector of sums, whose lanes are added when all rows have been read. No
// format is named here.
//
// A weight is decoded to f32 in registers, exactly as the codec does, and activations stay f32: an
// offset or min that were left to the end would cancel less well. It costs five operations per
// vector of weights and one more per activation row.
#include "cpu/ops/latent_attention.hpp"
#include "cpu/ops/row_counts.inl"
#include "cpu/quant/packed.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Adds 32 columns of a vector of weight rows times kRows rows of activations, `factors`, to the
/// sums [kRows][stripe columns][kLanes]; `sums` is the first row's of the first of the columns.
template <class P, int kRows>
inline __attribute__((always_inline)) void add_columns(const typename P::Scales& scales, int g,
                                                       const std::byte* group, int part,
                                                       const Floats (&factors)[kRows], float* sums,
                                                       std::int64_t row_stride) {
  constexpr int kSpans = 32 / P::kScaleSpan;
  unrolled<kSpans>([&](auto span) __attribute__((always_inline)) {
    constexpr int kSpan = decltype(span)::kValue;
    const Floats scale = scales.template scale<kSpan>(g);
    // Exact: a format has an offset or a min, and the offset (at most 7 bits, or a power of two)
    // times the scale (at most 17 bits) fits a float.
    Floats shift = scale * static_cast<float>(P::kOffset);
    if constexpr (P::kHasMin) shift = scales.template min<kSpan>(g);
    unrolled<8 / kSpans>([&](auto number) __attribute__((always_inline)) {
      constexpr int j = kSpan * 8 / kSpans + decltype(number)::kValue;
      const auto codes = (Ints)P::template code<j>(group, part);
      unrolled<4>([&](auto place) __attribute__((always_inline)) {
        constexpr int kByte = decltype(place)::kValue;
        const Floats weight = to_floats(codes >> (8 * kByte) & 255) * scale - shift;
        float* at = sums + (4 * j + byte_column(kByte)) * kLanes;
        for (int m = 0; m < kRows; ++m, at += row_stride) {
          store(at, load(at) + weight * factors[m]);
        }
      });
    });
  });
}

/// All weight rows of the groups [first, first + count) of 32 columns times kRows rows.
template <class P, int kRows>
inline void multiply_stripe(const TransposedProduct& task, const float* const (&in)[kRows],
                            std::int64_t first, std::int64_t count, float* sums) {
  constexpr int kGroups = P::kBlockColumns / 32;
  const std::int64_t row_stride = 32 * count * kLanes;
  const std::int64_t next_rows = kGroupRows * task.weight.row_bytes;
  __builtin_memset(sums, 0, static_cast<std::size_t>(kRows * row_stride) * sizeof(float));
  for (std::int64_t n = 0; n < task.weight.rows; n += kGroupRows) {
    const std::byte* rows = task.weight.first + n * task.weight.row_bytes;
    for (std::int64_t at = first; at < first + count;) {
      const std::byte* block = rows + at / kGroups * packed_block_bytes<P>();
      const std::int64_t block_end = (at / kGroups + 1) * kGroups;
      const std::int64_t end = block_end < first + count ? block_end : first + count;
      prefetch_lines(block + next_rows, (P::kHeaderBytes + 63) / 64);
      for (; at < end; ++at) {
        const auto g = static_cast<int>(at % kGroups);
        const std::byte* group = packed_group<P>(block, g);
        prefetch_lines(group + next_rows, (P::kGroupBytes + 63) / 64);
        for (int part = 0; part < kParts; ++part) {
          Floats factors[kRows];
          for (int m = 0; m < kRows; ++m) factors[m] = load(in[m] + n + part * kLanes);
          const typename P::Scales scales(block, part);
          add_columns<P, kRows>(scales, g, group, part, factors, sums + 32 * (at - first) * kLanes,
                                row_stride);
        }
      }
    }
  }
}

/// `task` has at most kRows rows.
template <class P, int kRows>
inline void multiply_stripes(const TransposedProduct& task, const float* const (&in)[kRows]) {
  constexpr std::int64_t kStripe = kColumnSums / (32 * kLanes * kRows);
  static_assert(kStripe > 0);
  const std::int64_t groups = task.weight.columns / 32;
  for (std::int64_t g = 0; g < groups; g += kStripe) {
    const std::int64_t count = groups - g < kStripe ? groups - g : kStripe;
    multiply_stripe<P, kRows>(task, in, g, count, task.work);
    const float* sums = task.work;
    for (std::int64_t m = 0; m < task.rows; ++m) {
      float* out = task.out + m * task.out_stride + 32 * g;
      for (std::int64_t k = 0; k < 32 * count; k += kLanes, sums += kLanes * kLanes) {
        Floats columns[kLanes];
        for (int i = 0; i < kLanes; ++i) columns[i] = load(sums + i * kLanes);
        store(out + k, sum_each(columns));
      }
    }
  }
}

template <class P>
inline void multiply_packed_transposed(const TransposedProduct& task) {
  for (std::int64_t r = 0; r < task.rows; r += kFewRows) {
    TransposedProduct part = task;
    part.in += r * task.in_stride;
    part.out += r * task.out_stride;
    part.rows = task.rows - r < kFewRows ? task.rows - r : kFewRows;
    with_row_count(
        part.rows, [&](std::int64_t m) { return part.in + m * part.in_stride; },
        [&](const auto& in) { multiply_stripes<P>(part, in); });
  }
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
