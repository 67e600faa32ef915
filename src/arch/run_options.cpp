#include "src/arch/run_options.hpp"

#include <cmath>
#include <initializer_list>

#include "ingot/error.hpp"

namespace ingot::internal {
namespace {

using Kind = RopeScaling::Kind;

constexpr std::int64_t kLongestContext = std::int64_t{1} << 31;

RopeScaling checked(RopeScaling scaling, const ModelSpec& spec) {
  const RopeScaling& own = spec.rope_scaling;
  if (scaling.kind == Kind::longrope && own.kind != Kind::longrope) {
    fail(ErrorCode::invalid_argument,
         "RoPE scaling longrope was asked for; its factors are part of a model, and this ",
         spec.architecture, " model has none");
  }
  if (scaling.original_context == 0) scaling.original_context = own.original_context;
  if (!scaling.truncate) scaling.truncate = own.truncate;
  auto fault = fault_of(scaling);
  // A file may well state a factor below 1; whoever asks for one means its inverse.
  if (!fault && scaling.factor < 1) fault = {"factor", scaling.factor, "1 or more"};
  if (fault) {
    fail(ErrorCode::invalid_argument, "rope_scaling.", fault->field, " is ", fault->value,
         "; expected ", fault->expected);
  }
  return scaling;
}

}  // namespace

std::optional<ScalingFault> fault_of(const RopeScaling& scaling) {
  const auto kind = static_cast<int>(scaling.kind);
  if (kind < 0 || kind > static_cast<int>(Kind::longrope)) {
    return ScalingFault{"kind", static_cast<double>(kind), "none, linear, yarn or longrope"};
  }
  for (const ScalingFault& given : std::initializer_list<ScalingFault>{
           {"factor", scaling.factor, "a finite number above 0"},
           {"attention_factor", scaling.attention_factor, "a finite number above 0"},
           {"beta_fast", scaling.beta_fast, "a finite number above 0"},
           {"beta_slow", scaling.beta_slow, "a finite number above 0"}}) {
    if (!std::isfinite(given.value) || given.value <= 0) return given;
  }
  const bool yarn = scaling.kind == Kind::yarn;
  // The magnitude grows with the logarithm of the factor, from 1.
  if (yarn && scaling.factor < 1) return ScalingFault{"factor", scaling.factor, "1 or more"};
  if (yarn && scaling.beta_fast < scaling.beta_slow) {
    return ScalingFault{"beta_fast", scaling.beta_fast, "beta_slow or more"};
  }
  const std::int64_t least = yarn || scaling.kind == Kind::longrope ? 1 : 0;
  if (scaling.original_context < least || scaling.original_context >= kLongestContext) {
    return ScalingFault{"original_context", static_cast<double>(scaling.original_context),
                        "1 to 2^31 - 1 positions"};
  }
  return std::nullopt;
}

ModelSpec with_options(const ModelSpec& spec, const RunOptions& options) {
  ModelSpec wanted = spec;
  if (options.rope_base) {
    if (!std::isfinite(*options.rope_base) || *options.rope_base <= 1) {
      fail(ErrorCode::invalid_argument, "rope_base is ", *options.rope_base,
           "; expected a finite number above 1");
    }
    wanted.rope_base = *options.rope_base;
  }
  if (options.rope_scaling) wanted.rope_scaling = checked(*options.rope_scaling, spec);
  return wanted;
}

}  // namespace ingot::internal
