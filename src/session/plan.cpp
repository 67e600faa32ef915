// Planning: what a model will take on a device, before anything is allocated.
#include <algorithm>
#include <iomanip>
#include <sstream>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/device/host_memory.hpp"
#include "src/device/registry.hpp"
#include "src/session/loaded.hpp"
#include "src/state/paged_states.hpp"
#include "src/support/checked.hpp"

namespace ingot {

using namespace internal;

namespace {

constexpr std::uint64_t kLogitsBytes = std::uint64_t{64} << 20;

std::string amount(std::uint64_t bytes) {
  if (bytes == kBeyondCounting) return "more than 2^64 bytes";
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

std::string amount(const std::optional<std::uint64_t>& bytes) {
  return bytes ? amount(*bytes) : "an unknown amount";
}

// Positions that the sequences of a session share.
std::int64_t shared_positions(const LoadOptions& options, std::int64_t context) {
  const std::int64_t all = context * options.max_sequences;
  return options.cache_positions > 0 ? std::min(options.cache_positions, all) : all;
}

// Per state group, the pages that hold the shared positions. A sequence may leave most of its last
// page unused; what groups with a window hold of a sequence is never more than what those that keep
// every position do.
std::vector<std::int64_t> page_counts(const Program& program, const LoadOptions& options,
                                      std::int64_t context) {
  const std::int64_t sequences = options.max_sequences;
  const std::int64_t step = std::min(options.max_step_tokens, context * sequences);
  const std::int64_t shared =
      std::min(pages_for(shared_positions(options, context)) + sequences - 1,
               pages_for(context) * sequences);
  std::vector<std::int64_t> counts;
  for (const StateGroup& group : program.state_groups) {
    counts.push_back(std::min(most_pages(group, context, step) * sequences, shared));
  }
  return counts;
}

// The cache of a program: what it takes by context, and which context fits.
class CacheSize {
 public:
  CacheSize(const Program& program, const LoadOptions& options,
            std::vector<std::uint64_t> page_bytes)
      : program_(program), options_(options), page_bytes_(std::move(page_bytes)) {}

  std::uint64_t bytes_per_token() const {
    std::uint64_t bytes = 0;
    for (std::size_t g = 0; g < page_bytes_.size(); ++g) {
      if (program_.state_groups[g].window == 0) bytes += page_bytes_[g];
    }
    return bytes / static_cast<std::uint64_t>(kPageTokens);
  }

  /// All sequences, every group or those with a window only; kBeyondCounting if 64 bits do not hold
  /// it.
  std::uint64_t bytes(std::int64_t context, bool windows_only = false) const {
    const auto pages = page_counts(program_, options_, context);
    std::uint64_t bytes = 0;
    for (std::size_t g = 0; g < page_bytes_.size(); ++g) {
      if (windows_only && program_.state_groups[g].window == 0) continue;
      bytes = saturating_sum(bytes, saturating_product(page_bytes_[g], pages[g]));
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
  if (options.max_step_tokens < 1 || options.max_step_tokens > 65536) {
    fail(ErrorCode::invalid_argument, "max_step_tokens is ", options.max_step_tokens,
         "; expected 1 to 65536");
  }
  if (options.run.context < 0 || options.run.context > (std::int64_t{1} << 30)) {
    fail(ErrorCode::invalid_argument, "context is ", options.run.context,
         "; expected 1 to 2^30 positions");
  }
  if (options.cache_positions < 0 || options.cache_positions > (std::int64_t{1} << 46)) {
    fail(ErrorCode::invalid_argument, "cache_positions is ", options.cache_positions,
         "; expected 1 to 2^46, or 0 for the context of every sequence");
  }
}

// A context beyond the trained one gives text that only looks right, so it must be asked for
// together with the RoPE change that makes it work.
void check_context(const ModelSpec& spec, const RunOptions& run) {
  if (run.context <= spec.context_length || run.rope_base || run.rope_scaling) return;
  fail(ErrorCode::invalid_argument, "a context of ", run.context,
       " was asked for; this model was made for ", spec.context_length,
       " positions (to go beyond, set rope_scaling or rope_base as its publisher says: "
       "--rope-scaling yarn --rope-factor F, or --rope-base X)");
}

// The most one device step may have: rows as asked; logits so that those of a step take at most 64
// MiB (a 152k vocabulary has 0.6 MB per row).
StepLimits step_limits(const LoadOptions& options, const Program& program, std::int64_t context) {
  StepLimits limits;
  limits.sequences = options.max_sequences;
  limits.positions = context;
  limits.tokens = std::min(options.max_step_tokens, context * options.max_sequences);
  limits.outputs = limits.tokens;
  const auto row_bytes = static_cast<std::uint64_t>(program.value(program.logits).columns) * 4;
  limits.heads = std::clamp<std::int64_t>(static_cast<std::int64_t>(kLogitsBytes / row_bytes), 1,
                                          limits.tokens);
  return limits;
}

}  // namespace

MemoryPlan plan_memory(const Model& model, const LoadOptions& options) try {
  return lower(model, options).plan;
} catch (...) {
  detail::rethrow_at_border("plan_memory");
}

Lowered internal::lower(const Model& model, const LoadOptions& options) {
  check_options(options);
  const ModelSpec& spec = model.spec();
  check_context(spec, options.run);
  const Device& device = find_device(options.device);
  const DeviceInfo info = device.info();

  const std::int64_t wanted = options.run.context > 0
                                  ? options.run.context
                                  : std::min(spec.context_length, kDefaultContext);
  CompileOptions compile = options.compile;
  compile.deterministic = compile.deterministic || options.deterministic;
  require_option_support(device, compile);
  Lowered lowered;
  const auto lower_for = [&](std::int64_t context) {
    RunOptions run = options.run;
    run.context = context;
    lowered.program = std::make_shared<const Program>(build_program(spec, model.file(), run));
    lowered.parts = {{&device, all_instructions(*lowered.program), nullptr, nullptr}};
    lowered.parts.front().lowered =
        device.lower(lowered.program, all_instructions(*lowered.program), compile);
    lowered.limits = step_limits(options, *lowered.program, context);
  };
  lower_for(wanted);
  const Program& program = *lowered.program;
  require_cache_support(device, program, options.cache);

  const MemoryNeed need = lowered.parts.front().lowered->memory(lowered.limits, options.cache);
  // A device without memory of its own is the host.
  const bool is_host = need.device.total() == 0;
  const MemoryNeed::Part& own = is_host ? need.host : need.device;
  MemoryPlan plan;
  plan.device = info.name;
  plan.cache = options.cache;
  plan.model_context = spec.context_length;
  plan.max_sequences = options.max_sequences;
  const std::uint64_t held = model.file().copied_bytes();
  const std::uint64_t copied = options.map ? held : model.file().total_bytes();
  // What the model holds already is no longer available, and was taken for it.
  const auto with_held = [held](std::optional<std::uint64_t> available) {
    if (available) available = saturating_sum(*available, held);
    return available;
  };
  plan.available_bytes = is_host ? with_held(info.memory_available) : info.memory_available;
  if (options.memory_limit > 0) plan.available_bytes = options.memory_limit;
  plan.weights_bytes = saturating_sum(own.weights, own.derived);
  plan.scratch_bytes = own.scratch;
  if (is_host) {
    plan.file_bytes = copied;
  } else {
    plan.host_bytes = saturating_sum(need.host.total(), copied);
    plan.host_available_bytes = with_held(host_memory().available);
  }
  const CacheSize cache(program, options, need.page_bytes);
  plan.cache_bytes_per_token = cache.bytes_per_token();

  const std::uint64_t fixed =
      saturating_sum(plan.weights_bytes, plan.scratch_bytes, plan.file_bytes);
  const std::uint64_t available = plan.available_bytes.value_or(kBeyondCounting - 1);
  const std::uint64_t room = available > fixed ? available - fixed : 0;
  const std::int64_t most = std::max(spec.context_length, options.run.context);
  plan.largest_context = cache.largest_context(room, most);
  const bool shrink = options.run.context == 0 && plan.largest_context > 0;
  plan.context = shrink ? std::min(wanted, plan.largest_context) : wanted;
  plan.cache_bytes = cache.bytes(plan.context);
  plan.cache_positions = shared_positions(options, plan.context);
  plan.window_bytes =
      cache.bytes(plan.context, true) / static_cast<std::uint64_t>(options.max_sequences);
  for (const DType type : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0}) {
    const CacheTypes both{type, type};
    const MemoryNeed with = lowered.parts.front().lowered->memory(lowered.limits, both);
    const CacheSize other(program, options, with.page_bytes);
    plan.cache_alternatives.emplace_back(type, other.bytes_per_token());
    plan.context_alternatives.emplace_back(type, other.largest_context(room, most));
  }
  // Angles may depend on the context, so a smaller one is another program.
  if (plan.context != wanted) lower_for(plan.context);
  lowered.page_counts = page_counts(*lowered.program, options, plan.context);
  lowered.plan = std::move(plan);
  return lowered;
}

std::uint64_t MemoryPlan::total_bytes() const {
  return saturating_sum(weights_bytes, cache_bytes, scratch_bytes, file_bytes);
}

bool MemoryPlan::fits() const {
  const auto within = [](std::uint64_t bytes, const std::optional<std::uint64_t>& available) {
    return bytes != kBeyondCounting && bytes <= available.value_or(bytes);
  };
  return within(total_bytes(), available_bytes) && within(host_bytes, host_available_bytes);
}

std::string MemoryPlan::to_string() const try {
  std::ostringstream out;
  out << "device " << device << ": weights " << amount(weights_bytes) << " + cache "
      << amount(cache_bytes) << " (" << context << " positions";
  if (max_sequences > 1) out << " x " << max_sequences << " sequences";
  if (cache_positions < context * max_sequences) out << " that share " << cache_positions;
  out << ", keys " << ingot::to_string(cache.key) << ", values " << ingot::to_string(cache.value)
      << ", " << cache_bytes_per_token << " bytes each";
  if (window_bytes > 0) out << " and " << amount(window_bytes) << " for windows";
  out << ") + scratch " << amount(scratch_bytes);
  if (file_bytes > 0) out << " + file " << amount(file_bytes) << " (not mapped)";
  out << " = " << amount(total_bytes()) << " of " << amount(available_bytes) << " available";
  if (host_bytes > 0) {
    out << "; of the host's memory " << amount(host_bytes) << " of " << amount(host_available_bytes)
        << " available";
  }
  if (fits()) return out.str();
  out << ". Too much. ";
  if (largest_context > 0) {
    out << "A context of " << largest_context << " would fit";
  } else {
    out << "No context would fit with this cache type";
  }
  const std::uint64_t fixed = saturating_sum(weights_bytes, scratch_bytes, file_bytes);
  for (std::size_t i = 0; i < context_alternatives.size(); ++i) {
    const auto& [type, positions] = context_alternatives[i];
    if (positions <= largest_context) continue;
    out << "; with a " << ingot::to_string(type) << " cache (" << cache_alternatives[i].second
        << " bytes each) " << positions;
  }
  if (available_bytes && fixed >= *available_bytes)
    out << "; the weights alone need more memory or a smaller file";
  return out.str();
} catch (...) {
  detail::rethrow_at_border("MemoryPlan::to_string");
}

}  // namespace ingot
