#include "synth/vocabulary.hpp"

#include <string>
#include <string_view>
#include <vector>

#include "ingot/tokenizer.hpp"

namespace ingot::tools {
namespace {

struct Specials {
  std::string_view pre_tokenizer;
  std::string_view bos;  ///< empty: none
  std::string_view eos;
  bool adds_bos;
  std::vector<std::string_view> others;
};

Specials specials_of(Family family) {
  switch (family) {
    case Family::qwen2:
      return {"qwen2",
              "",
              "<|endoftext|>",
              false,
              {"<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
               "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}};
    case Family::llama3:
      return {"llama-bpe",
              "<|begin_of_text|>",
              "<|end_of_text|>",
              true,
              {"<|eom_id|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"}};
    case Family::deepseek:
      return {"deepseek-coder",
              "<｜begin▁of▁sentence｜>",
              "<｜end▁of▁sentence｜>",
              true,
              {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<|EOT|>"}};
    // The next three publish SentencePiece vocabularies; a byte-level one costs the model the same.
    case Family::codellama:
      return {"gpt-2", "<s>", "</s>", true, {"▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"}};
    case Family::codellama_plain: return {"gpt-2", "<s>", "</s>", true, {}};
    case Family::mistral:
      return {
          "gpt-2", "<s>", "</s>", true, {"[INST]", "[/INST]", "[PREFIX]", "[SUFFIX]", "[MIDDLE]"}};
    case Family::gpt_oss:
      return {"gpt-4o",
              "<|startoftext|>",
              "<|endoftext|>",
              false,
              {"<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>",
               "<|call|>"}};
    case Family::starcoder:
      return {"starcoder",
              "",
              "<|endoftext|>",
              false,
              {"<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<repo_name>",
               "<file_sep>"}};
    case Family::olmo: return {"dbrx", "", "<|endoftext|>", false, {"<|im_start|>", "<|im_end|>"}};
  }
  return {};
}

std::int64_t special_count(const Specials& specials) {
  return static_cast<std::int64_t>(specials.others.size()) + (specials.bos.empty() ? 1 : 2);
}

/// UTF-8 of a code point below U+0800.
std::string utf8(unsigned code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0U | (code >> 6U)), static_cast<char>(0x80U | (code & 0x3FU))};
}

/// GPT-2's letter for each byte: visible ones of Latin-1 stand for themselves, the others follow
/// from U+0100 on (encoder.py of openai/gpt-2).
std::vector<std::string> byte_letters() {
  std::vector<std::string> letters;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool visible =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    letters.push_back(utf8(visible ? byte : next++));
  }
  return letters;
}

class Vocabulary {
 public:
  explicit Vocabulary(std::int64_t size) : size_(static_cast<std::size_t>(size)) {}

  bool is_full() const { return tokens.size() >= size_; }
  std::uint32_t add(std::string token, TokenKind kind) {
    tokens.push_back(std::move(token));
    kinds.push_back(static_cast<std::int32_t>(kind));
    return static_cast<std::uint32_t>(tokens.size() - 1);
  }
  void merge(const std::string& left, const std::string& right) {
    if (is_full()) return;
    merges.push_back(left + " " + right);
    add(left + right, TokenKind::normal);
  }

  std::vector<std::string> tokens;
  std::vector<std::int32_t> kinds;
  std::vector<std::string> merges;

 private:
  std::size_t size_;
};

}  // namespace

std::int64_t least_vocabulary(Family family) {
  return 256 + special_count(specials_of(family));
}

void write_vocabulary(GgufWriter& writer, Family family, std::int64_t size) {
  const Specials specials = specials_of(family);
  Vocabulary vocabulary(size - special_count(specials));
  const std::vector<std::string> letters = byte_letters();
  for (const std::string& letter : letters) vocabulary.add(letter, TokenKind::normal);
  std::vector<std::string> pairs;
  for (char first = 'a'; first <= 'z'; ++first) {
    for (char second = 'a'; second <= 'z'; ++second) {
      vocabulary.merge({first}, {second});
      pairs.push_back({first, second});
    }
  }
  for (const std::string& pair : pairs) vocabulary.merge(letters[' '], pair);
  for (const std::string& left : pairs) {
    for (const std::string& right : pairs) vocabulary.merge(left, right);
  }
  for (int i = 0; !vocabulary.is_full(); ++i) {
    vocabulary.add("[PAD" + std::to_string(i) + "]", TokenKind::unused);
  }

  writer.set("tokenizer.ggml.model", "gpt2");
  writer.set("tokenizer.ggml.pre", specials.pre_tokenizer);
  // Families without a BOS name their end of text there, as converters do.
  const auto eos = vocabulary.add(std::string(specials.eos), TokenKind::control);
  const auto bos =
      specials.bos.empty() ? eos : vocabulary.add(std::string(specials.bos), TokenKind::control);
  for (const std::string_view name : specials.others) {
    vocabulary.add(std::string(name), TokenKind::control);
  }
  writer.set("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.set("tokenizer.ggml.token_type", vocabulary.kinds);
  writer.set("tokenizer.ggml.merges", vocabulary.merges);
  writer.set("tokenizer.ggml.bos_token_id", bos);
  writer.set("tokenizer.ggml.eos_token_id", eos);
  writer.set("tokenizer.ggml.add_bos_token", specials.adds_bos);
}

}  // namespace ingot::tools
