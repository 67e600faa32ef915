// What a step takes, instruction by instruction: arithmetic and traffic, computed from shapes
// alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ingot/dtype.hpp"
#include "ingot/export.hpp"
#include "ingot/session.hpp"

namespace ingot {

/// A step by its shape: what it appends to which length of sequence, without ids.
struct StepOutline {
  struct Sequence {
    std::int64_t rows = 0;    ///< tokens the step appends to this sequence
    std::int64_t cached = 0;  ///< positions stored before the step
  };
  std::vector<Sequence> sequences;
  std::int64_t outputs = 0;  ///< rows whose logits are asked for
};

/// One instruction's share of a step.
struct InstructionCost {
  std::string name;       ///< what it writes, e.g. "blk.3.attn_out"; of a store, the state's name
  std::string operation;  ///< e.g. "matmul"
  /// Types of the matrices it reads (of its vectors where it has no matrix), then of the cache it
  /// touches; each once.
  std::vector<DType> formats;
  double flops = 0;         ///< multiplications and additions
  double weight_bytes = 0;  ///< weights read, in the file's format
  double state_bytes = 0;   ///< cache read and written
  double value_bytes = 0;   ///< intermediate values read and written, f32
};

/// The cost of every instruction, in the program's order: TapEvent::instruction is an index into
/// it. Assumes that the step runs as one (at most LoadOptions::max_step_tokens rows). Error
/// invalid_argument when rows, cached or outputs are negative or there are more outputs than rows.
INGOT_API std::vector<InstructionCost> step_cost(const Executable& executable,
                                                 const StepOutline& outline);

}  // namespace ingot
