// One step as plain data. The session builds a StepInput once; no executor derives its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/program/operands.hpp"

namespace ingot::internal {

/// Positions that one page of a state holds. 64 rows of a 128-wide f16 head are 16 KiB: long enough
/// to stream, short enough that a short sequence wastes little.
inline constexpr std::int64_t kPageTokens = 64;

/// One sequence's share of a step: rows [first_row, first_row + row_count) of every `tokens` value.
struct StepSequence {
  std::int32_t first_row = 0;
  std::int32_t row_count = 0;
  std::int64_t cached = 0;             ///< positions stored before this step
  std::int32_t page_table_offset = 0;  ///< first entry of this sequence, in each group's table
  std::int32_t page_count = 0;         ///< pages that hold cached + row_count positions
};

/// A page to copy in every state of a group.
struct GroupPageCopy {
  std::int32_t group = 0;
  std::int32_t from = 0;
  std::int32_t to = 0;
};

struct StepInput {
  std::vector<GroupPageCopy> copies;    ///< made in this order before the first instruction
  std::vector<std::int32_t> ids;        ///< [tokens] token ids, inside the vocabulary
  std::vector<std::int64_t> positions;  ///< [tokens] absolute position in its sequence
  std::vector<StepSequence> sequences;  ///< in row order, covering all rows
  /// [outputs] rows of `tokens` of which something is asked; those that go through the head first.
  std::vector<std::int32_t> output_rows;
  std::optional<std::int64_t> head_rows;  ///< so many of them do; not set: all
  /// Page numbers, [state groups, page_table_stride]: position p of a sequence is in the page that
  /// entry page_table_offset + p / kPageTokens of its group names; -1 where a window has left it.
  std::vector<std::int32_t> page_table;
  std::int64_t page_table_stride = 0;    ///< entries per state group, over all sequences
  std::vector<std::vector<float>> rope;  ///< per rope table: [tokens, rotary_size / 2, {cos, sin}]
  std::int64_t experts_used = 0;         ///< the program's: experts per token

  /// A sequence's page table in a state group.
  const std::int32_t* pages(const StepSequence& sequence, std::int32_t group) const {
    return page_table.data() + group * page_table_stride + sequence.page_table_offset;
  }

  std::int64_t rows(Rows kind) const {
    const auto outputs = static_cast<std::int64_t>(output_rows.size());
    const RowCounts counts{static_cast<std::int64_t>(ids.size()), outputs,
                           head_rows.value_or(outputs), experts_used};
    return counts.of(kind);
  }
};

/// The shape of a step, for cost: no ids, no pages.
struct StepShape {
  struct Sequence {
    std::int64_t rows = 0;
    std::int64_t cached = 0;
  };
  std::vector<Sequence> sequences;
  std::int64_t outputs = 0;
  std::optional<std::int64_t> heads;  ///< outputs that go through the head; not set: all
  DType key_type = DType::F16;
  DType value_type = DType::F16;

  std::int64_t tokens() const {
    std::int64_t sum = 0;
    for (const Sequence& s : sequences) sum += s.rows;
    return sum;
  }
  /// Query-key pairs of causal attention, summed over the sequences; `window` 0 means unlimited.
  double attended_pairs(std::int64_t window) const;
};

/// Arithmetic and traffic of an instruction or a program, for one step.
struct Cost {
  double flops = 0;         ///< multiplications and additions
  double weight_bytes = 0;  ///< weights read, in the file's format
  double state_bytes = 0;   ///< cache read and written
  double value_bytes = 0;   ///< intermediate values read and written, f32

  Cost& operator+=(const Cost& other) {
    flops += other.flops;
    weight_bytes += other.weight_bytes;
    state_bytes += other.state_bytes;
    value_bytes += other.value_bytes;
    return *this;
  }
};

}  // namespace ingot::internal
