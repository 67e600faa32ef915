// Names out of files on their way to a terminal. If these fail, a model file can clear the screen,
// retitle the window or forge a line of a log.
#include "ingot/printable.hpp"

#include <gtest/gtest.h>

#include <string>

#include "ingot/error.hpp"
#include "ingot/gguf.hpp"

namespace ingot {
namespace {

TEST(Printable, EscapesWhatATerminalActsOn) {
  EXPECT_EQ(printable("evil\x1b[2J\x1b]0;pwn\x07\nsecond\r\tline"),
            "evil\\x1b[2J\\x1b]0;pwn\\x07\\x0asecond\\x0d\\x09line");
  EXPECT_EQ(printable(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(printable("\u0080\u009b31m\u009f\u00a0"), "\\u{0080}\\u{009b}31m\\u{009f}\u00a0");
  EXPECT_EQ(printable("a\u2028b\u2029c"), "a\\u{2028}b\\u{2029}c");
  EXPECT_EQ(printable("\u202egnp.exe\u2066\u200f"), "\\u{202e}gnp.exe\\u{2066}\\u{200f}");
}

TEST(Printable, BytesThatAreNoUtf8AreEscapedOneByOne) {
  EXPECT_EQ(printable("\x9b"
                      "2J"),
            "\\x9b2J");
  EXPECT_EQ(printable("\xc3"), "\\xc3");
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");           // overlong
  EXPECT_EQ(printable("\xe0\x82\x9b"), "\\xe0\\x82\\x9b");  // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("\xe2\x82"
                      "a"),
            "\\xe2\\x82"
            "a");
}

TEST(Printable, LeavesAllElseAndItsOwnResult) {
  const std::string text = "blk.0.attn_q.weight 'C:\\x' caf\u00e9 \u6f22\u5b57 \U0001f600 Ġ▁";
  EXPECT_EQ(printable(text), text);
  const std::string escaped = printable("\x1b\u009b\xff");
  EXPECT_EQ(printable(escaped), escaped);
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, LinesStayWhereTheyAreMeant) {
  EXPECT_EQ(printable_lines("a\x1b\nb\r\n\nc"), "a\\x1b\nb\\x0d\n\nc");
}

TEST(Printable, QuotedNamesAreCutBetweenCharacters) {
  EXPECT_EQ(gguf::quoted("a\x1b"), "'a\\x1b'");
  const std::string ascii(80, 'x');
  EXPECT_EQ(gguf::quoted(ascii), "'" + ascii + "'");
  EXPECT_EQ(gguf::quoted(ascii + "y"), "'" + ascii + "...'");
  const std::string before(78, 'x');
  EXPECT_EQ(gguf::quoted(before + "\u6f22\u5b57"), "'" + before + "...'");
}

TEST(Printable, MessagesOfErrorsAreOneLine) {
  const Error error(ErrorCode::bad_file, "tensor 'x\x1b[31m\ny' is missing");
  EXPECT_STREQ(error.what(), "tensor 'x\\x1b[31m\\x0ay' is missing");
  try {
    fail(ErrorCode::io, "'", "a\nb", "': ", 7);
  } catch (const Error& thrown) {
    EXPECT_STREQ(thrown.what(), "'a\\x0ab': 7");
  }
}

}  // namespace
}  // namespace ingot
