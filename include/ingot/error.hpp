// The one exception type of the library. Everything that can go wrong with a file, a request or a
// machine arrives as ingot::Error; nothing in the library aborts, exits or prints.
#pragma once

#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "ingot/export.hpp"
#include "ingot/printable.hpp"

namespace ingot {

enum class ErrorCode {
  invalid_argument,  ///< the caller asked for something that has no meaning; fix the call
  io,                ///< the operating system refused: open, read, map, write
  bad_file,          ///< the file's bytes are not what its format demands
  unsupported,       ///< well-formed, but this library (or this device) does not do it
  out_of_memory,     ///< refused before allocation: it does not fit, the message has the numbers
  cancelled,         ///< the caller asked to stop
  internal,          ///< a bug in the library
};

/// The code's stable lower-case name, e.g. "bad_file".
constexpr std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::io: return "io";
    case ErrorCode::bad_file: return "bad_file";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::internal: return "internal";
  }
  return "unknown";
}

/// A failure: `what()` is one line that names the file, tensor or field and says what to do. Names
/// out of a file are in it as printable() shows them, so that it can go to a terminal or a log.
class INGOT_API Error : public std::exception {
 public:
  Error(ErrorCode code, std::string_view message) : code_(code), message_(printable(message)) {}

  ErrorCode code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
};

namespace detail {

/// Joins its arguments as `operator<<` would print them; used to build messages.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace detail

/// Throws Error(code, the parts joined).
template <class... Parts>
[[noreturn]] void fail(ErrorCode code, const Parts&... parts) {
  throw Error(code, detail::concat(parts...));
}

}  // namespace ingot
