// Loops that do nothing but read memory, or nothing but multiply and add: what the processor can
// reach, written with the widest instructions it has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ingot::tools {

/// Multiply-adds on registers alone.
struct MultiplyAddLoop {
  std::string_view unit;  ///< "f32 vector" or "amx bf16"
  /// Returns something of the result.
  float (*run)(std::int64_t rounds);
  double flops_per_round;
  std::int64_t rounds;  ///< of one call, a few tenths of a millisecond
};

/// Reads all of `bytes` (a multiple of kProbeBlock, 64-byte aligned); the sum keeps the compiler
/// from leaving the reads out.
using ReadLoop = std::uint64_t (*)(const std::byte* data, std::size_t bytes);

struct ProbeLoops {
  ReadLoop read;
  MultiplyAddLoop multiply_add;
};

/// Bytes a ReadLoop takes at a time.
inline constexpr std::size_t kProbeBlock = 512;

/// The loops for this processor's vectors. INGOT_CPU_ISA does not narrow them: the limit is the
/// machine's.
const ProbeLoops& probe_loops();

/// bf16 products on AMX tiles; null where the processor has none or the system does not permit
/// them.
const MultiplyAddLoop* tile_loop();

}  // namespace ingot::tools
