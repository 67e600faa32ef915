#include "src/state/host_pool.hpp"

#include <algorithm>
#include <cstring>

#include "ingot/error.hpp"
#include "src/support/checked.hpp"

namespace ingot::internal {
namespace {

std::uint64_t align_up(std::uint64_t bytes) {
  return saturating_sum(bytes, 63) / 64 * 64;
}

std::int64_t padded_size(DType type, std::int64_t size) {
  const std::int64_t block = block_size(type);
  return (size + block - 1) / block * block;
}

}  // namespace

std::uint64_t state_row_bytes(DType type, std::int64_t size) {
  return row_bytes(type, padded_size(type, size));
}

std::uint64_t state_position_bytes(const StateSpec& state, const CacheTypes& types) {
  std::uint64_t row = state_row_bytes(types.key, state.key_size);
  if (!state.values_in_keys) row += state_row_bytes(types.value, state.value_size);
  return static_cast<std::uint64_t>(state.kv_head_count) * row;
}

std::uint64_t state_page_bytes(std::span<const StateSpec> states, std::int32_t group,
                               const CacheTypes& types) {
  std::uint64_t bytes = 0;
  for (const StateSpec& s : states) {
    if (s.group != group) continue;
    bytes += static_cast<std::uint64_t>(kPageTokens) * state_position_bytes(s, types);
  }
  return bytes;
}

std::vector<std::uint64_t> state_page_bytes(const Program& program, const CacheTypes& types) {
  std::vector<std::uint64_t> bytes;
  for (std::int32_t g = 0; g < std::ssize(program.state_groups); ++g) {
    bytes.push_back(state_page_bytes(program.states, g, types));
  }
  return bytes;
}

Support host_pool_supports(const StateSpec& state, const CacheTypes& types) {
  for (const DType type : {types.key, types.value}) {
    switch (type) {
      case DType::F32:
      case DType::F16:
      case DType::BF16:
      case DType::Q8_0:
      case DType::Q4_0: break;
      default:
        return Unsupported{detail::concat("a cache of type ", to_string(type),
                                          " is not supported; use f32, f16, bf16, q8_0 or q4_0")};
    }
  }
  for (const auto& [type, size] :
       {std::pair(types.key, state.key_size),
        std::pair(state.values_in_keys ? types.key : types.value, state.value_size)}) {
    if (size <= 0 || padded_size(type, size) > kLongestStateRow) {
      return Unsupported{detail::concat(state.name, " has a head of ", size, " elements; at most ",
                                        kLongestStateRow, " are supported")};
    }
  }
  return Supported{};
}

HostPool::HostPool(std::span<const StateSpec> states, const CacheTypes& types,
                   std::span<const std::int64_t> page_counts)
    : page_counts_(page_counts.begin(), page_counts.end()) {
  const auto group_count = static_cast<std::int32_t>(page_counts.size());
  for (std::int32_t g = 0; g < group_count; ++g) {
    page_bytes_.push_back(state_page_bytes(states, g, types));
  }
  const auto describe = [&](DType type, std::int64_t size, const StateSpec& spec) {
    StateRows rows;
    rows.type = type;
    rows.size = size;
    rows.row_bytes = state_row_bytes(type, size);
    rows.kv_head_count = spec.kv_head_count;
    return rows;
  };
  for (const StateSpec& spec : states) {
    const Support support = host_pool_supports(spec, types);
    if (const auto* refused = std::get_if<Unsupported>(&support)) {
      fail(ErrorCode::unsupported, refused->reason);
    }
    if (spec.group < 0 || spec.group >= group_count) {
      fail(ErrorCode::internal, spec.name, " is in state group ", spec.group, ", of which ",
           group_count, " were given pages");
    }
    groups_.push_back(spec.group);
    keys_.push_back(describe(types.key, spec.key_size, spec));
    values_.push_back(
        describe(spec.values_in_keys ? types.key : types.value, spec.value_size, spec));
    values_in_keys_.push_back(spec.values_in_keys);
    if (spec.values_in_keys) values_.back().row_bytes = keys_.back().row_bytes;
  }
  std::vector<std::uint64_t> offsets;
  std::uint64_t total = 0;  // saturates: the system refuses what cannot be counted
  for (std::int32_t g = 0; g < group_count; ++g) {
    const std::int64_t bundles = (this->page_count(g) + kBundlePages - 1) / kBundlePages;
    for_each_part(g, [&](StateRows& rows) {
      offsets.push_back(total);
      total = saturating_sum(total, align_up(saturating_product(rows.bundle_bytes(), bundles)));
    });
  }
  const std::size_t memory_bytes = std::max<std::size_t>(total, 64);
  memory_ = map_lazily(memory_bytes);
  if (memory_ == nullptr) {
    fail(ErrorCode::out_of_memory, "the system refused ", memory_bytes, " bytes for the cache of ",
         page_counts_.front() * kPageTokens, " positions; ask for a smaller context or cache type");
  }
  std::size_t part = 0;
  for (std::int32_t g = 0; g < group_count; ++g) {
    for_each_part(g, [&](StateRows& rows) { rows.base = memory_.get() + offsets[part++]; });
  }
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_in_keys_[i]) values_[i].base = keys_[i].base;
  }
}

// Visits the keys, then the values, of each state of a group: the canonical order of a page.
template <class Visit>
void HostPool::for_each_part(std::int32_t group, Visit visit) {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (groups_[i] != group) continue;
    visit(keys_[i]);
    if (!values_in_keys_[i]) visit(values_[i]);
  }
}

// Visits the stretches of memory that a page consists of, in that order, a KV head at a time.
template <class Visit>
void HostPool::for_each_stretch(std::int32_t group, Visit visit) {
  for_each_part(group, [&](StateRows& rows) {
    for (std::int64_t head = 0; head < rows.kv_head_count; ++head) visit(rows, head);
  });
}

void HostPool::copy_page(std::int32_t group, std::int32_t from, std::int32_t to) {
  for_each_stretch(group, [&](StateRows& rows, std::int64_t head) {
    std::memcpy(rows.row(to, head, 0), rows.row(from, head, 0), rows.page_bytes());
  });
}

void HostPool::read_page(std::int32_t group, std::int32_t page, std::int64_t positions,
                         std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  for_each_stretch(group, [&, at = out.data()](StateRows& rows, std::int64_t head) mutable {
    std::memcpy(at, rows.row(page, head, 0),
                static_cast<std::uint64_t>(positions) * rows.row_bytes);
    at += rows.page_bytes();
  });
}

void HostPool::write_page(std::int32_t group, std::int32_t page, std::span<const std::byte> in) {
  for_each_stretch(group, [&, at = in.data()](StateRows& rows, std::int64_t head) mutable {
    std::memcpy(rows.row(page, head, 0), at, rows.page_bytes());
    at += rows.page_bytes();
  });
}

}  // namespace ingot::internal
