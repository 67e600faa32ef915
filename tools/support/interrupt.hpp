// Ctrl-C, and the polite ways to end a program, as a stop request.
#pragma once

#include <signal.h>

#include <atomic>
#include <thread>

#include "ingot/cancel.hpp"

namespace ingot::tools {

/// While one exists, the first SIGINT (Ctrl-C), SIGTERM (kill, a batch system's limit), SIGHUP (a
/// terminal that went away) or SIGXCPU (ulimit -t) requests a stop, so that the command ends as
/// after an error, with temporary files removed; a second one ends the program at once, after
/// removing them. Make it before anything that starts threads: they inherit the blocked signals,
/// and a thread of this class waits for them, so that no code runs inside a signal handler. A
/// signal that was ignored when the program started (SIGHUP under nohup, SIGINT in a script's
/// background) stays ignored.
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
  sigset_t watched_{};
  int wake_ = 0;  ///< one of the watched signals; 0: all are ignored
  std::thread watcher_;
};

/// 128 + the number of the signal that requested a stop, as shells number it; of SIGINT if none did
/// (kInterrupted).
int interrupted_exit_code();

}  // namespace ingot::tools
