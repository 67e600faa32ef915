// Which sequence owns which part of a state. One object manages all layers of one group, since they
// hold the same positions; a session keeps one per group of its program (src/state/grouped_states).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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
  /// must be copied first. Error out_of_memory when no page is free; then nothing has changed.
  virtual std::vector<PageCopy> reserve(std::int32_t sequence, std::int64_t rows) = 0;

  /// The reserved rows have been written.
  virtual void commit(std::int32_t sequence, std::int64_t rows) = 0;

  /// A new sequence with the same contents.
  virtual std::int32_t fork(std::int32_t sequence) = 0;

  /// The largest position, at most `to`, that the sequence can be brought back to.
  virtual std::int64_t restorable(std::int32_t sequence, std::int64_t to) const = 0;
  /// Forgets positions from restorable(to) on; returns the position actually restored.
  virtual std::int64_t rewind(std::int32_t sequence, std::int64_t to) = 0;

  /// Keeps what restore needs to put the sequence back here, until release or restore. Takes no
  /// pages. One at a time.
  virtual void checkpoint(std::int32_t sequence) = 0;
  virtual void release(std::int32_t sequence) = 0;
  /// Back to the checkpoint; reservations made since are undone.
  virtual void restore(std::int32_t sequence) = 0;

  /// The pages of a sequence in order of position, reserved ones included: entry i holds positions
  /// [i * kPageTokens, (i + 1) * kPageTokens). kNoPage where nothing is kept any more.
  virtual std::span<const std::int32_t> pages(std::int32_t sequence) const = 0;
};

inline constexpr std::int32_t kNoPage = -1;

}  // namespace ingot::internal
