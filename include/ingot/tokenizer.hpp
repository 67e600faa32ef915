// Text to token ids and back, by the vocabulary that a model file carries: byte-level BPE
// (tokenizer.ggml.model = gpt2) and SentencePiece BPE (tokenizer.ggml.model = llama).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/cancel.hpp"
#include "ingot/export.hpp"
#include "ingot/gguf.hpp"
#include "ingot/token.hpp"

namespace ingot {

/// What an entry of the vocabulary is for; the numbers are tokenizer.ggml.token_type's.
enum class TokenKind : std::uint8_t {
  undefined = 0,     ///< no kind that this library knows; stands for its text
  normal = 1,        ///< made by merging
  unknown = 2,       ///< stands for what the vocabulary cannot express
  control = 3,       ///< a mark with a meaning (<s>, <|im_end|>): never made from plain text
  user_defined = 4,  ///< text that is always one token, whatever surrounds it
  unused = 5,        ///< a place kept free
  byte = 6,          ///< SentencePiece: one byte, <0x00> to <0xFF>
};

/// How Tokenizer::encode reads text.
struct EncodeOptions {
  bool add_special = true;    ///< BOS in front and EOS behind, each as the file asks
  bool parse_special = true;  ///< the text of a control token means that token; false: plain text
  /// Change the text first as the model's published tokenizer does: to Unicode's normalization form
  /// C where that does (Qwen2 and others, see Tokenizer::normalizes), and a literal U+2581 of
  /// SentencePiece to the space that it stands for. False: the bytes are kept, so that
  /// decode(encode(text)) is text; what no token spells is spelled in bytes.
  bool normalize = true;
  Cancel cancel = Cancel::never();  ///< looked at every few kilobytes; ends in Error cancelled
};

/// How tokens become text again.
struct DecodeOptions {
  bool skip_special = false;      ///< control tokens give nothing instead of their text
  bool strip_added_space = true;  ///< SentencePiece: drop the one space that encode put in front
};

/// The fill-in-the-middle marks a model was trained with; what it lacks is empty.
struct FimTokens {
  std::optional<TokenId> prefix;      ///< before the text in front of the gap
  std::optional<TokenId> suffix;      ///< before the text behind the gap
  std::optional<TokenId> middle;      ///< before the text to be made
  std::optional<TokenId> pad;         ///< fills a batch
  std::optional<TokenId> repository;  ///< before a repository's name
  std::optional<TokenId> separator;   ///< between files

  /// Whether prefix, suffix and middle are all there.
  bool complete() const { return prefix && suffix && middle; }
};

/// A model's vocabulary, immutable and safe to use from several threads.
///
/// Ids equal those of the tokenizer the model was trained with, for valid UTF-8. Byte-level BPE:
/// a byte that is not part of valid UTF-8 is a symbol of its own and keeps its value where the
/// vocabulary has a token for it; a byte without any token is read as U+FFFD. decode(encode(text))
/// is text, as encode's options put it: what EncodeOptions::normalize changes comes back changed.
class INGOT_API Tokenizer {
 public:
  using EncodeOptions = ingot::EncodeOptions;
  using DecodeOptions = ingot::DecodeOptions;
  using FimTokens = ingot::FimTokens;

  /// Reads the tokenizer.* keys of a model or vocabulary-only file, which is kept open. Error
  /// unsupported when the tokenizer model or pre-tokenizer is unknown (it is named), bad_file when
  /// keys are missing, of a wrong type, length or range, or contradict each other.
  static std::shared_ptr<const Tokenizer> from_gguf(std::shared_ptr<const GgufFile> file);

  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  ~Tokenizer();

  /// Number of tokens, control tokens and padding included.
  std::int32_t vocabulary_size() const;

  /// The ids of `text` (UTF-8; other bytes as said above). Takes O(n log n), whatever the text and
  /// the vocabulary are. Empty text gives BOS and EOS at most. Error invalid_argument for a single
  /// word of 2³¹ bytes and more, bad_file when the vocabulary has no token for a byte, none for
  /// U+FFFD and no unknown token, cancelled when options.cancel asks for it.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;

  /// The bytes the tokens stand for, joined: valid UTF-8 if what was encoded was (a token may end
  /// inside a character; StreamingDetokenizer gives whole ones). Error invalid_argument for an id
  /// outside the vocabulary.
  std::string decode(std::span<const TokenId> tokens, DecodeOptions options = {}) const;

  /// The bytes a token stands for; a control token's are its text. Valid while the tokenizer lives.
  /// Error invalid_argument for an id outside the vocabulary, as below.
  std::string_view piece(TokenId token) const;

  /// The token as the file spells it (Ġ or ▁ for a space).
  std::string_view raw_text(TokenId token) const;

  TokenKind kind(TokenId token) const;
  bool is_control(TokenId token) const { return kind(token) == TokenKind::control; }

  /// The token spelled so in the file, if there is one.
  std::optional<TokenId> find(std::string_view raw_text) const;

  /// Whether generation ends at this token.
  bool is_end_of_generation(TokenId token) const;

  /// All such tokens in ascending order: the file's eos, eot and eom; its FIM pad, repository and
  /// separator; and well-known marks that the file has but does not name (<|im_end|>, <|eot_id|>…).
  const std::vector<TokenId>& end_of_generation() const;

  std::optional<TokenId> bos() const;  ///< begin of sequence
  std::optional<TokenId> eos() const;  ///< end of sequence
  std::optional<TokenId> eot() const;  ///< end of turn
  std::optional<TokenId> eom() const;  ///< end of message
  std::optional<TokenId> unknown() const;
  std::optional<TokenId> pad() const;
  std::optional<TokenId> separator() const;
  const FimTokens& fim() const;

  bool adds_bos() const;  ///< encode with add_special puts BOS in front
  bool adds_eos() const;  ///< encode with add_special puts EOS behind

  /// Whether ids that encode gave with add_special begin with BOS twice: the text began with it,
  /// and one more was put in front.
  bool doubles_bos(std::span<const TokenId> ids) const;

  /// SentencePiece: encode puts a space in front of the text (and of text after a special token).
  bool adds_space_prefix() const;

  /// Whether the model's published tokenizer brings text to Unicode's normalization form C. Files
  /// don't say so; it is known by the pre-tokenizer's name.
  bool normalizes() const;

  /// tokenizer.ggml.model: "gpt2" or "llama".
  std::string_view model() const;

  /// The pre-tokenizer as the file names it; "default" when it names none.
  std::string_view pre_tokenizer() const;

 private:
  struct INGOT_HIDDEN Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

/// What StreamingDetokenizer does with bytes that can't become UTF-8 any more.
enum class InvalidBytes : std::uint8_t {
  replace,  ///< U+FFFD for each maximal part of a character (Unicode 15, section 3.9)
  keep,     ///< as they are
};

/// Turns a stream of tokens into text, never half a character: bytes of a character that is not
/// complete wait for the next token. One per sequence; not for several threads at once.
class INGOT_API StreamingDetokenizer {
 public:
  /// By default control tokens give no text, and a leading space stays, since a generated text
  /// continues its prompt.
  explicit StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                                DecodeOptions options = {.skip_special = true,
                                                         .strip_added_space = false},
                                InvalidBytes invalid = InvalidBytes::replace);

  /// The text that this token completes; may be empty. Error invalid_argument for an id outside
  /// the vocabulary, which changes nothing.
  std::string push(TokenId token);

  /// What still waited, as the policy says; the next push begins a new text.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  DecodeOptions options_;
  InvalidBytes invalid_;
  std::string waiting_;  ///< the first bytes of a character, at most three
  bool at_start_ = true;
};

}  // namespace ingot
