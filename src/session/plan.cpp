// Planning: what a model will take on a device, before anything is allocated.
#include <algorithm>
#include <iomanip>
#include <sstream>

#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/device/registry.hpp"
#include "src/session/loaded.hpp"
#include "src/state/host_pool.hpp"
#include "src/state/paged_states.hpp"

namespace ingot::internal {
namespace {

constexpr std::uint64_t kLogitsBytes = std::uint64_t{64} << 20;

}  // namespace

StepLimits step_limits(const LoadOptions& options, const Program& program, std::int64_t context) {
  StepLimits limits;
  limits.sequences = options.max_sequences;
  limits.tokens = std::min(options.step_tokens, context * options.max_sequences);
  const auto row_bytes = static_cast<std::uint64_t>(program.value(program.logits).columns) * 4;
  limits.outputs = std::clamp<std::int64_t>(static_cast<std::int64_t>(kLogitsBytes / row_bytes), 1,
                                            limits.tokens);
  return limits;
}

std::vector<std::int64_t> page_counts(const Program& program, std::int64_t context,
                                      std::int64_t max_sequences, std::int64_t largest_step) {
  std::vector<std::int64_t> counts;
  for (const StateGroup& group : program.state_groups) {
    counts.push_back(most_pages(group, context, largest_step) * max_sequences);
  }
  return counts;
}

}  // namespace ingot::internal

namespace ingot {

using namespace internal;

namespace {

std::string amount(std::uint64_t bytes) {
  std::ostringstream out;
  const auto value = static_cast<double>(bytes);
  out << std::fixed << std::setprecision(2);
  if (value >= 1 << 30) {
    out << value / (1 << 30) << " GiB";
  } else if (value >= 1 << 20) {
    out << value / (1 << 20) << " MiB";
  } else {
    out << value / (1 << 10) << " KiB";
  }
  return out.str();
}

// The cache of a program: what it takes by context, and which context fits.
class CacheSize {
 public:
  CacheSize(const Program& program, const LoadOptions& options, const StateTypes& types)
      : program_(program), options_(options) {
    for (std::size_t g = 0; g < program.state_groups.size(); ++g) {
      page_bytes_.push_back(state_page_bytes(program.states, static_cast<std::int32_t>(g), types));
    }
  }

  std::uint64_t bytes_per_token() const {
    std::uint64_t bytes = 0;
    for (std::size_t g = 0; g < page_bytes_.size(); ++g) {
      if (program_.state_groups[g].window == 0) bytes += page_bytes_[g];
    }
    return bytes / static_cast<std::uint64_t>(kPageTokens);
  }

  /// All sequences, every group or those with a window only.
  std::uint64_t bytes(std::int64_t context, bool windows_only = false) const {
    const std::int64_t step = std::min(options_.step_tokens, context * options_.max_sequences);
    const auto pages = page_counts(program_, context, options_.max_sequences, step);
    std::uint64_t bytes = 0;
    for (std::size_t g = 0; g < page_bytes_.size(); ++g) {
      if (windows_only && program_.state_groups[g].window == 0) continue;
      bytes += page_bytes_[g] * static_cast<std::uint64_t>(pages[g]);
    }
    return bytes;
  }

  /// The longest context of whole pages, at most `most`, whose cache fits `room`.
  std::int64_t largest_context(std::uint64_t room, std::int64_t most) const {
    std::int64_t fits = 0;
    std::int64_t too_many = std::min<std::int64_t>(pages_for(most), std::int64_t{1} << 24) + 1;
    while (too_many - fits > 1) {
      const std::int64_t middle = fits + (too_many - fits) / 2;
      (bytes(middle * kPageTokens) <= room ? fits : too_many) = middle;
    }
    return std::min(fits * kPageTokens, most);
  }

 private:
  const Program& program_;
  const LoadOptions& options_;
  std::vector<std::uint64_t> page_bytes_;  // per state group
};

void check_options(const LoadOptions& options) {
  if (options.max_sequences < 1 || options.max_sequences > 65536) {
    fail(ErrorCode::invalid_argument, "max_sequences is ", options.max_sequences,
         "; expected 1 to 65536");
  }
  if (options.step_tokens < 1 || options.step_tokens > 65536) {
    fail(ErrorCode::invalid_argument, "step_tokens is ", options.step_tokens,
         "; expected 1 to 65536");
  }
  if (options.run.context < 0 || options.run.context > (std::int64_t{1} << 30)) {
    fail(ErrorCode::invalid_argument, "context is ", options.run.context,
         "; expected 1 to 2^30 positions");
  }
  require_state_types(options.cache);
}

// A context beyond the trained one gives text that only looks right, so it must be asked for
// together with the RoPE change that makes it work.
void check_context(const ModelSpec& spec, const RunOptions& run) {
  if (run.context <= spec.context_length || run.rope_base || run.rope_scaling) return;
  fail(ErrorCode::invalid_argument, "a context of ", run.context,
       " was asked for; this model was made for ", spec.context_length,
       " positions (set RoPE scaling or a RoPE base to go beyond)");
}

}  // namespace

MemoryPlan plan_memory(const Model& model, const LoadOptions& options) {
  check_options(options);
  const ModelSpec& spec = model.spec();
  check_context(spec, options.run);
  const Device& device = find_device(options.device);
  const Program program = build_program(spec, model.file(), options.run);
  require_support(device, program);
  const DeviceInfo info = device.info();

  MemoryPlan plan;
  plan.device = info.name;
  plan.cache = options.cache;
  plan.model_context = spec.context_length;
  plan.max_sequences = options.max_sequences;
  plan.available_bytes = options.memory_limit > 0 ? options.memory_limit : info.memory_available;
  for (const Tensor& tensor : program.tensors) plan.weights_bytes += device.packed_bytes(tensor);
  const CacheSize cache(program, options, options.cache);
  plan.cache_bytes_per_token = cache.bytes_per_token();

  const std::int64_t wanted = options.run.context > 0
                                  ? options.run.context
                                  : std::min(spec.context_length, kDefaultContext);
  plan.scratch_bytes =
      device.scratch_bytes(program, step_limits(options, program, wanted), options.compile);
  const std::uint64_t fixed = plan.weights_bytes + plan.scratch_bytes;
  const std::uint64_t room = plan.available_bytes > fixed ? plan.available_bytes - fixed : 0;
  const std::int64_t most = std::max(spec.context_length, options.run.context);
  plan.largest_context = cache.largest_context(room, most);
  const bool shrink = options.run.context == 0 && plan.largest_context > 0;
  plan.context = shrink ? std::min(wanted, plan.largest_context) : wanted;
  plan.cache_bytes = cache.bytes(plan.context);
  plan.window_bytes =
      cache.bytes(plan.context, true) / static_cast<std::uint64_t>(options.max_sequences);
  for (const DType type : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0}) {
    const CacheSize other(program, options, {type, type});
    plan.cache_alternatives.emplace_back(type, other.bytes_per_token());
    plan.context_alternatives.emplace_back(type, other.largest_context(room, most));
  }
  return plan;
}

std::string MemoryPlan::to_string() const {
  std::ostringstream out;
  out << "device " << device << ": weights " << amount(weights_bytes) << " + cache "
      << amount(cache_bytes) << " (" << context << " positions";
  if (max_sequences > 1) out << " x " << max_sequences << " sequences";
  out << ", keys " << ingot::to_string(cache.key) << ", values " << ingot::to_string(cache.value)
      << ", " << cache_bytes_per_token << " bytes each";
  if (window_bytes > 0) out << " and " << amount(window_bytes) << " for windows";
  out << ") + scratch " << amount(scratch_bytes) << " = " << amount(total_bytes()) << " of "
      << amount(available_bytes) << " available";
  if (fits()) return out.str();
  out << ". Too much. ";
  if (largest_context > 0) {
    out << "A context of " << largest_context << " would fit";
  } else {
    out << "No context would fit with this cache type";
  }
  const std::uint64_t fixed = weights_bytes + scratch_bytes;
  for (std::size_t i = 0; i < context_alternatives.size(); ++i) {
    const auto& [type, positions] = context_alternatives[i];
    if (positions <= largest_context) continue;
    out << "; with a " << ingot::to_string(type) << " cache (" << cache_alternatives[i].second
        << " bytes each) " << positions;
  }
  if (fixed >= available_bytes) out << "; the weights alone need more memory or a smaller file";
  return out.str();
}

}  // namespace ingot
