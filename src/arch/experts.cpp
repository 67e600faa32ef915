#include "src/arch/experts.hpp"

#include <cmath>

#include "ingot/error.hpp"
#include "src/arch/decoder.hpp"

namespace ingot::internal {
namespace {

// GGUF's expert_gating_func. The third, softmax over the chosen experts only, is softmax whose
// weights are normalised.
constexpr std::int64_t kSoftmax = 1;
constexpr std::int64_t kSigmoid = 2;
constexpr std::int64_t kSoftmaxOfChosen = 3;

// Gate and up of all experts: two tensors, or the rows of one under the other in ffn_gate_up_exps.
std::vector<Linear> gate_up_experts(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer,
                                    const ExpertTraits& traits) {
  const auto linear = [&](std::string_view tensor, std::int64_t rows) {
    return b.expert_linear(layer_name(layer, tensor), spec.expert_count, rows, spec.hidden_size,
                           traits.expert_bias);
  };
  const std::int64_t size = spec.expert_feed_forward_size;
  const bool fused = traits.expert_bias == Bias::none &&
                     b.has_tensor(layer_name(layer, "ffn_gate_up_exps.weight"));
  if (!fused) return {linear("ffn_gate_exps", size), linear("ffn_up_exps", size)};
  Linear gate = linear("ffn_gate_up_exps", 2 * size);
  Linear up = gate;
  gate.weight.rows = {0, size};
  up.weight.rows = {size, 2 * size};
  return {gate, up};
}

// The experts that every token uses: side by side they are one block of shared_size columns.
ValueId shared_experts(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                       const ExpertTraits& traits) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  const auto gate_up =
      b.matmul({name("shared_gate"), name("shared_up")}, x,
               {b.linear(name("ffn_gate_shexp"), traits.shared_size, spec.hidden_size, Bias::none),
                b.linear(name("ffn_up_shexp"), traits.shared_size, spec.hidden_size, Bias::none)});
  const ValueId activated =
      b.glu(name("shared_activated"), traits.activation, gate_up[0], gate_up[1], traits.limit);
  const ValueId out =
      b.matmul(name("shared_out"), activated,
               b.linear(name("ffn_down_shexp"), spec.hidden_size, traits.shared_size, Bias::none));
  if (!traits.shared_gate) return out;
  const ValueId logit =
      b.matmul(name("shared_gate_logit"), x,
               b.linear(name("ffn_gate_inp_shexp"), 1, spec.hidden_size, Bias::none));
  return b.glu(name("shared_gated"), ops::ActivationKind::sigmoid, logit, out);
}

}  // namespace

ExpertTraits read_expert_traits(const GgufFile& file, const ModelSpec& spec, ExpertTraits traits) {
  const auto key = [&file](std::string_view name) { return arch_key(file, name); };
  traits.normalise = file.get_or<bool>(key("expert_weights_norm"), traits.normalise);
  const auto function = file.get_or<std::int64_t>(key("expert_gating_func"), 0);  // 0: not stated
  if (function < 0 || function > kSoftmaxOfChosen) {
    fail(ErrorCode::unsupported, file.path(), ": key ", key("expert_gating_func"), " is ", function,
         "; known are 1 (softmax), 2 (sigmoid) and 3 (softmax of the chosen)");
  }
  if (function == kSigmoid) traits.gate = ops::Gate::sigmoid;
  if (function == kSoftmax) traits.gate = ops::Gate::softmax;
  if (function == kSoftmaxOfChosen) {
    traits.gate = ops::Gate::softmax;
    traits.normalise = true;
  }
  traits.scale = file.get_or<double>(key("expert_weights_scale"), traits.scale);
  if (traits.scale == 0.0) traits.scale = 1.0;  // written by some converters for "none"
  if (!std::isfinite(traits.scale) || traits.scale < 0) {
    fail(ErrorCode::bad_file, file.path(), ": key ", key("expert_weights_scale"), " is ",
         traits.scale);
  }
  traits.group_count = file.get_or<std::int64_t>(key("expert_group_count"), traits.group_count);
  if (traits.group_count == 0) traits.group_count = 1;
  traits.groups_used =
      file.get_or<std::int64_t>(key("expert_group_used_count"), traits.group_count);
  if (traits.group_count == 1) traits.groups_used = 1;
  const bool divides = traits.group_count > 0 && spec.expert_count % traits.group_count == 0;
  if (!divides || traits.groups_used < 1 || traits.groups_used > traits.group_count ||
      traits.groups_used * (spec.expert_count / traits.group_count) < spec.expert_used_count) {
    fail(ErrorCode::bad_file, file.path(), ": ", spec.expert_used_count, " of ", spec.expert_count,
         " experts cannot be chosen from ", traits.groups_used, " of ", traits.group_count,
         " groups");
  }
  return traits;
}

void require_experts(const ModelSpec& spec, const GgufFile& file) {
  if (spec.expert_count > 0) return;
  fail(ErrorCode::bad_file, file.path(), ": key ", arch_key(file, "expert_count"),
       " is missing or 0; a ", spec.architecture, " model has experts");
}

std::int64_t shared_expert_size(const GgufFile& file, const ModelSpec& spec) {
  const std::string key = arch_key(file, "expert_shared_feed_forward_length");
  const auto size = file.get_or<std::int64_t>(key, spec.feed_forward_size);
  if (size < 1 || size >= std::int64_t{1} << 31) {
    fail(ErrorCode::bad_file, file.path(), ": key ", key, " is ", size, "; expected 1 to 2^31 - 1");
  }
  return size;
}

ValueId expert_feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                            const ExpertTraits& traits) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  ops::Route route;
  route.logits = b.matmul(
      name("router_logits"), x,
      b.linear(name("ffn_gate_inp"), spec.expert_count, spec.hidden_size, traits.router_bias));
  const std::string selection = name("exp_probs_b.bias");
  if (traits.selection_bias == Bias::required ||
      (traits.selection_bias == Bias::optional && b.has_tensor(selection))) {
    route.selection_bias = b.vector(selection, spec.expert_count);
  }
  route.gate = traits.gate;
  route.normalise = traits.normalise;
  route.scale = traits.scale;
  route.used = spec.expert_used_count;
  route.group_count = traits.group_count;
  route.groups_used = traits.groups_used;
  const ops::Routing routing = b.route(name("router"), route);

  const auto gate_up = b.expert_matmul({name("expert_gate"), name("expert_up")}, x, routing,
                                       gate_up_experts(b, spec, layer, traits));
  const ValueId activated =
      b.glu(name("expert_activated"), traits.activation, gate_up[0], gate_up[1], traits.limit);
  const ValueId down =
      b.expert_matmul(name("expert_down"), activated, routing,
                      b.expert_linear(name("ffn_down_exps"), spec.expert_count, spec.hidden_size,
                                      spec.expert_feed_forward_size, traits.expert_bias));
  const ValueId mixed = b.expert_combine(name("ffn_experts"), down, routing);
  if (traits.shared_size == 0) return mixed;
  return b.add(name("ffn_out"), mixed, shared_experts(b, spec, layer, x, traits));
}

}  // namespace ingot::internal
