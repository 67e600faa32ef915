#include "src/device/row_results.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ingot::internal {
namespace {

// Loops over so many lanes are what compilers turn into vectors on every target.
constexpr std::size_t kLanes = 16;

struct Best {
  float logit = -std::numeric_limits<float>::infinity();
  TokenId id = 0;  // lowest of those with that logit
  TokenId not_finite = -1;
};

TokenId first_where(std::span<const float> row, auto holds) {
  return static_cast<TokenId>(std::find_if(row.begin(), row.end(), holds) - row.begin());
}

bool is_bad(float logit) {
  return !(logit <= std::numeric_limits<float>::max());
}

Best find_best(std::span<const float> row) {
  std::array<float, kLanes> most;
  std::array<int, kLanes> bad{};
  most.fill(-std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float x = row[i + j];
      most[j] = x > most[j] ? x : most[j];
      bad[j] |= static_cast<int>(is_bad(x));
    }
  }
  for (; i < row.size(); ++i) {
    most[0] = std::max(most[0], row[i]);
    bad[0] |= static_cast<int>(is_bad(row[i]));
  }
  Best best;
  if (std::any_of(bad.begin(), bad.end(), [](int lane) { return lane != 0; })) {
    best.not_finite = first_where(row, is_bad);
    best.id = best.not_finite;
    best.logit = row[static_cast<std::size_t>(best.id)];
    return best;
  }
  best.logit = *std::max_element(most.begin(), most.end());
  best.id = first_where(row, [&](float x) { return x == best.logit; });
  return best;
}

// e^x for x <= 0 with a relative error of at most 2^-21; below 2^-126 it is 0. A polynomial for
// 2^f, f in [-0.5, 0.5] (Taylor's: the next term is 2^-25), and the exponent put together by bits:
// compilers make vectors of it, which they cannot of std::exp.
float exp_of_negative(float x) {
  const float t = std::max(x * 1.44269504F, -126.0F);
  const auto whole = static_cast<std::int32_t>(t - 0.5F);
  const float f = (t - static_cast<float>(whole)) * 0.69314718F;
  float p = 1.0F / 720;
  for (const float c : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) p = p * f + c;
  const float scaled = p * std::bit_cast<float>((whole + 127) << 23);
  return x < -87.0F ? 0.0F : scaled;
}

double log_sum_exp(std::span<const float> row, float best) {
  constexpr std::size_t kBlock = 1024;  // numbers added in f32 before the sum goes on in f64
  double sum = 0;
  for (std::size_t first = 0; first < row.size(); first += kBlock) {
    const std::span<const float> block = row.subspan(first, std::min(kBlock, row.size() - first));
    std::array<float, kLanes> lanes{};
    std::size_t i = 0;
    for (; i + kLanes <= block.size(); i += kLanes) {
      for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += exp_of_negative(block[i + j] - best);
    }
    for (; i < block.size(); ++i) lanes[0] += exp_of_negative(block[i] - best);
    for (const float lane : lanes) sum += static_cast<double>(lane);
  }
  return static_cast<double>(best) + std::log(sum);
}

// The `count` most probable, best first, behind what `out` has. A heap of them, the worst on top:
// nearly every logit of a large vocabulary costs one comparison.
void append_best(std::span<const float> row, std::size_t count, std::vector<Candidate>& out) {
  count = std::min(count, row.size());
  const auto begin = static_cast<std::ptrdiff_t>(out.size());
  for (std::size_t i = 0; i < count; ++i) out.push_back({static_cast<TokenId>(i), row[i]});
  const auto heap = out.begin() + begin;
  std::make_heap(heap, out.end(), more_probable);
  for (std::size_t i = count; i < row.size(); ++i) {
    if (!(row[i] > heap->logit)) continue;  // of equal logits the lower id is in already
    std::pop_heap(heap, out.end(), more_probable);
    out.back() = {static_cast<TokenId>(i), row[i]};
    std::push_heap(heap, out.end(), more_probable);
  }
  std::sort_heap(heap, out.end(), more_probable);
}

}  // namespace

void HostRowResults::make(const Program& program, std::span<const RowOutput> outputs,
                          const float* hidden, const float* logits) {
  const auto vocabulary = static_cast<std::size_t>(program.value(program.logits).columns);
  const auto tokens = static_cast<std::size_t>(program.token_count);
  std::size_t candidates = 0;
  for (const RowOutput& output : outputs) {
    if (output.want == Want::candidates) candidates += static_cast<std::size_t>(output.top_k);
  }
  candidates_.clear();
  candidates_.reserve(candidates);  // spans into it stay valid
  view_.assign(outputs.size(), {});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    RowResult& result = view_[i];
    if (outputs[i].want == Want::hidden) {
      const auto size = static_cast<std::size_t>(program.value(program.hidden).columns);
      result.values = {hidden + i * size, size};
      continue;
    }
    const std::span<const float> row(logits + i * vocabulary, vocabulary);
    if (outputs[i].want == Want::logits) {
      result.values = row;
      continue;
    }
    const std::span<const float> drawable = row.first(std::min(tokens, vocabulary));
    const Best best = find_best(drawable);
    result.id = best.id;
    result.not_finite = best.not_finite;
    if (outputs[i].want == Want::id || best.not_finite >= 0) continue;
    result.log_sum_exp = log_sum_exp(drawable, best.logit);
    const std::size_t first = candidates_.size();
    append_best(drawable, static_cast<std::size_t>(outputs[i].top_k), candidates_);
    result.candidates = std::span<const Candidate>(candidates_).subspan(first);
  }
}

}  // namespace ingot::internal
