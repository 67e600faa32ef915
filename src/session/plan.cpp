// Planning: what a model will take on a device, before anything is allocated.
#include <algorithm>
#include <iomanip>
#include <sstream>

#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/device/registry.hpp"
#include "src/session/loaded.hpp"
#include "src/state/host_pool.hpp"

namespace ingot {
namespace {

constexpr std::uint64_t kLogitsBytes = std::uint64_t{64} << 20;

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

std::int64_t round_up_to_page(std::int64_t positions) {
  return (positions + kPageTokens - 1) / kPageTokens * kPageTokens;
}

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

StepLimits step_limits(const LoadOptions& options, const Program& program, std::int64_t context) {
  StepLimits limits;
  limits.sequences = options.max_sequences;
  limits.tokens = std::min(options.step_tokens, context * options.max_sequences);
  const auto row_bytes = static_cast<std::uint64_t>(program.value(program.logits).columns) * 4;
  limits.outputs = std::clamp<std::int64_t>(static_cast<std::int64_t>(kLogitsBytes / row_bytes), 1,
                                            limits.tokens);
  return limits;
}

std::int64_t page_count(const MemoryPlan& plan) {
  return round_up_to_page(plan.context) / kPageTokens * plan.max_sequences;
}

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
  const auto per_token = [&program](const StateTypes& types) {
    return state_page_bytes(program.states, types) / static_cast<std::uint64_t>(kPageTokens);
  };
  plan.cache_bytes_per_token = per_token(options.cache);
  for (const DType type : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0}) {
    plan.cache_alternatives.emplace_back(type, per_token({type, type}));
  }

  const std::int64_t wanted = options.run.context > 0
                                  ? options.run.context
                                  : std::min(spec.context_length, kDefaultContext);
  plan.scratch_bytes =
      device.scratch_bytes(program, step_limits(options, program, wanted), options.compile);
  const std::uint64_t fixed = plan.weights_bytes + plan.scratch_bytes;
  const std::uint64_t page =
      plan.cache_bytes_per_token * static_cast<std::uint64_t>(kPageTokens * options.max_sequences);
  const std::uint64_t room = plan.available_bytes > fixed ? plan.available_bytes - fixed : 0;
  const auto fitting_pages =
      static_cast<std::int64_t>(std::min<std::uint64_t>(room / page, std::uint64_t{1} << 24));
  plan.largest_context =
      std::min(fitting_pages * kPageTokens, std::max(spec.context_length, options.run.context));
  const bool shrink = options.run.context == 0 && plan.largest_context > 0;
  plan.context = shrink ? std::min(wanted, plan.largest_context) : wanted;
  plan.cache_bytes =
      plan.cache_bytes_per_token *
      static_cast<std::uint64_t>(round_up_to_page(plan.context) * options.max_sequences);
  return plan;
}

std::string MemoryPlan::to_string() const {
  std::ostringstream out;
  out << "device " << device << ": weights " << amount(weights_bytes) << " + cache "
      << amount(cache_bytes) << " (" << context << " positions";
  if (max_sequences > 1) out << " x " << max_sequences << " sequences";
  out << ", keys " << ingot::to_string(cache.key) << ", values " << ingot::to_string(cache.value)
      << ", " << cache_bytes_per_token << " bytes each) + scratch " << amount(scratch_bytes)
      << " = " << amount(total_bytes()) << " of " << amount(available_bytes) << " available";
  if (fits()) return out.str();
  out << ". Too much. ";
  if (largest_context > 0) {
    out << "A context of " << largest_context << " would fit";
  } else {
    out << "No context would fit with this cache type";
  }
  const std::uint64_t fixed = weights_bytes + scratch_bytes;
  for (const auto& [type, bytes] : cache_alternatives) {
    if (bytes >= cache_bytes_per_token || fixed >= available_bytes) continue;
    const std::uint64_t positions =
        (available_bytes - fixed) / (bytes * static_cast<std::uint64_t>(max_sequences));
    out << "; with a " << ingot::to_string(type) << " cache (" << bytes << " bytes each) "
        << positions / static_cast<std::uint64_t>(kPageTokens) * kPageTokens;
  }
  if (fixed >= available_bytes) out << "; the weights alone need more memory or a smaller file";
  return out.str();
}

}  // namespace ingot
