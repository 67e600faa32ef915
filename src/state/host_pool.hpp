// Pages in host memory: used by the reference and the CPU executor. Lazily committed by the system,
// so a long context costs memory only as far as it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ingot/device.hpp"
#include "src/program/program.hpp"
#include "src/program/step.hpp"
#include "src/program/support.hpp"
#include "src/state/lazy_memory.hpp"
#include "src/state/page_layout.hpp"
#include "src/state/state_pool.hpp"

namespace ingot::internal {

/// Elements that a row of a state may have, padding included: bounds the buffers of its codecs.
inline constexpr std::int64_t kLongestStateRow = 4096;

/// Bytes of a cache row of `size` elements: padded up to whole blocks of the type.
std::uint64_t state_row_bytes(DType type, std::int64_t size);

/// Bytes of one position in one state, over its KV heads.
std::uint64_t state_position_bytes(const StateSpec& state, const CacheTypes& types);

/// Bytes of one page over all states of a group.
std::uint64_t state_page_bytes(std::span<const StateSpec> states, std::int32_t group,
                               const CacheTypes& types);
/// Of each group of a program.
std::vector<std::uint64_t> state_page_bytes(const Program& program, const CacheTypes& types);

/// Whether a HostPool can keep the state: both types among f32, f16, bf16, q8_0, q4_0, and rows no
/// longer than kLongestStateRow.
Support host_pool_supports(const StateSpec& state, const CacheTypes& types);

/// Rounds a row to the cache type: padded to whole blocks; values bound for an f16 saturate at
/// +-65504. q8_0 and q4_0 are stored rotated (row_rotation.hpp), the codes of least squared error
/// among a few scales. `out` has state_row_bytes(type, row.size()) bytes. At most
/// kLongestStateRow elements, as a HostPool checks.
void encode_state_row(DType type, std::span<const float> row, std::byte* out);
void decode_state_row(DType type, const std::byte* in, std::span<float> row);

/// One state's keys or values in a HostPool: rows [bundle of pages][kv head][page of the bundle]
/// [position in page]. The values of a latent state are the first `size` elements of its keys'
/// rows, in the same memory.
struct StateRows {
  std::byte* base = nullptr;
  DType type = DType::F32;
  std::int64_t size = 0;        ///< elements of a row
  std::uint64_t row_bytes = 0;  ///< bytes of a row, padded to whole blocks
  std::int64_t kv_head_count = 0;

  std::uint64_t page_bytes() const { return static_cast<std::uint64_t>(kPageTokens) * row_bytes; }
  std::uint64_t bundle_bytes() const {
    return static_cast<std::uint64_t>(kv_head_count * kBundlePages) * page_bytes();
  }

  /// The row of a position; the rows of the following positions of the page lie right behind it.
  std::byte* row(std::int32_t page, std::int64_t head, std::int64_t slot) const {
    return base + static_cast<std::uint64_t>(page / kBundlePages) * bundle_bytes() +
           static_cast<std::uint64_t>(head * kBundlePages + page % kBundlePages) * page_bytes() +
           static_cast<std::uint64_t>(slot) * row_bytes;
  }
};

class HostPool final : public StatePool {
 public:
  /// `page_counts`: pages of each group. Error out_of_memory when the system refuses the address
  /// space.
  HostPool(std::span<const StateSpec> states, const CacheTypes& types,
           std::span<const std::int64_t> page_counts);
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  const StateRows& keys(StateId id) const { return keys_[static_cast<std::size_t>(id.index)]; }
  const StateRows& values(StateId id) const { return values_[static_cast<std::size_t>(id.index)]; }

  std::uint64_t page_bytes(std::int32_t group) const override {
    return page_bytes_[static_cast<std::size_t>(group)];
  }
  std::int64_t page_count(std::int32_t group) const override {
    return page_counts_[static_cast<std::size_t>(group)];
  }
  void copy_page(std::int32_t group, std::int32_t from, std::int32_t to) override;
  void read_page(std::int32_t group, std::int32_t page, std::int64_t positions,
                 std::span<std::byte> out) override;
  void write_page(std::int32_t group, std::int32_t page, std::span<const std::byte> in) override;

 private:
  template <class Visit>
  void for_each_part(std::int32_t group, Visit visit);
  template <class Visit>
  void for_each_stretch(std::int32_t group, Visit visit);

  std::vector<StateRows> keys_;
  std::vector<StateRows> values_;
  std::vector<bool> values_in_keys_;
  std::vector<std::int32_t> groups_;       ///< per state
  std::vector<std::uint64_t> page_bytes_;  ///< per group
  std::vector<std::int64_t> page_counts_;  ///< per group
  LazyMemory memory_;
};

}  // namespace ingot::internal
