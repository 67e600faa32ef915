#include "src/program/liveness.hpp"

#include <algorithm>
#include <numeric>

#include "ingot/error.hpp"
#include "src/support/checked.hpp"

namespace ingot::internal {
namespace {

constexpr std::uint64_t kAlignment = 16;  // elements: a cache line of f32
// Of one value: a petabyte of f32. Sums over the values of a program stay far from 2^64.
constexpr std::uint64_t kMostElements = std::uint64_t{1} << 48;

struct Placed {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  Lifetime life;
};

bool overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The lowest offset at which `size` elements are free during the whole life.
std::uint64_t lowest_gap(std::vector<Placed>& placed, const Lifetime& life, std::uint64_t size) {
  std::vector<Placed> busy;
  for (const Placed& other : placed) {
    if (overlap(other.life, life)) busy.push_back(other);
  }
  std::sort(busy.begin(), busy.end(),
            [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
  std::uint64_t offset = 0;
  for (const Placed& other : busy) {
    if (offset + size <= other.begin) break;
    offset = std::max(offset, other.end);
  }
  return offset;
}

}  // namespace

std::vector<Lifetime> lifetimes(const Program& program) {
  std::vector<Lifetime> lives(program.values.size());
  const auto count = static_cast<int>(program.instructions.size());
  for (int i = 0; i < count; ++i) {
    const Operands used = operands(program.instructions[static_cast<std::size_t>(i)]);
    for (const ValueId id : used.writes) lives[static_cast<std::size_t>(id.index)] = {i, i};
    for (const ValueId id : used.reads) lives[static_cast<std::size_t>(id.index)].last = i;
  }
  for (const ValueId id : {program.hidden, program.logits}) {
    if (id.index >= 0) lives[static_cast<std::size_t>(id.index)].last = count;
  }
  return lives;
}

ArenaPlan plan_arena(const Program& program, const RowCounts& most,
                     std::span<const InPlace> in_place) {
  const std::vector<Lifetime> lives = lifetimes(program);
  // The first of the values that share memory stands for them all.
  std::vector<Lifetime> shared = lives;
  std::vector<std::size_t> first(lives.size());
  std::iota(first.begin(), first.end(), std::size_t{0});
  for (const InPlace& pair : in_place) {
    const auto out = static_cast<std::size_t>(pair.out.index);
    const auto in = static_cast<std::size_t>(pair.in.index);
    if (lives[in].last != lives[out].first) continue;
    first[out] = first[in];
    shared[first[in]].last = lives[out].last;
  }
  std::vector<std::uint64_t> sizes(program.values.size());
  for (std::size_t v = 0; v < sizes.size(); ++v) {
    const Value& value = program.values[v];
    const std::int64_t rows = most.of(value.rows);
    const auto elements = try_product(rows, value.columns);
    if (!elements || *elements > kMostElements) {
      fail(ErrorCode::out_of_memory, "a step would have ", rows, " rows of ", value.columns,
           " elements, more than any memory; ask for shorter steps");
    }
    sizes[v] = (*elements + kAlignment - 1) / kAlignment * kAlignment;
  }
  // Largest first: the big values set the arena's size and the small ones fill its gaps.
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  ArenaPlan plan;
  plan.offsets.resize(sizes.size());
  // Values with the same size and neighbouring lives repeat in every layer, so the set of values
  // placed grows with the program; a few thousand values keep this quadratic search in
  // milliseconds.
  std::vector<Placed> placed;
  for (const std::size_t v : order) {
    if (first[v] != v) continue;
    const std::uint64_t offset = lowest_gap(placed, shared[v], sizes[v]);
    placed.push_back({offset, offset + sizes[v], shared[v]});
    plan.offsets[v] = offset;
    plan.elements = std::max(plan.elements, offset + sizes[v]);
  }
  for (std::size_t v = 0; v < first.size(); ++v) plan.offsets[v] = plan.offsets[first[v]];
  return plan;
}

}  // namespace ingot::internal
