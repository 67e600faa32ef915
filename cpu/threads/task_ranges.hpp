// Who does which task: each worker gets a contiguous share, so that it reads memory in one stream
// (two workers that take turns in one region read it at two thirds of the speed), and takes from
// the end of another's share when its own is done. Tasks are taken in runs: long ones first, so
// that a kernel can treat neighbours as one, then shorter ones, so that all workers end together.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace ingot::internal::cpu {

/// Neighbouring tasks [begin, end).
struct TaskRun {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool empty() const { return begin >= end; }
};

class TaskRanges {
 public:
  explicit TaskRanges(int workers) : shares_(static_cast<std::size_t>(workers)) {}

  /// Gives a worker its share of tasks 0 .. count - 1 (at most 2^32 - 1). Every worker's share must
  /// be dealt before any worker takes.
  void deal(int worker, std::int64_t count) {
    const auto workers = static_cast<std::int64_t>(shares_.size());
    const std::int64_t begin = count * worker / workers;
    const std::int64_t end = count * (worker + 1) / workers;
    share(worker).store(pack(begin, end), std::memory_order_relaxed);
  }

  void deal_all(std::int64_t count) {
    for (int worker = 0; worker < static_cast<int>(shares_.size()); ++worker) deal(worker, count);
  }

  /// Tasks that nobody else gets; empty when none is left.
  TaskRun take(int worker) {
    TaskRun run = take_from(share(worker), true);
    const auto workers = static_cast<int>(shares_.size());
    for (int i = 1; i < workers && run.empty(); ++i) {
      run = take_from(share((worker + i) % workers), false);
    }
    return run;
  }

 private:
  struct alignas(64) Share {
    std::atomic<std::uint64_t> range{0};  ///< begin below, end above
  };

  std::atomic<std::uint64_t>& share(int worker) {
    return shares_[static_cast<std::size_t>(worker)].range;
  }

  static std::uint64_t pack(std::int64_t begin, std::int64_t end) {
    return static_cast<std::uint64_t>(begin) | static_cast<std::uint64_t>(end) << 32;
  }

  /// Three quarters of what is left from the front, where its worker is at home; half from the
  /// back.
  static TaskRun take_from(std::atomic<std::uint64_t>& range, bool from_front) {
    std::uint64_t seen = range.load(std::memory_order_relaxed);
    while (true) {
      const auto begin = static_cast<std::int64_t>(seen & 0xffffffffU);
      const auto end = static_cast<std::int64_t>(seen >> 32);
      if (begin >= end) return {};
      const std::int64_t left = end - begin;
      const std::int64_t count = from_front ? left - left / 4 : left - left / 2;
      const std::uint64_t rest = from_front ? pack(begin + count, end) : pack(begin, end - count);
      if (range.compare_exchange_weak(seen, rest, std::memory_order_relaxed)) {
        return from_front ? TaskRun{begin, begin + count} : TaskRun{end - count, end};
      }
    }
  }

  std::vector<Share> shares_;
};

}  // namespace ingot::internal::cpu
