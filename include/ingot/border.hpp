// What every public function promises: whatever goes wrong, also in the arguments, is an Error.
#pragma once

#include <memory>
#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "ingot/error.hpp"

namespace ingot {

namespace detail {

/// Ends a public function's catch-all: throws what was caught again, but memory that cannot be had
/// (or a size that no container takes) as an Error out_of_memory, since a caller is promised that
/// everything that goes wrong arrives as an Error. What callbacks throw passes through.
[[noreturn]] inline void rethrow_at_border(std::string_view function) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::out_of_memory, function, ": the system has no memory for this; ask for less");
  } catch (const std::length_error&) {
    fail(ErrorCode::out_of_memory, function, ": this is larger than memory can be; ask for less");
  }
}

/// The pointer itself; Error invalid_argument for a null one.
template <class Pointer>
Pointer required(Pointer pointer, std::string_view function, std::string_view what) {
  if (pointer == nullptr) {
    fail(ErrorCode::invalid_argument, function, " needs ", what, ", not a null pointer");
  }
  return pointer;
}

/// The inside of a movable object: its use after a move is an Error invalid_argument.
template <class T>
class Inside {
 public:
  explicit Inside(std::unique_ptr<T> inside) noexcept : inside_(std::move(inside)) {}

  T* operator->() const { return &**this; }
  T& operator*() const {
    if (inside_ == nullptr) {
      fail(ErrorCode::invalid_argument,
           "an object was used whose contents had been moved to another one");
    }
    return *inside_;
  }
  T* get() const noexcept { return inside_.get(); }

 private:
  std::unique_ptr<T> inside_;
};

}  // namespace detail

}  // namespace ingot
