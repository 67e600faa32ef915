#include "src/tokenizer/normalize.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "src/tokenizer/cancelled.hpp"
#include "src/tokenizer/unicode.hpp"

namespace ingot::internal::tokenizer {
namespace {

constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

/// The code point in front of Hangul's trailing jamo. It composes with nothing, but utf8proc 2.8
/// counts it among them and drops it behind a syllable.
constexpr char32_t kBeforeTrailingJamo = 0x11A7;

bool is_ascii(char byte) {
  return static_cast<unsigned char>(byte) < 0x80;
}

/// Composes stretches of a text. The parts of form C are done one by one, since utf8proc's whole
/// puts a run of n marks in order in n² steps.
class Composer {
 public:
  Composer(const Cancel& cancel, std::string& out) : cancel_(cancel), out_(out) {}

  void append(std::string_view stretch) {
    for (std::size_t at = 0; at < stretch.size();) {
      if (codes_.size() % kBytesBetweenChecks == 0) throw_if_cancelled(cancel_);
      const Char c = decode_char(stretch, at);
      if (c.size == 1 && !is_ascii(stretch[at])) {  // no UTF-8
        flush();
        out_ += stretch[at];
      } else if (c.code == kBeforeTrailingJamo) {
        flush();
        out_.append(stretch.substr(at, c.size));
      } else {
        decompose(c.code);
      }
      at += c.size;
    }
    flush();
  }

 private:
  void decompose(char32_t code) {
    std::array<utf8proc_int32_t, 32> parts;  // the longest canonical one has 4 code points
    int last_class = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), kOptions, &last_class);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
      codes_.push_back(static_cast<utf8proc_int32_t>(code));
      return;
    }
    codes_.insert(codes_.end(), parts.begin(), parts.begin() + count);
  }

  /// Writes what was collected: marks in order, then composed.
  void flush() {
    const auto class_of = [](utf8proc_int32_t code) {
      return utf8proc_get_property(code)->combining_class;
    };
    for (auto begin = codes_.begin(); begin != codes_.end();) {
      if (class_of(*begin) == 0) {
        ++begin;
        continue;
      }
      const auto end = std::find_if(begin, codes_.end(),
                                    [&](utf8proc_int32_t code) { return class_of(code) == 0; });
      std::stable_sort(begin, end, [&](utf8proc_int32_t a, utf8proc_int32_t b) {
        return class_of(a) < class_of(b);
      });
      begin = end;
    }
    throw_if_cancelled(cancel_);
    const utf8proc_ssize_t count = utf8proc_normalize_utf32(
        codes_.data(), static_cast<utf8proc_ssize_t>(codes_.size()), kOptions);
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      std::array<utf8proc_uint8_t, 4> bytes;
      const utf8proc_ssize_t size =
          utf8proc_encode_char(codes_[static_cast<std::size_t>(i)], bytes.data());
      out_.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
    }
    codes_.clear();
  }

  const Cancel& cancel_;
  std::string& out_;
  std::vector<utf8proc_int32_t> codes_;
};

}  // namespace

void append_with_spaces(std::string_view text, std::string& out) {
  for (std::size_t at = 0;;) {
    const std::size_t mark = text.find(kSentencePieceSpace, at);
    out.append(text.substr(at, mark - at));
    if (mark == std::string_view::npos) return;
    out += ' ';
    at = mark + kSentencePieceSpace.size();
  }
}

std::string_view compose(std::string_view text, const Cancel& cancel, std::string& store) {
  auto next = std::find_if_not(text.begin(), text.end(), is_ascii);
  if (next == text.end()) return text;
  store.clear();
  store.reserve(text.size());
  Composer composer(cancel, store);
  // ASCII stays as it is, but for the character that marks may follow.
  for (auto done = text.begin(); done != text.end();) {
    const auto begin = next == done || next == text.end() ? next : next - 1;
    store.append(done, begin);
    done = std::find_if(next, text.end(), is_ascii);
    composer.append({begin, done});
    next = std::find_if_not(done, text.end(), is_ascii);
  }
  return store;
}

}  // namespace ingot::internal::tokenizer
