#include <utility>

#include "ingot/border.hpp"
#include "ingot/tokenizer.hpp"
#include "src/tokenizer/unicode.hpp"

namespace ingot {

using namespace internal;

StreamingDetokenizer::StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                                           DecodeOptions options, InvalidBytes invalid)
    : tokenizer_(detail::required(std::move(tokenizer), "StreamingDetokenizer", "a tokenizer")),
      options_(options),
      invalid_(invalid) {}

std::string StreamingDetokenizer::push(TokenId token) try {
  detail::required(tokenizer_.get(), "StreamingDetokenizer::push",
                   "an object that was not moved from");
  std::string_view piece = tokenizer_->piece(token);
  if (tokenizer_->is_control(token)) {
    if (options_.skip_special) return {};
  } else {
    const bool strip = at_start_ && options_.strip_added_space && tokenizer_->adds_space_prefix();
    if (strip && piece.substr(0, 1) == " ") piece.remove_prefix(1);
    at_start_ = false;
  }
  waiting_.append(piece);
  const std::size_t tail = tokenizer::incomplete_tail(waiting_);
  const std::string_view known = std::string_view(waiting_).substr(0, waiting_.size() - tail);
  std::string text;
  if (invalid_ == InvalidBytes::replace) {
    tokenizer::append_valid_utf8(known, text);
  } else {
    text = known;
  }
  waiting_.erase(0, known.size());
  return text;
} catch (...) {
  detail::rethrow_at_border("StreamingDetokenizer::push");
}

std::string StreamingDetokenizer::finish() try {
  std::string text;
  if (invalid_ == InvalidBytes::replace) {
    tokenizer::append_valid_utf8(waiting_, text);
  } else {
    text = std::move(waiting_);
  }
  waiting_.clear();
  at_start_ = true;
  return text;
} catch (...) {
  detail::rethrow_at_border("StreamingDetokenizer::finish");
}

}  // namespace ingot
