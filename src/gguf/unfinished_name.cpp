#include "src/gguf/unfinished_name.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>

namespace ingot::internal {
namespace {

enum class State : int { free, changing, set };

struct Place {
  std::atomic<State> state{State::free};
  pid_t process = 0;  // a forked child's end is not the end of its parent's files
  std::array<char, 4096> path{};
};
static_assert(std::atomic<State>::is_always_lock_free, "read by signal handlers");

std::array<Place, 16> places;

}  // namespace

void UnfinishedName::set(const char* path) noexcept {
  clear();
  const std::size_t length = std::strlen(path);
  if (length >= places[0].path.size()) return;
  for (std::size_t i = 0; i < places.size(); ++i) {
    State expected = State::free;
    if (!places[i].state.compare_exchange_strong(expected, State::changing)) continue;
    std::memcpy(places[i].path.data(), path, length + 1);
    places[i].process = ::getpid();
    places[i].state = State::set;
    place_ = static_cast<int>(i);
    return;
  }
}

void UnfinishedName::clear() noexcept {
  if (place_ < 0) return;
  places[static_cast<std::size_t>(place_)].state = State::free;
  place_ = -1;
}

void UnfinishedName::remove_all() noexcept {
  for (Place& place : places) {
    if (place.state == State::set && place.process == ::getpid()) ::unlink(place.path.data());
  }
}

}  // namespace ingot::internal
