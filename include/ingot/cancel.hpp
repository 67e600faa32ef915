// Asking running work to stop, from another thread or from a signal handler.
//
//   ingot::Cancel cancel;                          // made before the work starts
//   std::thread([cancel] { cancel.request(); });   // any copy will do
//   auto ids = tokenizer->encode(text, {.cancel = cancel});  // Error cancelled, once it is asked
//   for
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace ingot {

/// A handle to one flag, which its copies share. Once it is raised it stays so: a new piece of work
/// takes a new Cancel.
///
/// Thread safety: request() and requested() may be called at once from any number of threads and
/// from signal handlers, on the same handle or on copies; they take no lock and no memory. As with
/// other values, assigning to a handle or destroying it while another thread uses that very handle
/// is a race: give each thread its own copy.
class Cancel {
 public:
  /// A flag of its own, not raised. Takes memory: std::bad_alloc is possible.
  Cancel() : flag_(new Flag) {}

  /// Holds no flag and takes no memory: requested() is always false and request() does nothing.
  /// What options hold by default.
  static constexpr Cancel never() noexcept { return Cancel(nullptr); }

  // A handle that is moved from is as never().
  constexpr Cancel(const Cancel& other) noexcept : flag_(other.flag_) {
    if (flag_ != nullptr) flag_->handles.fetch_add(1, std::memory_order_relaxed);
  }
  constexpr Cancel(Cancel&& other) noexcept : flag_(std::exchange(other.flag_, nullptr)) {}
  constexpr Cancel& operator=(Cancel other) noexcept {
    std::swap(flag_, other.flag_);
    return *this;
  }
  constexpr ~Cancel() {
    if (flag_ != nullptr && flag_->handles.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete flag_;
    }
  }

  /// Raises the flag, for this handle and all its copies. What happened before is visible to
  /// whoever sees the flag raised.
  void request() const noexcept {
    if (flag_ != nullptr) flag_->raised.store(true, std::memory_order_release);
  }

  /// Whether the flag is raised. One load: cheap enough for inner loops over rows or kilobytes.
  bool requested() const noexcept {
    return flag_ != nullptr && flag_->raised.load(std::memory_order_acquire);
  }

  /// False for never(), whose requested() need not be asked.
  constexpr bool can_be_requested() const noexcept { return flag_ != nullptr; }

 private:
  // Counted here rather than by std::shared_ptr, so that options with a Cancel can be constexpr.
  struct Flag {
    std::atomic<bool> raised = false;
    std::atomic<std::size_t> handles = 1;
  };
  static_assert(std::atomic<bool>::is_always_lock_free,
                "a signal handler may touch lock-free atomics only");

  constexpr explicit Cancel(std::nullptr_t) noexcept {}

  Flag* flag_ = nullptr;
};

}  // namespace ingot
