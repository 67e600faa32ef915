// Which sequence owns which part of a state. One object manages all layers of one group, since they
// hold the same positions; a session keeps one per group of its program (src/state/grouped_states).
//
// A state is pages that hold kPageTokens positions each, or, of a recurrent kind, a block that
// holds what all positions so far made of it. Both are numbers into a device's StatePool, so that
// copying, saving and page tables are the same for both.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/program/operands.hpp"

namespace ingot::internal {

/// A page to copy on the device before the step that writes to `to`.
struct PageCopy {
  std::int32_t from = 0;
  std::int32_t to = 0;
};

class SequenceStates {
 public:
  virtual ~SequenceStates() = default;

  /// A new empty sequence; the number names it in every other call. The lowest free one is taken.
  virtual std::int32_t open() = 0;
  /// A new sequence that has `position` positions and the pages that its next row needs, for
  /// contents that come from elsewhere. Error out_of_memory.
  virtual std::int32_t open_at(std::int64_t position) = 0;
  virtual void close(std::int32_t sequence) = 0;

  /// Positions committed.
  virtual std::int64_t position(std::int32_t sequence) const = 0;

  /// Makes room for `rows` more positions, owned by this sequence alone. Returns the pages that
  /// must be copied first. One reservation at a time: commit or cancel ends it. Error out_of_memory
  /// when no page is free; then nothing has changed.
  virtual std::vector<PageCopy> reserve(std::int32_t sequence, std::int64_t rows) = 0;

  /// The reserved rows have been written, and the copies made.
  virtual void commit(std::int32_t sequence, std::int64_t rows) = 0;

  /// The reserved rows will not be written, and the copies may not have been made.
  virtual void cancel(std::int32_t sequence) = 0;

  /// A new sequence with the same contents.
  virtual std::int32_t fork(std::int32_t sequence) = 0;

  /// The largest position, at most `to`, that the sequence can be brought back to. restorable of
  /// that position is that position. Every kind can restore 0.
  virtual std::int64_t restorable(std::int32_t sequence, std::int64_t to) const = 0;
  /// Forgets positions from restorable(to) on; returns the position actually restored.
  virtual std::int64_t rewind(std::int32_t sequence, std::int64_t to) = 0;

  /// Asks that the present position stay restorable, as far as the kind can and has room for.
  /// Returns the pages that must be copied for it before the next row is written. Kinds that keep
  /// every position have nothing to do.
  virtual std::vector<PageCopy> checkpoint(std::int32_t) { return {}; }

  /// Keeps what undo needs to put the sequence back here, until end or undo. Takes no pages. One at
  /// a time.
  virtual void begin(std::int32_t sequence) = 0;
  virtual void end(std::int32_t sequence) = 0;
  /// Back to where begin was called; reservations made since are undone.
  virtual void undo(std::int32_t sequence) = 0;

  /// The pages of a sequence, reserved ones included. Of a kind with positions, entry i holds
  /// positions [i * kPageTokens, (i + 1) * kPageTokens), kNoPage where nothing is kept any more; of
  /// a recurrent kind there is one entry.
  virtual std::span<const std::int32_t> pages(std::int32_t sequence) const = 0;

  /// Entries of pages() that a row behind `position` positions sees.
  virtual Range visible_pages(std::int64_t position) const = 0;

  /// Pages that no sequence holds.
  virtual std::int64_t free_pages() const = 0;

  /// Pages that reserve(sequence, rows) would take.
  virtual std::int64_t pages_needed(std::int32_t sequence, std::int64_t rows) const = 0;
};

inline constexpr std::int32_t kNoPage = -1;

}  // namespace ingot::internal
