#include "src/arch/experts.hpp"

#include <cmath>

#include "ingot/error.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/layer_keys.hpp"

namespace ingot::internal {
namespace {

// GGUF's expert_gating_func. The third, softmax over the chosen experts only, is softmax whose
// weights are normalised.
constexpr std::int64_t kSoftmax = 1;
constexpr std::int64_t kSigmoid = 2;
constexpr std::int64_t kSoftmaxOfChosen = 3;

// The tensors of a file with one per expert, as the first Mixtral files are
// (blk.0.ffn_gate.3.weight for expert 3 of blk.0.ffn_gate_exps); empty for a file that has them as
// one.
std::vector<std::string> tensors_of_experts(const ProgramBuilder& b, const ModelSpec& spec,
                                            std::int64_t layer, const std::string& tensor) {
  const auto part = [&](std::int64_t expert) {
    return layer_name(layer, tensor + "." + std::to_string(expert) + ".weight");
  };
  std::vector<std::string> parts;
  if (b.has_tensor(layer_name(layer, tensor + "_exps.weight"))) return parts;
  if (!b.has_tensor(part(0)) && !b.has_tensor(part(1))) return parts;
  for (std::int64_t expert = 0; expert < spec.expert_count; ++expert) parts.push_back(part(expert));
  return parts;
}

// ffn_gate, ffn_up or ffn_down of a layer's experts.
Linear experts_linear(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer,
                      const std::string& tensor, std::int64_t rows, std::int64_t columns,
                      Bias bias) {
  return b.expert_linear(layer_name(layer, tensor + "_exps"), spec.expert_count, rows, columns,
                         bias, tensors_of_experts(b, spec, layer, tensor));
}

// Gate and up of all experts: two tensors, or the rows of one under the other in ffn_gate_up_exps.
std::vector<Linear> gate_up_experts(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer,
                                    const ExpertTraits& traits) {
  const auto linear = [&](const std::string& tensor, std::int64_t rows) {
    return experts_linear(b, spec, layer, tensor, rows, spec.hidden_size, traits.expert_bias);
  };
  const std::int64_t size = spec.expert_feed_forward_of(layer);
  const bool fused = traits.expert_bias == Bias::none &&
                     b.has_tensor(layer_name(layer, "ffn_gate_up_exps.weight"));
  if (!fused) return {linear("ffn_gate", size), linear("ffn_up", size)};
  Linear gate = linear("ffn_gate_up", 2 * size);
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
  traits.normalise = uniform_key<bool>(file, key("expert_weights_norm"), traits.normalise);
  const auto function =
      uniform_key<std::int64_t>(file, key("expert_gating_func"), 0);  // 0: not stated
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
  traits.scale = uniform_key<double>(file, key("expert_weights_scale"), traits.scale);
  if (traits.scale == 0.0) traits.scale = 1.0;  // written by some converters for "none"
  if (!std::isfinite(traits.scale) || traits.scale < 0) {
    fail(ErrorCode::bad_file, file.path(), ": key ", key("expert_weights_scale"), " is ",
         traits.scale);
  }
  traits.group_count =
      uniform_key<std::int64_t>(file, key("expert_group_count"), traits.group_count);
  if (traits.group_count == 0) traits.group_count = 1;
  traits.groups_used =
      uniform_key<std::int64_t>(file, key("expert_group_used_count"), traits.group_count);
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
  const auto stated = try_uniform_key<std::int64_t>(file, key);
  if (!stated && !spec.layer_feed_forward_sizes.empty()) {
    refuse_unequal_layers(file, arch_key(file, "feed_forward_length"));
  }
  const std::int64_t size = stated.value_or(spec.feed_forward_size);
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
                      experts_linear(b, spec, layer, "ffn_down", spec.hidden_size,
                                     spec.expert_feed_forward_of(layer), traits.expert_bias));
  const ValueId mixed = b.expert_combine(name("ffn_experts"), down, routing);
  if (traits.shared_size == 0) return mixed;
  return b.add(name("ffn_out"), mixed, shared_experts(b, spec, layer, x, traits));
}

}  // namespace ingot::internal
