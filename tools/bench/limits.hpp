// What this machine can do at this moment: the limits that results are shown against. Measured
// beside each repetition, because other programs and the clock move them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ingot::tools {

/// Gives mapped memory back.
struct UnmapMemory {
  std::size_t bytes = 0;
  void operator()(std::byte* data) const;
};

class Limits {
 public:
  /// `weight_bytes`: size of the buffer to read, so that what fits a cache in the model's case does
  /// in the limit's. Not more than 4 GiB, which is several times any cache, nor than half of
  /// `memory_available`. Error out_of_memory when the buffer cannot be had.
  Limits(int threads, std::uint64_t weight_bytes, std::uint64_t memory_available);

  /// Bytes per second that all threads together read from the buffer.
  double read_bandwidth() const;

  /// Multiplications and additions per second in f32, on registers alone, all threads together.
  double multiply_add_peak() const;

  int threads() const { return threads_; }
  std::uint64_t buffer_bytes() const { return bytes_; }

 private:
  int threads_;
  std::size_t slice_ = 0;  ///< bytes each thread reads
  std::size_t bytes_ = 0;
  std::unique_ptr<std::byte, UnmapMemory> data_;
};

}  // namespace ingot::tools
