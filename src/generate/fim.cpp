#include "ingot/fim.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/generate/utf8.hpp"

namespace ingot {

using namespace internal;

namespace {

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};

/// Ids of text that continues something: without the space that SentencePiece puts in front. The
/// published encoders get it by encoding the text behind a character that joins with nothing and
/// dropping that character's ids; whether it joined is checked here.
std::vector<TokenId> encode_continuation(const Tokenizer& tokenizer, std::string_view text) {
  if (text.empty()) return {};
  if (tokenizer.adds_space_prefix()) {
    for (const std::string_view mark : {"\u263A", "\n", "\x01"}) {
      const std::vector<TokenId> alone = tokenizer.encode(mark, kPlain);
      std::vector<TokenId> both = tokenizer.encode(std::string(mark) + std::string(text), kPlain);
      if (both.size() > alone.size() && std::equal(alone.begin(), alone.end(), both.begin())) {
        both.erase(both.begin(), both.begin() + static_cast<std::ptrdiff_t>(alone.size()));
        return both;
      }
    }
  }
  return tokenizer.encode(text, kPlain);
}

FimOrder choose_order(const FimTokens& marks, FimOrder wanted) {
  std::string missing;
  const auto require = [&missing](const std::optional<TokenId>& mark, const char* name) {
    if (!mark) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  require(marks.prefix, "prefix");
  require(marks.suffix, "suffix");
  if (!missing.empty() || wanted == FimOrder::prefix_suffix_middle) require(marks.middle, "middle");
  if (!missing.empty()) {
    fail(ErrorCode::unsupported, "fill-in-the-middle",
         wanted == FimOrder::prefix_suffix_middle ? " with the prefix first" : "",
         ": the model file has no token for: ", missing,
         "; use a model that was trained to fill in");
  }
  if (wanted != FimOrder::automatic) return wanted;
  return marks.middle ? FimOrder::prefix_suffix_middle : FimOrder::suffix_prefix_middle;
}

/// Whether text may be cut in front of ids[index].
bool begins_character(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
                      std::size_t index) {
  if (index >= ids.size()) return true;
  const std::string_view piece = tokenizer.piece(ids[index]);
  return piece.empty() || !is_utf8_continuation(piece.front());
}

/// Tokens that a cut moves by at most: a character has three bytes behind its first one. Where even
/// that does not find a beginning the text is no UTF-8, and there is nothing to keep whole.
constexpr std::size_t kLongestMove = 3;

void keep_last(const Tokenizer& tokenizer, std::vector<TokenId>& ids, std::size_t count) {
  const std::size_t cut = ids.size() - std::min(count, ids.size());
  std::size_t first = cut;
  while (first - cut < kLongestMove && !begins_character(tokenizer, ids, first)) ++first;
  if (!begins_character(tokenizer, ids, first)) first = cut;
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(first));
}

void keep_first(const Tokenizer& tokenizer, std::vector<TokenId>& ids, std::size_t count) {
  const std::size_t cut = std::min(count, ids.size());
  std::size_t end = cut;
  while (end > 0 && cut - end < kLongestMove && !begins_character(tokenizer, ids, end)) --end;
  if (end > 0 && !begins_character(tokenizer, ids, end)) end = cut;
  ids.resize(end);
}

}  // namespace

FimPrompt build_fim_prompt(const Tokenizer& tokenizer, std::string_view prefix,
                           std::string_view suffix, const FimOptions& options) try {
  if (options.token_limit < 0) {
    fail(ErrorCode::invalid_argument, "fill-in-the-middle: token_limit is ", options.token_limit,
         "; it must be 0 (no limit) or more");
  }
  if (options.trim_reserve < 0) {
    fail(ErrorCode::invalid_argument, "fill-in-the-middle: trim_reserve is ", options.trim_reserve,
         "; it must be 0 or more");
  }
  const FimTokens& marks = tokenizer.fim();
  FimPrompt prompt;
  prompt.order = choose_order(marks, options.order);
  std::vector<TokenId> before = tokenizer.encode(prefix, kPlain);
  if (prefix.empty()) before.clear();
  std::vector<TokenId> after = encode_continuation(tokenizer, suffix);

  const std::optional<TokenId> bos = tokenizer.bos();
  const bool adds_bos = tokenizer.adds_bos() && bos.has_value();
  const std::size_t mark_count = (adds_bos ? 1U : 0U) + 2U + (marks.middle ? 1U : 0U);
  const std::size_t wanted = mark_count + before.size() + after.size();
  const auto limit = static_cast<std::size_t>(options.token_limit);
  if (limit != 0 && wanted > limit) {
    if (!options.trim || limit < mark_count) {
      fail(ErrorCode::invalid_argument, "fill-in-the-middle: the prompt has ", wanted,
           " tokens (prefix ", before.size(), ", suffix ", after.size(), ", marks ", mark_count,
           ") and ", limit, " are allowed; shorten the texts or enlarge the context",
           options.trim ? "" : ", or allow trimming");
    }
    const auto reserve =
        static_cast<std::size_t>(std::min(options.trim_reserve, options.token_limit / 2));
    // With a small limit the marks may need what the answer was to get.
    const std::size_t room = std::max(limit - reserve, mark_count) - mark_count;
    const std::size_t prefix_least = std::min(before.size(), room - room / 4);
    const std::size_t suffix_room = std::min(after.size(), room - prefix_least);
    const std::size_t prefix_room = room - suffix_room;
    const std::size_t prefix_size = before.size();
    const std::size_t suffix_size = after.size();
    keep_last(tokenizer, before, prefix_room);
    keep_first(tokenizer, after, suffix_room);
    prompt.prefix_tokens_dropped = static_cast<std::int64_t>(prefix_size - before.size());
    prompt.suffix_tokens_dropped = static_cast<std::int64_t>(suffix_size - after.size());
  }

  std::vector<TokenId>& ids = prompt.ids;
  const auto append = [&ids](const std::vector<TokenId>& part) {
    ids.insert(ids.end(), part.begin(), part.end());
  };
  if (adds_bos) ids.push_back(*bos);
  if (prompt.order == FimOrder::prefix_suffix_middle) {
    ids.push_back(*marks.prefix);
    append(before);
    ids.push_back(*marks.suffix);
    append(after);
    ids.push_back(*marks.middle);
  } else if (marks.middle) {
    ids.push_back(*marks.prefix);
    ids.push_back(*marks.suffix);
    append(after);
    ids.push_back(*marks.middle);
    append(before);
  } else {
    ids.push_back(*marks.suffix);
    append(after);
    ids.push_back(*marks.prefix);
    append(before);
  }
  for (const auto& mark :
       {marks.prefix, marks.suffix, marks.middle, marks.pad, marks.repository, marks.separator}) {
    if (mark) prompt.stop_ids.push_back(*mark);
  }
  return prompt;
} catch (...) {
  detail::rethrow_at_border("build_fim_prompt");
}

}  // namespace ingot
