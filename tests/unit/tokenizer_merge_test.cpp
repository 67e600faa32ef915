// Merging against its definition. The short and the long way must give what the definition gives,
// or a word's tokens would depend on its length.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "src/tokenizer/merge.hpp"

namespace ingot::internal::tokenizer {
namespace {

using Table = std::map<std::pair<TokenId, TokenId>, Join>;

Join find(const Table& table, TokenId left, TokenId right) {
  const auto found = table.find({left, right});
  return found != table.end() ? found->second : Join{};
}

/// As long as some pair joins: join the leftmost one of the lowest rank.
std::vector<TokenId> by_definition(std::vector<TokenId> ids, const Table& table) {
  for (;;) {
    std::size_t best = 0;
    Join join;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const Join here = find(table, ids[i], ids[i + 1]);
      if (here.rank < join.rank) {
        join = here;
        best = i;
      }
    }
    if (join.rank == kNoRank) return ids;
    ids[best] = join.id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

template <class Merge>
std::vector<TokenId> merged(const std::vector<TokenId>& ids, const Table& table,
                            const Merge& merge_by) {
  std::vector<Symbol> symbols;
  for (std::uint32_t i = 0; i < ids.size(); ++i) symbols.push_back({i, i + 1, ids[i]});
  merge_by(symbols, [&](const Symbol& left, const Symbol& right) {
    EXPECT_EQ(left.end, right.begin);
    return find(table, left.id, right.id);
  });
  std::vector<TokenId> result;
  std::uint32_t end = 0;
  for (const Symbol& symbol : symbols) {
    EXPECT_EQ(symbol.begin, end);
    end = symbol.end;
    result.push_back(symbol.id);
  }
  EXPECT_EQ(end, ids.size());
  return result;
}

/// Random merges, some of equal rank and some that outrank the ones they build on.
Table random_table(std::mt19937& random, TokenId letters, TokenId tokens) {
  Table table;
  for (TokenId id = letters; id < tokens; ++id) {
    const auto part = [&] { return static_cast<TokenId>(random() % static_cast<unsigned>(id)); };
    table.emplace(std::pair(part(), part()), Join{static_cast<std::uint32_t>(random() % 30), id});
  }
  return table;
}

TEST(Merge, BothWaysFollowTheDefinition) {
  std::mt19937 random(17);
  for (int round = 0; round < 3000; ++round) {
    const Table table = random_table(random, 3, 3 + static_cast<TokenId>(random() % 40));
    std::vector<TokenId> ids(random() % (round % 10 == 0 ? 400 : 64) + 1);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 3);
    const auto expected = by_definition(ids, table);
    ASSERT_EQ(merged(ids, table,
                     [](auto& s, const auto& j) { detail::merge_long(s, Cancel::never(), j); }),
              expected);
    ASSERT_EQ(merged(ids, table, [](auto& s, const auto& j) { merge(s, Cancel::never(), j); }),
              expected);
    if (ids.size() > detail::kShortWord) continue;
    ASSERT_EQ(merged(ids, table, [](auto& s, const auto& j) { detail::merge_short(s, j); }),
              expected);
  }
}

TEST(Merge, NothingAndOneSymbolStay) {
  std::vector<Symbol> symbols;
  const auto join = [](const Symbol&, const Symbol&) { return Join{0, 9}; };
  merge(symbols, Cancel::never(), join);
  EXPECT_TRUE(symbols.empty());
  symbols.push_back({0, 1, 5});
  merge(symbols, Cancel::never(), join);
  ASSERT_EQ(symbols.size(), 1u);
  EXPECT_EQ(symbols[0].id, 5);
}

TEST(Merge, WordsThatIndicesCannotAddressAreRefused) {
  EXPECT_NO_THROW(check_word_size(kMaxWordBytes - 1));
  EXPECT_THROW(check_word_size(kMaxWordBytes), Error);
}

}  // namespace
}  // namespace ingot::internal::tokenizer
