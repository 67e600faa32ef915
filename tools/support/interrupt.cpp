#include "support/interrupt.hpp"

#include <pthread.h>
#include <unistd.h>

#include <initializer_list>

#include "commands.hpp"
#include "ingot/error.hpp"
#include "ingot/gguf/output_file.hpp"

namespace ingot::tools {
namespace {

std::atomic<int> signal_received{0};

bool is_ignored(int signal) {
  struct sigaction current {};
  return sigaction(signal, nullptr, &current) != 0 || current.sa_handler == SIG_IGN;
}

}  // namespace

Interrupt::Interrupt() {
  sigemptyset(&watched_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU}) {
    if (is_ignored(signal)) continue;
    sigaddset(&watched_, signal);
    wake_ = signal;
  }
  if (wake_ == 0) return;
  pthread_sigmask(SIG_BLOCK, &watched_, nullptr);
  watcher_ = std::thread([this] {
    for (bool asked = false;; asked = true) {
      int signal = 0;
      sigwait(&watched_, &signal);
      if (done_) return;
      signal_received = signal;
      if (asked) {
        gguf::remove_unfinished_files();
        _exit(interrupted_exit_code());
      }
      cancel_.request();
    }
  });
}

Interrupt::~Interrupt() {
  if (!watcher_.joinable()) return;
  done_ = true;
  pthread_kill(watcher_.native_handle(), wake_);
  watcher_.join();
  pthread_sigmask(SIG_UNBLOCK, &watched_, nullptr);
}

void Interrupt::check() const {
  if (requested()) fail(ErrorCode::cancelled, "interrupted");
}

int interrupted_exit_code() {
  const int signal = signal_received;
  return signal == 0 ? kInterrupted : 128 + signal;
}

}  // namespace ingot::tools
