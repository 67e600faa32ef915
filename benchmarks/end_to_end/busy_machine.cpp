// Generated tokens per second with one thread and with two, on a machine that is left alone and on
// one where every processor also has a process that never waits. Two threads of a busy machine must
// not be slower than half of one thread's speed: a thread that the system takes off its processor
// holds up the others only as long as it is in the middle of a task (cpu/threads/phases.hpp).
//
//   build/release/bin/busy_machine MODEL.gguf [ROUNDS [SECONDS]]
//
// Rounds are interleaved; the table has medians over them, and of the ratio in each round.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <vector>

#include "ingot/session.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// A process on each processor that this one may use, as long as the object lives.
class Competitors {
 public:
  Competitors() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    (void)sched_getaffinity(0, sizeof allowed, &allowed);
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
      if (!CPU_ISSET(processor, &allowed)) continue;
      const pid_t parent = getpid();
      const pid_t child = fork();
      if (child == 0) compete(processor, parent);
      if (child > 0) children_.push_back(child);
    }
  }
  ~Competitors() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  Competitors(const Competitors&) = delete;
  Competitors& operator=(const Competitors&) = delete;

 private:
  [[noreturn]] static void compete(int processor, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
    for (volatile unsigned count = 0;;) count = count + 1;
  }

  std::vector<pid_t> children_;
};

/// Tokens per second over about `seconds`.
double speed(ingot::Session& session, ingot::SequenceId sequence, double seconds) {
  const std::int64_t context = session.context();
  const auto begin = Clock::now();
  double passed = 0;
  std::int64_t tokens = 0;
  while (passed < seconds) {
    if (session.position(sequence) == context) session.rewind(sequence, 0);
    const std::array<ingot::TokenId, 1> token = {static_cast<ingot::TokenId>(tokens % 100)};
    (void)session.step({{sequence, token}});
    ++tokens;
    passed = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return static_cast<double>(tokens) / passed;
}

int run(const char* path, int rounds, double seconds) {
  const auto model = ingot::Model::open(path);
  std::vector<ingot::Session> sessions;
  std::vector<ingot::SequenceId> sequences;
  for (const int threads : {1, 2}) {
    ingot::LoadOptions options;
    options.run.context = 128;
    options.compile.threads = threads;
    sessions.emplace_back(ingot::Executable::load(model, options));
    sequences.push_back(sessions.back().open());
    (void)speed(sessions.back(), sequences.back(), 0.2);
  }
  std::printf("%-10s %14s %14s %12s\n", "machine", "1 thread", "2 threads", "ratio");
  for (const bool is_busy : {false, true}) {
    std::vector<double> one;
    std::vector<double> two;
    std::vector<double> ratio;
    for (int round = 0; round < rounds; ++round) {
      const auto competitors = is_busy ? std::make_unique<Competitors>() : nullptr;
      one.push_back(speed(sessions[0], sequences[0], seconds));
      two.push_back(speed(sessions[1], sequences[1], seconds));
      ratio.push_back(two.back() / one.back());
    }
    const auto [low, high] = std::minmax_element(ratio.begin(), ratio.end());
    std::printf("%-10s %10.1f t/s %10.1f t/s %6.2f (%.2f to %.2f)\n",
                is_busy ? "busy" : "left alone", median(one), median(two), median(ratio), *low,
                *high);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s MODEL.gguf [ROUNDS [SECONDS]]\n", argv[0]);
    return 2;
  }
  try {
    return run(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 9,
               argc > 3 ? std::atof(argv[3]) : 1.0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
