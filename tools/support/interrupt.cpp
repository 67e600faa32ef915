#include "support/interrupt.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "commands.hpp"
#include "ingot/error.hpp"

namespace ingot::tools {
namespace {

sigset_t interrupt_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

Interrupt::Interrupt() {
  struct sigaction current {};
  if (sigaction(SIGINT, nullptr, &current) != 0 || current.sa_handler == SIG_IGN) return;
  const sigset_t set = interrupt_set();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  watcher_ = std::thread([this, set] {
    for (bool asked = false;; asked = true) {
      int signal = 0;
      sigwait(&set, &signal);
      if (done_) return;
      if (asked) _exit(kInterrupted);
      cancel_.request();
    }
  });
}

Interrupt::~Interrupt() {
  if (!watcher_.joinable()) return;
  done_ = true;
  pthread_kill(watcher_.native_handle(), SIGINT);
  watcher_.join();
  const sigset_t set = interrupt_set();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void Interrupt::check() const {
  if (requested()) fail(ErrorCode::cancelled, "interrupted");
}

}  // namespace ingot::tools
