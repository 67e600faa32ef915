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
      process_(getpid()),
      inside_(static_cast<std::size_t>(size_)) {
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
  ring();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void ThreadPool::require_threads() const {
  if (threads_.empty() || getpid() == process_) return;
  fail(ErrorCode::invalid_argument,
       "this model was loaded before fork() and its threads exist only in the parent process; "
       "load it in the child");
}

void ThreadPool::ring() {
  bell_.fetch_add(1);  // wraps around
  bell_.notify_all();
}

void ThreadPool::run(const Body& body) {
  if (threads_.empty()) {
    body(0);
    return;
  }
  require_threads();
  body_ = &body;
  ring();
  body(0);
  // A thread says that it is inside before it looks for the body, and the body is taken away before
  // anybody is looked for inside: in the one order of these four, one of the two sees the other.
  body_ = nullptr;
  for (std::size_t i = 1; i < inside_.size(); ++i) wait_while_equal(inside_[i].value, 1, spin_);
}

void ThreadPool::work(int index) {
  std::atomic<int>& inside = inside_[static_cast<std::size_t>(index)].value;
  int seen = 0;  // rings start at 0, before any thread does
  while (true) {
    wait_while_equal(bell_, seen, spin_);
    if (stopping_) return;
    // Looked at before the work: a ring that comes meanwhile is not missed.
    seen = rings();
    if (body_ == nullptr) continue;
    inside = 1;
    if (const Body* body = body_; body != nullptr) (*body)(index);
    inside = 0;
    if (body_ == nullptr) inside.notify_one();  // the run has ended, and may wait for this thread
  }
}

}  // namespace ingot::internal::cpu
