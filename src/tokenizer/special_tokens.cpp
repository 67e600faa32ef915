#include "src/tokenizer/special_tokens.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "ingot/error.hpp"

namespace ingot::internal::tokenizer {
namespace {

/// A token's published spelling. One that no text would hold by chance is believed whatever kind
/// the file gives it; one that could be code or prose only when the file marks it as special.
struct Name {
  std::string_view raw;
  bool unmistakable = true;
};

constexpr std::array kEndOfTurn = std::to_array<Name>({
    {"<|eot_id|>"},             // Llama 3
    {"<|im_end|>"},             // Qwen and other ChatML models
    {"<|EOT|>"},                // DeepSeek-Coder
    {"<end_of_turn>"},          // Gemma
    {"<|end|>"},                // Phi 3
    {"<|endoftext|>"},          // GPT-2 and most others
    {"<|end_of_text|>"},        // Llama 3 base, Granite
    {"<｜end▁of▁sentence｜>"},  // DeepSeek
    {"<end_of_utterance>"},     // SmolVLM
    {"▁<EOT>"},                 // CodeLlama: ends a filled-in middle
    {"<EOT>", false},
    {"[EOT]", false},  // Kimi
});
constexpr std::array kEndOfMessage = std::to_array<Name>({{"<|eom_id|>"}});
constexpr std::array kOtherEnds = std::to_array<Name>({
    {"<|return|>"},  // gpt-oss
    {"<|call|>"},    // gpt-oss
    {"<|calls|>"},   // Solar
    {"<|flush|>"},   // Solar
    {"</s>", false},
    {"<eos>", false},
    {"[EOS]", false},
    {"[e~[", false},  // MiniMax
});
constexpr std::array kFimPrefix = std::to_array<Name>({
    {"<|fim_prefix|>"},   // Qwen
    {"<fim_prefix>"},     // StarCoder, Granite
    {"<fim-prefix>"},     // SantaCoder
    {"<｜fim▁begin｜>"},  // DeepSeek
    {"▁<PRE>"},           // CodeLlama
    {"<|code_prefix|>"},  // GLM
    {"[PREFIX]", false},  // Codestral
    {"<PRE>", false},
});
constexpr std::array kFimSuffix = std::to_array<Name>({
    {"<|fim_suffix|>"},
    {"<fim_suffix>"},
    {"<fim-suffix>"},
    {"<｜fim▁hole｜>"},
    {"▁<SUF>"},
    {"<|code_suffix|>"},
    {"[SUFFIX]", false},
    {"<SUF>", false},
});
constexpr std::array kFimMiddle = std::to_array<Name>({
    {"<|fim_middle|>"},
    {"<fim_middle>"},
    {"<fim-middle>"},
    {"<｜fim▁end｜>"},
    {"▁<MID>"},
    {"<|code_middle|>"},
    {"[MIDDLE]", false},
    {"<MID>", false},
});
constexpr std::array kFimPad = std::to_array<Name>({{"<|fim_pad|>"}, {"<fim_pad>"}, {"<fim-pad>"}});
constexpr std::array kRepository = std::to_array<Name>({
    {"<|repo_name|>"},
    {"<|fim_repo|>"},
    {"<fim-repo>"},
    {"<repo_name>", false},  // StarCoder 2
    {"<reponame>", false},   // StarCoder, Granite
    {"<REPO>", false},
});
constexpr std::array kSeparator = std::to_array<Name>({
    {"<|file_sep|>"},
    {"<file_sep>", false},  // StarCoder 2
    {"<filename>", false},  // StarCoder, Granite
});

class Reader {
 public:
  Reader(Vocabulary& vocabulary, const SpecialDefaults& defaults)
      : vocabulary_(vocabulary), defaults_(defaults) {}

  SpecialTokens read() {
    SpecialTokens special;
    special.bos = by_key("bos_token_id", defaults_.bos);
    special.eos = by_key("eos_token_id", defaults_.eos);
    special.eot = by_key("eot_token_id");
    special.eom = by_key("eom_token_id");
    special.unknown = optional_by_key("unknown_token_id", defaults_.unknown);
    special.pad = optional_by_key("padding_token_id");
    // The key has always been misspelled.
    special.separator = optional_by_key("seperator_token_id");
    read_fim(special.fim);
    read_additions(special);
    read_ends(special);
    return special;
  }

 private:
  static std::string full_key(std::string_view key) {
    return std::string("tokenizer.ggml.").append(key);
  }

  std::optional<TokenId> by_key(std::string_view key, std::optional<TokenId> fallback = {}) const {
    const std::string full = full_key(key);
    if (vocabulary_.file().find(full) != nullptr) return vocabulary_.named(full);
    return fallback && vocabulary_.has(*fallback) ? fallback : std::nullopt;
  }

  /// Converted files name padding and the like outside the vocabulary; nothing here depends on
  /// them, so such a name counts as none.
  std::optional<TokenId> optional_by_key(std::string_view key,
                                         std::optional<TokenId> fallback = {}) const {
    const auto id = vocabulary_.file().try_get<std::int64_t>(full_key(key));
    if (id && (*id < 0 || *id >= vocabulary_.size())) return std::nullopt;
    return by_key(key, fallback);
  }

  /// The first of the names that the vocabulary has; it becomes a control token.
  std::optional<TokenId> by_name(std::span<const Name> names) {
    for (const Name& name : names) {
      if (const auto id = find(name)) return id;
    }
    return std::nullopt;
  }

  std::optional<TokenId> find(const Name& name) {
    const TokenId id = vocabulary_.find(name.raw);
    if (id < 0) return std::nullopt;
    const TokenKind kind = vocabulary_.kind(id);
    const bool marked = kind == TokenKind::control || kind == TokenKind::user_defined;
    if (!name.unmistakable && !marked) return std::nullopt;
    vocabulary_.set_kind(id, TokenKind::control);
    return id;
  }

  void read_fim(FimTokens& fim) {
    const auto read = [&](std::optional<TokenId>& token, std::string_view key,
                          std::string_view old_key, std::span<const Name> names) {
      token = by_key(key, old_key.empty() ? std::nullopt : by_key(old_key));
      const auto named = by_name(names);
      if (!token) token = named;
    };
    read(fim.prefix, "fim_pre_token_id", "prefix_token_id", kFimPrefix);
    read(fim.suffix, "fim_suf_token_id", "suffix_token_id", kFimSuffix);
    read(fim.middle, "fim_mid_token_id", "middle_token_id", kFimMiddle);
    read(fim.pad, "fim_pad_token_id", {}, kFimPad);
    read(fim.repository, "fim_rep_token_id", {}, kRepository);
    read(fim.separator, "fim_sep_token_id", {}, kSeparator);
  }

  void read_additions(SpecialTokens& special) const {
    const auto read = [&](std::string_view key, bool fallback, const std::optional<TokenId>& token,
                          std::string_view token_key) {
      const auto asked = vocabulary_.file().try_get<bool>(full_key(key));
      if (asked.value_or(false) && !token) {
        fail(ErrorCode::bad_file, "'", vocabulary_.file().path(), "': ", full_key(key),
             " is true, but ", full_key(token_key), " names no token; set one or the other");
      }
      return asked.value_or(fallback) && token.has_value();
    };
    special.adds_bos = read("add_bos_token", defaults_.adds_bos, special.bos, "bos_token_id");
    special.adds_eos = read("add_eos_token", defaults_.adds_eos, special.eos, "eos_token_id");
  }

  void read_ends(SpecialTokens& special) {
    std::vector<TokenId>& ends = special.end_of_generation;
    for (const auto& names : {std::span<const Name>(kEndOfTurn), std::span<const Name>(kOtherEnds),
                              std::span<const Name>(kEndOfMessage)}) {
      for (const Name& name : names) {
        if (const auto id = find(name)) ends.push_back(*id);
      }
    }
    leave_out_harmony_end(ends);
    if (!special.eot) special.eot = by_name(kEndOfTurn);
    if (!special.eom) special.eom = by_name(kEndOfMessage);
    for (const auto& id : {special.eos, special.eom, special.fim.pad, special.fim.repository,
                           special.fim.separator}) {
      if (id) ends.push_back(*id);
    }
    const auto eot_key = by_key("eot_token_id");
    if (eot_key) ends.push_back(*eot_key);
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  }

  /// In the harmony format (gpt-oss) <|end|> closes one message of several; the answer ends at
  /// <|return|> or <|call|>. Solar has the same with <|flush|> and <|calls|>.
  void leave_out_harmony_end(std::vector<TokenId>& ends) const {
    const auto has = [&](std::string_view raw) { return vocabulary_.find(raw) >= 0; };
    const bool several = (has("<|return|>") && has("<|call|>")) ||
                         (has("<|flush|>") && (has("<|call|>") || has("<|calls|>")));
    if (!several) return;
    ends.erase(std::remove(ends.begin(), ends.end(), vocabulary_.find("<|end|>")), ends.end());
  }

  Vocabulary& vocabulary_;
  const SpecialDefaults& defaults_;
};

}  // namespace

bool SpecialTokens::ends_generation(TokenId id) const {
  return std::binary_search(end_of_generation.begin(), end_of_generation.end(), id);
}

SpecialTokens read_special_tokens(Vocabulary& vocabulary, const SpecialDefaults& defaults) {
  return Reader(vocabulary, defaults).read();
}

}  // namespace ingot::internal::tokenizer
