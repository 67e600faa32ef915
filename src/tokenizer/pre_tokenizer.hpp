// Cuts text into the words that byte-level BPE merges within, as the named pre-tokenizers do.
#pragma once

#include <string>
#include <string_view>

#include "src/tokenizer/function_ref.hpp"

namespace ingot::internal::tokenizer {

/// Receives the words of a text in order; together they are the text.
using WordSink = FunctionRef<void(std::string_view word)>;

/// A pre-tokenizer and what else its name says about a vocabulary.
struct PreTokenizer {
  void (*split)(std::string_view text, WordSink sink);
  bool whole_words = false;  ///< a word that is a token is not merged ("ignore_merges")
  bool adds_bos = false;     ///< when the file doesn't say
  bool normalizes = false;   ///< to form C: the tokenizer.json's normalizer is NFC
};

/// The pre-tokenizer that files name so in tokenizer.ggml.pre, or nullptr. Names and what they
/// stand for are those of convert_hf_to_gguf.py; the patterns those of each model's tokenizer.json.
const PreTokenizer* find_pre_tokenizer(std::string_view name);

/// The names, for a message: "bailingmoe, bailingmoe2, …".
std::string pre_tokenizer_names();

}  // namespace ingot::internal::tokenizer
