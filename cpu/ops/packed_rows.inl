// Quantized rows of activations times interleaved weights: a weight is read once and multiplied as
// an integer with up to eight rows. No format is named here.
#include "cpu/ops/activations.inl"
#include "cpu/ops/matmul.hpp"
#include "cpu/ops/row_counts.inl"
#include "cpu/ops/streams.inl"
#include "cpu/quant/packed.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Asks for what lies kPrefetchBytes behind an eighth of a group, and behind a line of the block's
/// header with the last.
template <class P, int kStep>
inline void prefetch_step(const std::byte* block, const std::byte* group, int g) {
  constexpr int kLines = (P::kGroupBytes + 63) / 64;
  constexpr int kHeaderLines = (P::kHeaderBytes + 63) / 64;
  static_assert(kHeaderLines <= P::kBlockColumns / 32);
  prefetch_share<kLines, kStep, 8>(group + kPrefetchBytes);
  if (kStep == 7 && g < kHeaderLines) prefetch_line(block + kPrefetchBytes + 64 * g);
}

/// Sums of sixteen weight rows, the lanes of kParts vectors, times kRows rows.
template <class P, int kRows>
struct GroupSums {
  Floats totals[kRows][kParts] = {};

  /// Adds the columns of block `b` of each row, P::kBlockColumns of them.
  [[gnu::always_inline]] void add(const FewRows& task, const float* const (&in)[kRows],
                                  const std::byte* block, std::int64_t b) {
    const std::int64_t scales_at = QuantizedRow::scales_at(task.weight.columns);
    const std::int64_t sums_at = QuantizedRow::sums_at(task.weight.columns);
    const std::int64_t scaled_sums_at = QuantizedRow::scaled_sums_at(task.weight.columns);
    constexpr int kGroups = P::kBlockColumns / 32;
    constexpr int kSpans = 32 / P::kScaleSpan;  // scales within 32 columns
    for (int part = 0; part < kParts; ++part) {
      const typename P::Scales scales(block, part);
      for (int g = 0; g < kGroups; ++g) {
        const std::byte* group = packed_group<P>(block, g);
        const std::int64_t at = b * kGroups + g;
        unrolled<kSpans>([&](auto span) __attribute__((always_inline)) {
          constexpr int kSpan = decltype(span)::kValue;
          LaneSums sums[kRows];
          if constexpr (P::kOffset != 0) {
            // Taken off in integers, where it cancels exactly.
            for (int m = 0; m < kRows; ++m) {
              const auto* s = reinterpret_cast<const std::int32_t*>(in[m] + sums_at + 2 * at);
              sums[m].subtract(P::kOffset * (kSpans == 2 ? s[kSpan] : s[0] + s[1]));
            }
          }
          unrolled<8 / kSpans>([&](auto number) __attribute__((always_inline)) {
            constexpr int j = kSpan * 8 / kSpans + decltype(number)::kValue;
            if (part == 0) prefetch_step<P, j>(block, group, g);
            const Bytes codes = P::template code<j>(group, part);
            unrolled<kRows>([&](auto row) __attribute__((always_inline)) {
              constexpr int m = decltype(row)::kValue;
              const auto* q = reinterpret_cast<const std::int16_t*>(in[m]) + 32 * at;
              sums[m].template add<j>(codes, q);
            });
          });
          const Floats scale = scales.template scale<kSpan>(g);
          for (int m = 0; m < kRows; ++m) {
            totals[m][part] += to_floats(sums[m].total()) * (scale * in[m][scales_at + at]);
          }
        });
        if constexpr (P::kHasMin && kSpans == 1) {
          const Floats min = scales.template min<0>(g);
          for (int m = 0; m < kRows; ++m) totals[m][part] -= min * in[m][scaled_sums_at + at];
        } else if constexpr (P::kHasMin) {
          const Floats min0 = scales.template min<0>(g);
          const Floats min1 = scales.template min<1>(g);
          for (int m = 0; m < kRows; ++m) {
            const auto* s = reinterpret_cast<const std::int32_t*>(in[m] + sums_at + 2 * at);
            const Floats mins = min0 * static_cast<float>(s[0]) + min1 * static_cast<float>(s[1]);
            totals[m][part] -= mins * in[m][scales_at + at];
          }
        }
      }
    }
  }

  /// Results of weight rows n .. n + 15.
  void write(const FewRows& task, std::int64_t n) const {
    for (int m = 0; m < kRows; ++m) {
      const std::int64_t row = m < task.rows ? m : task.rows - 1;
      for (int part = 0; part < kParts; ++part) {
        const std::int64_t column = n + part * kLanes;
        Floats total = totals[m][part];
        if (task.bias != nullptr) total += load(task.bias + column);
        float* out = task.out + row * task.out_stride + column;
        if (task.reused) {
          store(out, total);
        } else {
          // A line written into the caches would displace, and later be displaced by, the weights
          // that pass through them: that costs as much as reading a kilobyte.
          stream(out, total);
        }
      }
    }
  }
};

/// The kPlaces groups of weight rows n, n + step, .. times kRows rows, a block of each in turns.
template <class P, int kRows, int kPlaces>
inline void packed_groups(const FewRows& task, const float* const (&in)[kRows], std::int64_t n,
                          std::int64_t step) {
  const std::int64_t blocks = task.weight.columns / P::kBlockColumns;
  const std::int64_t group_bytes = blocks * packed_block_bytes<P>();
  const std::byte* block = task.weight.first + n * group_bytes;
  GroupSums<P, kRows> sums[kPlaces];
  for (std::int64_t b = 0; b < blocks; ++b, block += packed_block_bytes<P>()) {
    unrolled<kPlaces>([&](auto place) __attribute__((always_inline)) {
      constexpr int i = decltype(place)::kValue;
      sums[i].add(task, in, block + i * step * group_bytes, b);
    });
  }
  for (int i = 0; i < kPlaces; ++i) sums[i].write(task, (n + i * step) * kGroupRows);
}

/// A second stream takes twice the sums: for as many rows as registers have room for.
template <class P, int kRows>
inline void packed_rows(const FewRows& task, const float* const (&in)[kRows]) {
  in_streams<kRows * kParts <= 4 ? 2 : 1>(
      task.weight.rows / kGroupRows, task.weight.rows * task.weight.row_bytes,
      [&](auto places, std::int64_t n, std::int64_t step) {
        packed_groups<P, kRows, decltype(places)::kValue>(task, in, n, step);
      });
}

template <class P>
inline void multiply_packed(const FewRows& task) {
  with_row_count(
      task.rows, [&](std::int64_t m) { return task.in[m].first; },
      [&](const auto& in) { packed_rows<P>(task, in); });
  if (!task.reused) finish_streams();
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET
