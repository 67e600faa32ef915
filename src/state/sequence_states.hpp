// Which sequence owns which part of a state. One object manages all layers of one kind, since they
// hold the same positions; the session talks to this interface only, so that windows, latents and
// recurrent states can stand beside full attention.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ingot {

/// A page to copy on the device before the step that writes to `to`.
struct PageCopy {
  std::int32_t from = 0;
  std::int32_t to = 0;
};

/// What a failed step needs to put a sequence back.
struct Checkpoint {
  std::int64_t position = 0;
};

class SequenceStates {
 public:
  virtual ~SequenceStates() = default;

  /// A new empty sequence; the number names it in every other call.
  virtual std::int32_t open() = 0;
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

  /// Forgets positions from `to` on; returns the position actually restored, at most `to`.
  virtual std::int64_t rewind(std::int32_t sequence, std::int64_t to) = 0;

  /// A checkpoint stays valid until the sequence is rewound before it or closed.
  virtual Checkpoint checkpoint(std::int32_t sequence) const = 0;
  virtual void restore(std::int32_t sequence, const Checkpoint& checkpoint) = 0;

  /// The pages of a sequence in order of position, reserved ones included.
  virtual std::span<const std::int32_t> pages(std::int32_t sequence) const = 0;
};

}  // namespace ingot
