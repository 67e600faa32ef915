// A token's number.
#pragma once

#include <cstdint>

namespace ingot {

/// A token's number in the vocabulary, which is its row of the embedding table:
/// 0 ≤ id < Tokenizer::vocabulary_size().
using TokenId = std::int32_t;

}  // namespace ingot
