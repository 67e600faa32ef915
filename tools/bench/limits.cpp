#include "bench/limits.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "ingot/error.hpp"

namespace ingot::tools {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough that starting the threads and one time slice of another program do not decide it,
// short beside a repetition.
constexpr std::chrono::milliseconds kProbeTime{60};

constexpr std::uint64_t kLargestBuffer = std::uint64_t{4} << 30;

/// Calls work(thread) on `count` threads that begin together, and sums what they return.
double sum_over_threads(int count, const std::function<double(int)>& work) {
  std::atomic<int> waiting = count;
  std::vector<double> results(static_cast<std::size_t>(count));
  const auto body = [&](int thread) {
    waiting.fetch_sub(1);
    while (waiting.load() > 0) std::this_thread::yield();
    results[static_cast<std::size_t>(thread)] = work(thread);
  };
  std::vector<std::thread> threads;
  try {
    for (int i = 1; i < count; ++i) threads.emplace_back(body, i);
  } catch (...) {
    waiting.store(0);  // those that wait go on, so that they can be joined
    for (std::thread& thread : threads) thread.join();
    throw;
  }
  body(0);
  for (std::thread& thread : threads) thread.join();
  double sum = 0;
  for (const double result : results) sum += result;
  return sum;
}

/// Calls once() until kProbeTime is over; returns how much per second, `amount` being one call's.
template <class Once>
double rate(double amount, Once once) {
  const auto start = Clock::now();
  double done = 0;
  Clock::duration elapsed{};
  do {
    once();
    done += amount;
    elapsed = Clock::now() - start;
  } while (elapsed < kProbeTime);
  return done / std::chrono::duration<double>(elapsed).count();
}

}  // namespace

void UnmapMemory::operator()(std::byte* data) const {
  ::munmap(data, bytes);
}

std::string kernel_isa(const DeviceInfo& device) {
  const std::string end = " kernels";
  const std::string& text = device.description;
  if (text.size() < end.size() || text.substr(text.size() - end.size()) != end) return {};
  const std::string front = text.substr(0, text.size() - end.size());
  const std::size_t space = front.rfind(' ');
  return space == std::string::npos ? front : front.substr(space + 1);
}

const MultiplyAddLoop& multiply_add_loop(const DeviceInfo& device) {
  const bool uses_tiles = kernel_isa(device) == "amx" && tile_loop() != nullptr;
  return uses_tiles ? *tile_loop() : probe_loops().multiply_add;
}

Limits::Limits(int threads, std::uint64_t weight_bytes, const DeviceInfo& device)
    : threads_(std::max(1, threads)), multiply_add_(multiply_add_loop(device)) {
  const std::uint64_t most =
      std::min(kLargestBuffer, device.memory_available.value_or(kLargestBuffer) / 2);
  const auto wanted = static_cast<std::size_t>(std::min(weight_bytes, most));
  const auto count = static_cast<std::size_t>(threads_);
  slice_ = std::max<std::size_t>(1, wanted / count / kProbeBlock) * kProbeBlock;
  bytes_ = slice_ * count;
  void* memory =
      ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail(ErrorCode::out_of_memory, "no memory for the ", bytes_,
         " bytes that the read bandwidth is measured with; free some and try again");
  }
#if defined(MADV_HUGEPAGE)
  // As the packed weights lie (cpu/quant/pack.cpp); also as they, each thread's share in one piece.
  (void)::madvise(memory, bytes_, MADV_HUGEPAGE);
#endif
  data_ =
      std::unique_ptr<std::byte, UnmapMemory>(static_cast<std::byte*>(memory), UnmapMemory{bytes_});
  // Written by the thread that will read it, so that it lies in that thread's memory.
  sum_over_threads(threads_, [this](int thread) {
    std::memset(data_.get() + slice_ * static_cast<std::size_t>(thread), 1, slice_);
    return 0.0;
  });
}

double Limits::read_bandwidth() const {
  return sum_over_threads(threads_, [this](int thread) {
    const std::byte* slice = data_.get() + slice_ * static_cast<std::size_t>(thread);
    volatile std::uint64_t sink = 0;
    return rate(static_cast<double>(slice_), [&] { sink = probe_loops().read(slice, slice_); });
  });
}

double Limits::multiply_add_peak() const {
  return sum_over_threads(threads_, [&](int) {
    volatile float sink = 0;
    return rate(multiply_add_.flops_per_round * static_cast<double>(multiply_add_.rounds),
                [&] { sink = multiply_add_.run(multiply_add_.rounds); });
  });
}

}  // namespace ingot::tools
