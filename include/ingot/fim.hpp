// Fill-in-the-middle prompts, built from the marks a model file names.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ingot/export.hpp"
#include "ingot/tokenizer.hpp"

namespace ingot {

/// How the parts of the prompt are arranged.
enum class FimOrder {
  automatic,             ///< suffix first if the file has no middle mark, else prefix first
  prefix_suffix_middle,  ///< PSM: the order that every model with a middle mark was trained on
  suffix_prefix_middle,  ///< SPM: the prefix comes last, so that typing on reuses more of the cache
};

struct FimOptions {
  FimOrder order = FimOrder::automatic;
  std::int64_t token_limit = 0;  ///< tokens the prompt may have, marks included; 0: any number
  /// Over the limit: drop the far ends, the prefix's first tokens and the suffix's last ones. The
  /// suffix keeps a quarter of the room, the prefix the rest, and either takes what the other does
  /// not need. Characters are not cut. False: Error.
  bool trim = false;
  /// When the prompt is trimmed: so many tokens of the limit stay free for the answer, but at most
  /// half of them. A prompt within the limit is never trimmed for it.
  std::int64_t trim_reserve = 0;
};

struct FimPrompt {
  std::vector<TokenId> ids;
  FimOrder order = FimOrder::prefix_suffix_middle;  ///< the one in use, never automatic
  std::int64_t prefix_tokens_dropped = 0;
  std::int64_t suffix_tokens_dropped = 0;
  /// Tokens that end the middle besides the tokenizer's end-of-generation ones: every FIM mark.
  std::vector<TokenId> stop_ids;
};

/// The prompt that asks for the text between `prefix` and `suffix`. BOS comes first if the file
/// asks for one; the text of special tokens inside prefix and suffix stays plain text.
///
/// Published forms, <pre>, <suf> and <mid> standing for the file's own marks:
///   PSM              <pre> prefix <suf> suffix <mid>
///     CodeLlama (arXiv:2308.12950, section 2.3), StarCoder (arXiv:2305.06161), DeepSeek-Coder
///     (arXiv:2401.14196, its begin, hole and end marks in this order), Qwen2.5-Coder
///     (arXiv:2409.12186)
///   SPM              <pre> <suf> suffix <mid> prefix
///     CodeLlama (infilling_prompt_tokens with suffix_first, github.com/meta-llama/codellama),
///     StarCoder and Refact (the joint form of Bavarian et al., arXiv:2207.14255)
///   without <mid>    <suf> suffix <pre> prefix
///     Codestral (encode_fim, github.com/mistralai/mistral-common); the only order it has
/// SentencePiece vocabularies that put a space in front of text do so for the prefix alone, as both
/// CodeLlama's and Mistral's published encoders do.
///
/// Error unsupported names the marks the file lacks; invalid_argument when the prompt is longer
/// than token_limit and may not be trimmed, the limit leaves no room for the marks, or a number is
/// negative.
INGOT_API FimPrompt build_fim_prompt(const Tokenizer& tokenizer, std::string_view prefix,
                                     std::string_view suffix, const FimOptions& options = {});

}  // namespace ingot
