// Loops that do nothing but read memory, or nothing but multiply and add: what the processor can
// reach, written with the widest instructions it has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ingot::tools {

struct ProbeLoops {
  std::string_view isa;  ///< "avx512", "avx2" or "generic"
  /// Reads all of `bytes` (a multiple of kProbeBlock, 64-byte aligned); the sum keeps the compiler
  /// from leaving the reads out.
  std::uint64_t (*read)(const std::byte* data, std::size_t bytes);
  /// `rounds` rounds of f32 multiply-adds on registers alone; returns something of the result.
  float (*multiply_add)(std::int64_t rounds);
  double flops_per_round;
};

/// Bytes `read` takes at a time.
inline constexpr std::size_t kProbeBlock = 512;

/// The loops for this processor. INGOT_CPU_ISA does not narrow them: the limit is the machine's.
const ProbeLoops& probe_loops();

/// Whether the processor has AMX tiles.
bool has_amx();

}  // namespace ingot::tools
