// What this machine can do at this moment: the limits that results are shown against. Measured
// beside each repetition, because other programs and the clock move them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bench/probe_loops.hpp"
#include "ingot/device.hpp"

namespace ingot::tools {

/// The instruction set of the kernels, which a device's description ends with ("..., avx512
/// kernels"); empty for a device that has no choice.
std::string kernel_isa(const DeviceInfo& device);

/// What limits a prompt on this device: the matrix units where its kernels use them, else the f32
/// vector units.
const MultiplyAddLoop& multiply_add_loop(const DeviceInfo& device);

/// Gives mapped memory back.
struct UnmapMemory {
  std::size_t bytes = 0;
  void operator()(std::byte* data) const;
};

class Limits {
 public:
  /// `weight_bytes`: size of the buffer to read, so that what fits a cache in the model's case does
  /// in the limit's. Not more than 4 GiB, which is several times any cache, nor than half of
  /// the device's free memory. Error out_of_memory when the buffer cannot be had.
  Limits(int threads, std::uint64_t weight_bytes, const DeviceInfo& device);

  /// Bytes per second that all threads together read from the buffer.
  double read_bandwidth() const;

  /// Multiplications and additions per second on registers alone, all threads together, in the unit
  /// of multiply_add_loop.
  double multiply_add_peak() const;

  int threads() const { return threads_; }
  std::uint64_t buffer_bytes() const { return bytes_; }

 private:
  int threads_;
  MultiplyAddLoop multiply_add_;
  std::size_t slice_ = 0;  ///< bytes each thread reads
  std::size_t bytes_ = 0;
  std::unique_ptr<std::byte, UnmapMemory> data_;
};

}  // namespace ingot::tools
