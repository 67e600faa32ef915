// Ctrl-C as a stop request.
#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

namespace ingot::tools {

/// While one exists, the first SIGINT requests a stop and a second one ends the program at once.
/// Make it before anything that starts threads: they inherit the blocked signal, and a thread of
/// this class waits for it, so that no code runs inside a signal handler. A program that was
/// started with SIGINT ignored (in a script's background) keeps ignoring it.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  bool requested() const { return source_.stop_requested(); }
  /// Error cancelled if a stop was requested: for work that can only be left by an exception.
  void check() const;

 private:
  std::stop_source source_;
  std::atomic<bool> done_ = false;
  std::thread watcher_;
};

}  // namespace ingot::tools
