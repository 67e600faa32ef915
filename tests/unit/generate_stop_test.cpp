// Stop strings in text that comes in pieces. If these fail, generated text runs past a stop string,
// shows part of one, or depends on how the model happened to cut the text into tokens.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "ingot/error.hpp"
#include "src/generate/stop_matcher.hpp"
#include "src/generate/utf8.hpp"

namespace ingot::internal {
namespace {

struct Outcome {
  std::string text;
  std::string found;
};

/// Feeds the pieces; checks on the way that nothing is emitted that could still be part of a stop
/// string, by comparing with the final text.
Outcome feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  std::string text;
  for (const std::string& piece : pieces) {
    text += matcher.push(piece);
    if (matcher.stopped()) {
      EXPECT_EQ(matcher.push("more"), "");
      EXPECT_EQ(matcher.finish(), "");
      return {text, matcher.found()};
    }
  }
  return {text + matcher.finish(), matcher.found()};
}

/// Calls body with the text cut in every possible way.
void for_each_split(const std::string& text,
                    const std::function<void(const std::vector<std::string>&)>& body) {
  const std::size_t borders = text.size() - 1;
  for (std::size_t mask = 0; mask < (std::size_t{1} << borders); ++mask) {
    std::vector<std::string> pieces(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i > 0 && (mask >> (i - 1)) % 2 == 1) pieces.emplace_back();
      pieces.back() += text[i];
    }
    body(pieces);
  }
}

void expect_for_every_split(const std::string& text, const std::vector<std::string>& stops,
                            const std::string& expected, const std::string& found) {
  for_each_split(text, [&](const std::vector<std::string>& pieces) {
    const Outcome outcome = feed(stops, pieces);
    ASSERT_EQ(outcome.text, expected) << pieces.size() << " pieces of " << text;
    ASSERT_EQ(outcome.found, found);
  });
}

TEST(StopMatcherTest, EverySplitOfATextEndsAtTheSamePlace) {
  expect_for_every_split("one\n\ntwo three", {"\n\n"}, "one", "\n\n");
  expect_for_every_split("stop at once", {"stop"}, "", "stop");
  expect_for_every_split("at the end```", {"```"}, "at the end", "```");
  expect_for_every_split("no such thing", {"sucht", "thingy"}, "no such thing", "");
}

TEST(StopMatcherTest, AFailedBeginningMayHoldTheRealOne) {
  // "aab" begins twice: giving up on the first must not lose the second.
  expect_for_every_split("xaaab!", {"aab"}, "xa", "aab");
  expect_for_every_split("abababac!", {"ababac"}, "ab", "ababac");
}

TEST(StopMatcherTest, TheStopThatIsCompleteFirstWins) {
  // "b" is complete before "abc", although "abc" begins earlier.
  expect_for_every_split("xabc", {"abc", "b"}, "xa", "b");
  // Complete at the same byte: the longest.
  expect_for_every_split("xabc", {"c", "bc", "abc"}, "x", "abc");
}

TEST(StopMatcherTest, TextIsHeldBackOnlyWhileItMayBecomeAStop) {
  StopMatcher matcher({"</code>"});
  EXPECT_EQ(matcher.push("a <"), "a ");
  EXPECT_EQ(matcher.push("/co"), "");
  EXPECT_EQ(matcher.push("mment>"), "</comment>");
  EXPECT_EQ(matcher.push(" </code"), " ");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.finish(), "</code");
}

TEST(StopMatcherTest, WithoutStopsTextPassesAtOnce) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("text"), "text");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, CharactersAreNotCut) {
  // U+00E9 and U+00E8 share their first byte; "é" must come out whole.
  StopMatcher matcher({"\u00E8"});
  EXPECT_EQ(matcher.push("caf\u00E9"), "caf\u00E9");
  EXPECT_EQ(matcher.push("\u00E8re"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcherTest, StopsWithoutMeaningAreErrors) {
  for (const std::string& stop : {std::string(), std::string("\x80"), std::string("a\xC3")}) {
    try {
      StopMatcher matcher({"fine", stop});
      ADD_FAILURE() << "no Error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    }
  }
}

TEST(Utf8, OnlyWellFormedTextPasses) {
  for (const char* text :
       {"", "abc", "\u00E9", "\u20AC", "\U0001F600", "\uD7FF\uE000", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  for (const char* text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80",
                           "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3",
                           "\xE2\x82", "\xF0\x9F\x98", "\xC3(", "a\xFF"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

}  // namespace
}  // namespace ingot::internal
