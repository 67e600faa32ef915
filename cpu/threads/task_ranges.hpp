// Who does which task: each worker gets a contiguous share, so that it reads memory in one stream
// (two workers that take turns in one region read it at two thirds of the speed), and takes from
// the end of another's share when its own is done. Tasks are taken in runs: long ones first, so
// that a kernel can treat neighbours as one, then shorter ones, so that all workers end together.
//
// Work comes in phases. A share belongs to the phase whose number stands in it; one with an older
// number is a full share of the phase that runs, which nobody has touched yet. So nobody deals
// shares out, and a worker that comes late can neither take tasks of a phase that is over nor be
// missing from the next.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace ingot::internal::cpu {

/// Neighbouring tasks [begin, end).
struct TaskRun {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool empty() const { return begin >= end; }
  std::int64_t size() const { return end - begin; }
};

class TaskRanges {
 public:
  /// Numbers of phases are 1 to this.
  static constexpr std::uint32_t kMostPhases = (1U << 16) - 1;

  struct Phase {
    std::uint32_t number = 0;  ///< larger than that of every phase before
    std::int64_t tasks = 0;    ///< 0 .. tasks - 1
  };

  explicit TaskRanges(int workers) : shares_(static_cast<std::size_t>(workers)) {}

  /// Numbers may begin at 1 again. Nobody may be taking.
  void restart() {
    for (Share& share : shares_) share.word.store(0, std::memory_order_relaxed);
  }

  /// Tasks that nobody else gets; empty when none is left, as in every phase before the last that
  /// anybody took from. A phase begins when the one before has no task left.
  TaskRun take(const Phase& phase, int worker) {
    TaskRun run = take_from(phase, worker, true);
    const auto workers = static_cast<int>(shares_.size());
    for (int i = 1; i < workers && run.empty(); ++i) {
      run = take_from(phase, (worker + i) % workers, false);
    }
    return run;
  }

 private:
  static constexpr int kBits = 24;  ///< of a position
  static constexpr std::int64_t kMostUnits = (std::int64_t{1} << kBits) - 1;

  struct alignas(64) Share {
    std::atomic<std::uint64_t> word{0};  ///< begin and end, in units, then the phase's number
  };

  static std::uint64_t pack(std::int64_t begin, std::int64_t end, std::uint32_t number) {
    return static_cast<std::uint64_t>(begin) | static_cast<std::uint64_t>(end) << kBits |
           std::uint64_t{number} << 2 * kBits;
  }

  /// Three quarters of what is left from the front, where its worker is at home; half from the
  /// back.
  TaskRun take_from(const Phase& phase, int share, bool from_front) {
    // More tasks than a position can count are taken in units of several.
    const std::int64_t unit = phase.tasks / kMostUnits + 1;
    std::atomic<std::uint64_t>& word = shares_[static_cast<std::size_t>(share)].word;
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    while (true) {
      const auto number = static_cast<std::uint32_t>(seen >> 2 * kBits);
      if (number > phase.number) return {};
      auto begin = static_cast<std::int64_t>(seen & kMostUnits);
      auto end = static_cast<std::int64_t>(seen >> kBits & kMostUnits);
      if (number < phase.number) {
        const std::int64_t units = (phase.tasks + unit - 1) / unit;
        const auto workers = static_cast<std::int64_t>(shares_.size());
        begin = units * share / workers;
        end = units * (share + 1) / workers;
      }
      if (begin >= end) return {};
      const std::int64_t left = end - begin;
      const std::int64_t count = from_front ? left - left / 4 : left - left / 2;
      const std::uint64_t rest = from_front ? pack(begin + count, end, phase.number)
                                            : pack(begin, end - count, phase.number);
      // What a failed exchange has seen is newer. A share never returns to a word that it had, so
      // one that still has the word is as it was seen.
      if (word.compare_exchange_weak(seen, rest, std::memory_order_relaxed)) {
        (from_front ? end : begin) = from_front ? begin + count : end - count;
        return {begin * unit, std::min(end * unit, phase.tasks)};
      }
    }
  }

  std::vector<Share> shares_;
};

}  // namespace ingot::internal::cpu
