#include "cpu/threads/thread_pool.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <system_error>

#include "cpu/threads/processor_count.hpp"
#include "ingot/error.hpp"

namespace ingot::internal::cpu {
namespace {

// Binds a thread to the processor that stands at `index` in this process's mask, if there is one.
// A refusal leaves the thread unbound: pinning is for speed, never for correctness.
void bind_to_processor(std::thread& thread, int index) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &allowed) || index-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    (void)pthread_setaffinity_np(thread.native_handle(), sizeof one, &one);
    return;
  }
}

}  // namespace

ThreadPool::ThreadPool(int size, bool pin)
    : size_(size < 1 ? 1 : size),
      spin_(size_ <= usable_processors() ? kSpinTime : SpinTime{0}),
      process_(getpid()) {
  threads_.reserve(static_cast<std::size_t>(size_ - 1));
  try {
    for (int index = 1; index < size_; ++index) {
      threads_.emplace_back([this, index] { work(index); });
      if (pin) bind_to_processor(threads_.back(), index);
    }
  } catch (const std::system_error& refused) {
    const std::size_t started = threads_.size();
    stop();
    fail(ErrorCode::out_of_memory, "the system started only ", started + 1, " of ", size_,
         " threads (", refused.what(), "); ask for fewer");
  }
}

ThreadPool::~ThreadPool() {
  if (getpid() == process_) {
    stop();
    return;
  }
  // After fork() the child has the objects but not the threads: nothing to wait for.
  for (std::thread& thread : threads_) thread.detach();
}

void ThreadPool::stop() {
  stopping_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void ThreadPool::run(const std::function<void(int)>& body) {
  if (threads_.empty()) {
    body(0);
    return;
  }
  if (getpid() != process_) {
    fail(ErrorCode::invalid_argument,
         "this model was loaded before fork() and its threads exist only in the parent process; "
         "load it in the child");
  }
  body_ = &body;
  running_.store(size_ - 1, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  body(0);
  for (int left = running_.load(std::memory_order_acquire); left != 0;
       left = running_.load(std::memory_order_acquire)) {
    wait_while_equal(running_, left, spin_);
  }
}

void ThreadPool::work(int index) {
  int seen = 0;  // rounds start at 0, before any thread does
  while (true) {
    wait_while_equal(round_, seen, spin_);
    seen = static_cast<int>(static_cast<unsigned>(seen) + 1U);
    if (stopping_) return;
    (*body_)(index);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace ingot::internal::cpu
