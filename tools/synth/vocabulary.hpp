// A made-up vocabulary of a given size for models with random weights.
#pragma once

#include <cstdint>

#include "ingot/gguf_writer.hpp"
#include "synth/shapes.hpp"

namespace ingot::tools {

/// The fewest tokens a made-up vocabulary can have: the bytes and a family's special tokens.
std::int64_t least_vocabulary(Family family);

/// Writes the keys of a byte-level BPE tokenizer with `size` tokens: the 256 bytes, pairs of
/// letters with and without a space before them, joins of two pairs, unused fillers, and last the
/// family's special tokens by their published names. Any text has ids, and any ids have a text.
/// `size` must be at least least_vocabulary(family).
void write_vocabulary(GgufWriter& writer, Family family, std::int64_t size);

}  // namespace ingot::tools
