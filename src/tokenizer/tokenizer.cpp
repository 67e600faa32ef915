#include "ingot/tokenizer.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>
#include <variant>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/tokenizer/byte_bpe.hpp"
#include "src/tokenizer/normalize.hpp"
#include "src/tokenizer/pre_tokenizer.hpp"
#include "src/tokenizer/sentencepiece.hpp"
#include "src/tokenizer/special_splitter.hpp"
#include "src/tokenizer/special_tokens.hpp"
#include "src/tokenizer/vocabulary.hpp"

namespace ingot::internal::tokenizer {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreTokenizerKey = "tokenizer.ggml.pre";

Spelling spelling_of(const GgufFile& file, std::string_view model) {
  if (model == "gpt2") return Spelling::byte_level;
  if (model == "llama") return Spelling::sentencepiece;
  fail(ErrorCode::unsupported, "'", file.path(), "': ", kModelKey, " is ", gguf::quoted(model),
       "; this library reads gpt2 (byte-level BPE) and llama (SentencePiece BPE)");
}

const PreTokenizer& pre_tokenizer_of(const GgufFile& file, std::string_view name) {
  const PreTokenizer* found = find_pre_tokenizer(name);
  if (found == nullptr) {
    fail(ErrorCode::unsupported, "'", file.path(), "': ", kPreTokenizerKey, " is ",
         gguf::quoted(name), "; this library has ", pre_tokenizer_names());
  }
  return *found;
}

/// What holds for files without the keys: SentencePiece's usual first three tokens; GPT-2's mark.
SpecialDefaults defaults_of(const Vocabulary& vocabulary, const PreTokenizer* pre_tokenizer) {
  if (pre_tokenizer == nullptr) return {true, false, 1, 2, 0};
  SpecialDefaults defaults;
  defaults.adds_bos = pre_tokenizer->adds_bos;
  if (const TokenId id = vocabulary.find("<|endoftext|>"); id >= 0) {
    defaults.bos = id;
    defaults.eos = id;
  }
  return defaults;
}

/// Phi 3's special tokens swallow the white space behind them, all but these three. Its files don't
/// say so; they are told by their name or, as SentencePiece files of that architecture, by it.
std::vector<TokenId> tokens_that_take_spaces(const Vocabulary& vocabulary) {
  const GgufFile& file = vocabulary.file();
  std::string name = file.get_or("general.name", "");
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool is_phi3 = name.find("phi-3") != std::string::npos ||
                       name.find("phi3") != std::string::npos ||
                       file.get_or("general.architecture", "") == "phi3";
  std::vector<TokenId> result;
  for (TokenId id = 0; is_phi3 && id < vocabulary.size(); ++id) {
    const std::string_view raw = vocabulary.raw(id);
    const TokenKind kind = vocabulary.kind(id);
    const bool special = kind == TokenKind::control || kind == TokenKind::user_defined;
    if (special && raw != "<unk>" && raw != "<s>" && raw != "<|endoftext|>") result.push_back(id);
  }
  return result;
}

}  // namespace
}  // namespace ingot::internal::tokenizer

namespace ingot {

using namespace internal;

struct Tokenizer::Parts {
  std::string model;
  std::string pre_tokenizer;
  tokenizer::Vocabulary vocabulary;
  tokenizer::SpecialTokens special;
  bool adds_space_prefix = false;
  bool normalizes = false;
  std::optional<tokenizer::SpecialSplitter> splitter;
  std::variant<std::monostate, tokenizer::ByteBpe, tokenizer::SentencePiece> encoder;

  explicit Parts(std::shared_ptr<const GgufFile> file)
      : model(file->get<std::string>(tokenizer::kModelKey)),
        pre_tokenizer(file->get_or(tokenizer::kPreTokenizerKey, "default")),
        vocabulary(file, tokenizer::spelling_of(*file, model)) {
    using namespace tokenizer;
    const bool sentencepiece = model == "llama";
    const PreTokenizer* words = sentencepiece ? nullptr : &pre_tokenizer_of(*file, pre_tokenizer);
    special = read_special_tokens(vocabulary, defaults_of(vocabulary, words));
    vocabulary.spell_pieces();
    if (sentencepiece) {
      adds_space_prefix = file->get_or("tokenizer.ggml.add_space_prefix", true);
      splitter.emplace(vocabulary, tokens_that_take_spaces(vocabulary));
      encoder.emplace<SentencePiece>(vocabulary, special.unknown);
    } else {
      normalizes = words->normalizes;
      splitter.emplace(vocabulary, std::vector<TokenId>());
      encoder.emplace<ByteBpe>(vocabulary, *words, special.unknown);
    }
  }

  void encode_text(std::string_view text, bool after_special, const EncodeOptions& options,
                   std::vector<TokenId>& ids) const {
    std::string changed;
    if (const auto* bpe = std::get_if<tokenizer::ByteBpe>(&encoder)) {
      if (options.normalize && normalizes) {
        text = tokenizer::compose(text, options.cancel, changed);
      }
      bpe->encode(text, options.cancel, ids);
      return;
    }
    const bool has_marks =
        options.normalize && text.find(tokenizer::kSentencePieceSpace) != std::string_view::npos;
    const bool prefixed = adds_space_prefix && after_special;
    if (has_marks || prefixed) {
      changed.reserve(text.size() + 1);
      if (prefixed) changed += ' ';
      if (has_marks) {
        tokenizer::append_with_spaces(text, changed);
      } else {
        changed.append(text);
      }
      text = changed;
    }
    std::get<tokenizer::SentencePiece>(encoder).encode(text, options.cancel, ids);
  }

  void check(TokenId id) const {
    if (vocabulary.has(id)) return;
    fail(ErrorCode::invalid_argument, "token ", id, " is outside the vocabulary of ",
         vocabulary.size(), " tokens of '", vocabulary.file().path(), "'");
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::from_gguf(std::shared_ptr<const GgufFile> file) try {
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::make_unique<const Parts>(
      detail::required(std::move(file), "Tokenizer::from_gguf", "a file"))));
} catch (...) {
  detail::rethrow_at_border("Tokenizer::from_gguf");
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const try {
  const tokenizer::SpecialTokens& special = parts_->special;
  std::vector<TokenId> ids;
  if (options.add_special && special.adds_bos) ids.push_back(*special.bos);
  bool after_special = true;
  parts_->splitter->split(
      text, options.parse_special, options.cancel,
      [&](std::string_view part) {
        parts_->encode_text(part, after_special, options, ids);
        after_special = false;
      },
      [&](TokenId id) {
        ids.push_back(id);
        after_special = true;
      });
  if (options.add_special && special.adds_eos) ids.push_back(*special.eos);
  return ids;
} catch (...) {
  detail::rethrow_at_border("Tokenizer::encode");
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, DecodeOptions options) const try {
  std::string text;
  bool at_start = parts_->adds_space_prefix && options.strip_added_space;
  for (const TokenId id : tokens) {
    std::string_view piece = this->piece(id);
    if (is_control(id)) {
      if (!options.skip_special) text.append(piece);
      continue;
    }
    if (at_start && piece.substr(0, 1) == " ") piece.remove_prefix(1);
    at_start = false;
    text.append(piece);
  }
  return text;
} catch (...) {
  detail::rethrow_at_border("Tokenizer::decode");
}

std::int32_t Tokenizer::vocabulary_size() const {
  return parts_->vocabulary.size();
}

std::string_view Tokenizer::piece(TokenId token) const {
  parts_->check(token);
  return parts_->vocabulary.piece(token);
}

std::string_view Tokenizer::raw_text(TokenId token) const {
  parts_->check(token);
  return parts_->vocabulary.raw(token);
}

TokenKind Tokenizer::kind(TokenId token) const {
  parts_->check(token);
  return parts_->vocabulary.kind(token);
}

std::optional<TokenId> Tokenizer::find(std::string_view raw_text) const {
  const TokenId id = parts_->vocabulary.find(raw_text);
  return id >= 0 ? std::optional<TokenId>(id) : std::nullopt;
}

bool Tokenizer::is_end_of_generation(TokenId token) const {
  parts_->check(token);
  return parts_->special.ends_generation(token);
}

const std::vector<TokenId>& Tokenizer::end_of_generation() const {
  return parts_->special.end_of_generation;
}

std::optional<TokenId> Tokenizer::bos() const {
  return parts_->special.bos;
}
std::optional<TokenId> Tokenizer::eos() const {
  return parts_->special.eos;
}
std::optional<TokenId> Tokenizer::eot() const {
  return parts_->special.eot;
}
std::optional<TokenId> Tokenizer::eom() const {
  return parts_->special.eom;
}
std::optional<TokenId> Tokenizer::unknown() const {
  return parts_->special.unknown;
}
std::optional<TokenId> Tokenizer::pad() const {
  return parts_->special.pad;
}
std::optional<TokenId> Tokenizer::separator() const {
  return parts_->special.separator;
}
const FimTokens& Tokenizer::fim() const {
  return parts_->special.fim;
}
bool Tokenizer::adds_bos() const {
  return parts_->special.adds_bos;
}
bool Tokenizer::adds_eos() const {
  return parts_->special.adds_eos;
}
bool Tokenizer::doubles_bos(std::span<const TokenId> ids) const {
  return adds_bos() && ids.size() > 1 && ids[0] == *bos() && ids[1] == *bos();
}
bool Tokenizer::adds_space_prefix() const {
  return parts_->adds_space_prefix;
}
bool Tokenizer::normalizes() const {
  return parts_->normalizes;
}
std::string_view Tokenizer::model() const {
  return parts_->model;
}
std::string_view Tokenizer::pre_tokenizer() const {
  return parts_->pre_tokenizer;
}

}  // namespace ingot
