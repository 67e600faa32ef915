// The memory of a runner's states: pages of kPageTokens positions, the same page number in every
// state of a group. Which sequence owns which page is the session's business
// (src/state/grouped_states.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ingot::internal {

class StatePool {
 public:
  virtual ~StatePool() = default;

  /// Bytes of one page over all states of a group; 0 if it has none.
  virtual std::uint64_t page_bytes(std::int32_t group) const = 0;
  virtual std::int64_t page_count(std::int32_t group) const = 0;

  /// Copies one page in every state of the group.
  virtual void copy_page(std::int32_t group, std::int32_t from, std::int32_t to) = 0;

  /// Reads or writes one page over all states of a group, `page_bytes(group)` bytes in the
  /// canonical order: per state its keys, then its values (unless they are in the keys), each [kv
  /// head][position in page][row bytes]. Reading gives zeros for all but the first `positions` of
  /// the page: what lies there may be another sequence's.
  virtual void read_page(std::int32_t group, std::int32_t page, std::int64_t positions,
                         std::span<std::byte> out) = 0;
  virtual void write_page(std::int32_t group, std::int32_t page, std::span<const std::byte> in) = 0;
};

}  // namespace ingot::internal
