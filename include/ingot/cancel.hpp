// Asking running work to stop, from another thread or from a signal handler.
//
//   ingot::Cancel cancel;                          // made before the work starts
//   std::thread([cancel] { cancel.request(); });   // any copy will do
//   auto ids = tokenizer->encode(text, {.cancel = cancel});  // Error cancelled, once it is asked
//   for
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

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
  Cancel() : flag_(std::make_shared<Flag>()) {}

  /// Holds no flag and takes no memory: requested() is always false and request() does nothing.
  /// What options hold by default.
  static Cancel never() noexcept { return Cancel(nullptr); }

  // No moves: a handle that is moved from stays a handle.
  Cancel(const Cancel&) noexcept = default;
  Cancel& operator=(const Cancel&) noexcept = default;
  ~Cancel() = default;

  /// Raises the flag, for this handle and all its copies. What happened before is visible to
  /// whoever sees the flag raised.
  void request() const noexcept {
    if (flag_ != nullptr) flag_->store(true, std::memory_order_release);
  }

  /// Whether the flag is raised. One load: cheap enough for inner loops over rows or kilobytes.
  bool requested() const noexcept {
    return flag_ != nullptr && flag_->load(std::memory_order_acquire);
  }

  /// False for never(), whose requested() need not be asked.
  bool can_be_requested() const noexcept { return flag_ != nullptr; }

 private:
  using Flag = std::atomic<bool>;
  static_assert(Flag::is_always_lock_free, "a signal handler may touch lock-free atomics only");

  explicit Cancel(std::nullptr_t) noexcept {}

  std::shared_ptr<Flag> flag_;
};

}  // namespace ingot
