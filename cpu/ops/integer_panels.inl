// Many rows without matrix units. Panels of 32 weight rows x 256 columns are decoded to integers of
// 16 bits, once for all rows of a task, and multiplied in register tiles of a few activation rows x
// two vectors of weight rows. No format is named here.
#include "cpu/ops/integer_panel.inl"
#include "cpu/ops/integer_panels.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#if !defined(__AMX_BF16__)

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Activation rows whose sums with kVectorsTogether vectors of weights stay in registers. With 32
/// registers 7 x 2 integer sums, as many totals and the operands fill them; with 16, totals leave
/// after 32 columns.
#if defined(__AVX512F__)
inline constexpr int kRowsTogether = 7;
#else
inline constexpr int kRowsTogether = 4;
#endif
static_assert(kRowsTogether <= kMostRowsTogether);

/// Rows of activations from some column on.
struct TogetherRows {
  const std::int16_t* q[kRowsTogether];
  const float* scales[kRowsTogether];       ///< per 32 columns
  const float* scaled_sums[kRowsTogether];  ///< per 32 columns
  const std::int32_t* sums[kRowsTogether];  ///< per 16 columns
};

typedef Floats TileTotals[kRowsTogether][kVectorsTogether];

/// The products of kRowsTogether rows with the vectors from `vector` on, without mins and what
/// scales the whole panel.
template <class Form>
inline __attribute__((always_inline)) void multiply_integers(const IntegerPanel& panel, int vector,
                                                             int groups, const TogetherRows& in,
                                                             TileTotals& totals) {
  constexpr int kPairs = Form::kSumColumns / 2;
  const std::int16_t* weights = panel.pair(vector, 0);
  for (int g = 0; g < groups; ++g) {
    unrolled<16 / kPairs>([&](auto span) __attribute__((always_inline)) {
      constexpr int kFirst = decltype(span)::kValue * kPairs;
      Ints sums[kRowsTogether][kVectorsTogether] = {};
      unrolled<kPairs>([&](auto number) __attribute__((always_inline)) {
        constexpr int kPair = kFirst + decltype(number)::kValue;
        Shorts w[kVectorsTogether];
        for (int v = 0; v < kVectorsTogether; ++v)
          w[v] = load_shorts(weights + (kPair * kVectorsTogether + v) * 2 * kLanes);
        for (int m = 0; m < kRowsTogether; ++m) {
          const auto x = (Shorts)broadcast_word(in.q[m] + 32 * g + 2 * kPair);
          for (int v = 0; v < kVectorsTogether; ++v) add_pair_products(sums[m][v], w[v], x);
        }
      });
      for (int m = 0; m < kRowsTogether; ++m) {
        for (int v = 0; v < kVectorsTogether; ++v) {
          const Floats sum = to_floats(sums[m][v]);
          if constexpr (Form::kOneScale) {
            totals[m][v] += sum * in.scales[m][g];
          } else {
            totals[m][v] += sum * (load(panel.scale(vector + v, g)) * in.scales[m][g]);
          }
        }
      }
    });
    weights += 16 * kVectorsTogether * 2 * kLanes;
  }
}

/// Takes the mins' share off.
template <class Form>
inline void subtract_mins(const IntegerPanel& panel, int vector, int groups, const TogetherRows& in,
                          TileTotals& totals) {
  for (int g = 0; g < groups; ++g) {
    for (int v = 0; v < kVectorsTogether; ++v) {
      const Floats min = load(panel.min(vector + v, Form::kMins * g));
      if constexpr (Form::kMins == 1) {
        for (int m = 0; m < kRowsTogether; ++m) totals[m][v] -= min * in.scaled_sums[m][g];
      } else {
        const Floats min1 = load(panel.min(vector + v, Form::kMins * g + 1));
        for (int m = 0; m < kRowsTogether; ++m) {
          const std::int32_t* s = in.sums[m] + 2 * g;
          const Floats mins = min * static_cast<float>(s[0]) + min1 * static_cast<float>(s[1]);
          totals[m][v] -= mins * in.scales[m][g];
        }
      }
    }
  }
}

template <class P>
class IntegerPanels {
 public:
  explicit IntegerPanels(const IntegerPanelProduct& task)
      : task_(task), panel_(task.work), groups_(task.weight.columns / 32) {}

  void run() {
    for (row_ = 0; row_ < task_.weight.rows; row_ += kIntegerPanelRows) {
      for (group_ = 0; group_ < groups_; group_ += IntegerPanel::kScales) {
        const std::int64_t left = groups_ - group_;
        count_ = left < IntegerPanel::kScales ? static_cast<int>(left) : IntegerPanel::kScales;
        decode_integers<P>(rows_at(row_, group_), count_, 0, panel_);
        if (has_both()) {
          decode_integers<P>(rows_at(row_ + kGroupRows, group_), count_, kParts, panel_);
        }
        multiply_panel();
      }
    }
    if (!task_.reused) finish_streams();
  }

 private:
  using Form = IntegerForm<P>;

  /// Sixteen rows from some group of 32 columns on.
  const std::byte* rows_at(std::int64_t row, std::int64_t group) const {
    return task_.weight.first + row * task_.weight.row_bytes +
           32 * group / P::kBlockColumns * packed_block_bytes<P>();
  }

  /// Whether the panel's second 16 rows exist.
  bool has_both() const { return task_.weight.rows - row_ > kGroupRows; }

  void multiply_panel() {
    constexpr std::int64_t kBytes =
        kIntegerPanelColumns / P::kBlockColumns * packed_block_bytes<P>();
    const bool is_last = group_ + count_ == groups_;
    const std::byte* next = is_last ? rows_at(row_ + kIntegerPanelRows, 0)
                                    : rows_at(row_, group_ + IntegerPanel::kScales);
    // The next panel's bytes are asked for little by little.
    const std::int64_t steps = (task_.in.count + kRowsTogether - 1) / kRowsTogether;
    const int lines = static_cast<int>((kBytes / 64 + steps - 1) / steps);
    const int vectors = has_both() ? 2 * kParts : kParts;
    for (std::int64_t r = 0; r < task_.in.count; r += kRowsTogether, next += 64 * lines) {
      prefetch_lines(next, lines);
      prefetch_lines(next + kGroupRows * task_.weight.row_bytes, lines);
      const TogetherRows in = rows_from(r);
      for (int v = 0; v < vectors; v += kVectorsTogether) {
        TileTotals totals = {};
        multiply_integers<Form>(panel_, v, count_, in, totals);
        add_to_sums(r, v, totals, in);
      }
      if (is_last) write(r);
    }
  }

  TogetherRows rows_from(std::int64_t first) const {
    TogetherRows out;
    for (int m = 0; m < kRowsTogether; ++m) {
      const std::int64_t r = first + m < task_.in.count ? first + m : task_.in.count - 1;
      const float* row = task_.in.row(r);
      const std::int64_t columns = task_.weight.columns;
      out.q[m] = reinterpret_cast<const std::int16_t*>(row) + 32 * group_;
      out.scales[m] = row + QuantizedRow::scales_at(columns) + group_;
      out.scaled_sums[m] = row + QuantizedRow::scaled_sums_at(columns) + group_;
      out.sums[m] =
          reinterpret_cast<const std::int32_t*>(row + QuantizedRow::sums_at(columns)) + 2 * group_;
    }
    return out;
  }

  /// Adds earlier panels' sums to this one's totals, and keeps them.
  void add_to_sums(std::int64_t r, int vector, TileTotals& totals, const TogetherRows& in) {
    float* sums = panel_.sums + r * kIntegerPanelRows + vector * kLanes;
    for (int m = 0; m < kRowsTogether; ++m) {
      for (int v = 0; v < kVectorsTogether; ++v) {
        const Floats before =
            group_ == 0 ? Floats{} : load(sums + m * kIntegerPanelRows + v * kLanes);
        if constexpr (Form::kOneScale) {
          totals[m][v] = totals[m][v] * load(panel_.scale(vector + v, 0)) + before;
        } else {
          totals[m][v] += before;
        }
      }
    }
    if constexpr (Form::kMins > 0) subtract_mins<Form>(panel_, vector, count_, in, totals);
    for (int m = 0; m < kRowsTogether; ++m) {
      for (int v = 0; v < kVectorsTogether; ++v)
        store(sums + m * kIntegerPanelRows + v * kLanes, totals[m][v]);
    }
  }

  /// The sums of rows from `r` on are whole.
  void write(std::int64_t r) const {
    const float* sums = panel_.sums + r * kIntegerPanelRows;
    const std::int64_t left = task_.weight.rows - row_;
    const std::int64_t columns = left < kIntegerPanelRows ? left : kIntegerPanelRows;
    for (int m = 0; m < kRowsTogether && r + m < task_.in.count; ++m, sums += kIntegerPanelRows) {
      float* to = task_.out + (r + m) * task_.out_stride + row_;
      for (std::int64_t n = 0; n < columns; n += kLanes) {
        Floats total = load(sums + n);
        if (task_.bias != nullptr) total += load(task_.bias + row_ + n);
        if (task_.reused) {
          store(to + n, total);
        } else {
          stream(to + n, total);
        }
      }
    }
  }

  const IntegerPanelProduct& task_;
  IntegerPanel panel_;
  std::int64_t groups_;  ///< of 32 columns
  std::int64_t row_ = 0;
  std::int64_t group_ = 0;  ///< the panel's first
  int count_ = 0;           ///< groups of the panel
};

template <class P>
inline void multiply_packed_panels(const IntegerPanelProduct& task) {
  IntegerPanels<P>(task).run();
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // !__AMX_BF16__
