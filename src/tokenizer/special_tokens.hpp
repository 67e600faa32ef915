// What the tokens with a meaning are: by the file's keys, else by the names that published models
// give them.
#pragma once

#include <optional>
#include <vector>

#include "ingot/tokenizer.hpp"
#include "src/tokenizer/vocabulary.hpp"

namespace ingot::internal::tokenizer {

struct SpecialTokens {
  std::optional<TokenId> bos, eos, eot, eom, unknown, pad, separator;
  FimTokens fim;
  bool adds_bos = false;
  bool adds_eos = false;
  std::vector<TokenId> end_of_generation;  // ascending

  bool ends_generation(TokenId id) const;
};

/// What holds where a file says nothing.
struct SpecialDefaults {
  bool adds_bos = false;
  bool adds_eos = false;
  std::optional<TokenId> bos, eos, unknown;
};

/// Reads them, and makes the tokens that were recognised by name control tokens in `vocabulary`,
/// since old converters wrote some as normal ones. Error bad_file for an id outside the vocabulary
/// or when the file asks for a BOS or EOS that it doesn't have.
SpecialTokens read_special_tokens(Vocabulary& vocabulary, const SpecialDefaults& defaults);

}  // namespace ingot::internal::tokenizer
