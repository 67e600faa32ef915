// Ctrl-C as a stop request.
#pragma once

#include <atomic>
#include <thread>

#include "ingot/cancel.hpp"

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

  const Cancel& cancel() const { return cancel_; }
  bool requested() const { return cancel_.requested(); }
  /// Error cancelled if a stop was requested: for work that can only be left by an exception.
  void check() const;

 private:
  Cancel cancel_;
  std::atomic<bool> done_ = false;
  std::thread watcher_;
};

}  // namespace ingot::tools
