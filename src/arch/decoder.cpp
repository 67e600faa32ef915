#include "src/arch/decoder.hpp"

#include <cmath>

#include "ingot/error.hpp"

namespace ingot::internal {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // bounds every product of two sizes

class SpecReader {
 public:
  explicit SpecReader(const GgufFile& file) : file_(file) {}

  std::string key(std::string_view name) const { return arch_key(file_, name); }

  std::int64_t positive(std::string_view name) const {
    return in_range(name, file_.get<std::int64_t>(key(name)));
  }
  std::int64_t positive_or(std::string_view name, std::int64_t fallback) const {
    return in_range(name, file_.get_or<std::int64_t>(key(name), fallback));
  }
  double real_or(std::string_view name, double fallback) const {
    const double value = file_.get_or<double>(key(name), fallback);
    if (!std::isfinite(value) || value < 0) {
      fail(ErrorCode::bad_file, file_.path(), ": key ", key(name), " is ", value);
    }
    return value;
  }
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(ErrorCode::unsupported, file_.path(), ": ", parts...);
  }

 private:
  std::int64_t in_range(std::string_view name, std::int64_t value) const {
    if (value < 1 || value >= kLargest) {
      fail(ErrorCode::bad_file, file_.path(), ": key ", key(name), " is ", value,
           "; expected 1 to 2^31 - 1");
    }
    return value;
  }

  const GgufFile& file_;
};

RopeScaling read_scaling(const GgufFile& file, const SpecReader& read, std::int64_t context_length,
                         bool knows_longrope) {
  RopeScaling scaling;
  const std::string type = file.get_or<std::string>(read.key("rope.scaling.type"), "");
  // Files older than rope.scaling.type carry only a linear factor.
  const double legacy = read.real_or("rope.scale_linear", 1.0);
  scaling.factor = read.real_or("rope.scaling.factor", legacy);
  if (scaling.factor == 0) scaling.factor = 1.0;  // written by some converters for "none"
  if (type == "yarn") {
    scaling.kind = RopeScaling::Kind::yarn;
  } else if (type == "linear" || type.empty()) {
    scaling.kind = scaling.factor == 1.0 ? RopeScaling::Kind::none : RopeScaling::Kind::linear;
  } else if (type == "longrope" && knows_longrope) {
    scaling.kind = RopeScaling::Kind::longrope;
  } else if (type != "none") {
    read.refuse("RoPE scaling \"", type, "\" is not supported by this architecture");
  }
  scaling.original_context =
      read.positive_or("rope.scaling.original_context_length", context_length);
  scaling.attention_factor = read.real_or("rope.scaling.attn_factor", 1.0);
  scaling.beta_fast = read.real_or("rope.scaling.yarn_beta_fast", 32.0);
  scaling.beta_slow = read.real_or("rope.scaling.yarn_beta_slow", 1.0);
  return scaling;
}

void read_experts(const GgufFile& file, const SpecReader& read, ModelSpec& spec,
                  bool knows_experts) {
  const auto count = file.get_or<std::int64_t>(read.key("expert_count"), 0);
  if (count == 0) return;
  if (!knows_experts) {
    read.refuse("a ", spec.architecture, " model with ", count,
                " experts; this architecture is known without experts only");
  }
  spec.expert_count = read.positive("expert_count");
  spec.expert_used_count = read.positive("expert_used_count");
  spec.expert_feed_forward_size =
      read.positive_or("expert_feed_forward_length", spec.feed_forward_size);
  if (spec.expert_used_count > spec.expert_count) {
    fail(ErrorCode::bad_file, file.path(), ": key ", read.key("expert_used_count"), " is ",
         spec.expert_used_count, ", more than the ", spec.expert_count, " experts there are");
  }
  if (spec.expert_used_count > ops::kMostUsed) {
    read.refuse("key ", read.key("expert_used_count"), " is ", spec.expert_used_count, "; at most ",
                ops::kMostUsed, " experts per token are supported");
  }
}

// Tensors of experts are named so in every architecture: ffn_gate_exps, ffn_down_exps ...
bool is_of_experts(const GgufTensor& tensor) {
  return tensor.name.find("_exps.") != std::string::npos;
}

void count_parameters(const GgufFile& file, ModelSpec& spec) {
  for (const GgufTensor& tensor : file.tensors()) {
    const auto count = static_cast<std::uint64_t>(tensor.element_count());
    spec.parameter_count += count;
    // Whole experts, so the division is exact in any file whose shapes are right.
    spec.active_parameter_count += is_of_experts(tensor) && spec.expert_count > 0
                                       ? count / static_cast<std::uint64_t>(spec.expert_count) *
                                             static_cast<std::uint64_t>(spec.expert_used_count)
                                       : count;
  }
}

}  // namespace

std::string arch_key(const GgufFile& file, std::string_view name) {
  return file.get<std::string>("general.architecture") + "." + std::string(name);
}

double real_key(const GgufFile& file, std::string_view name, double fallback, double low,
                double high) {
  const std::string key = arch_key(file, name);
  const double value = file.get_or<double>(key, fallback);
  if (!(value >= low && value <= high)) {  // also refuses NaN
    fail(ErrorCode::bad_file, file.path(), ": key ", key, " is ", value, "; expected ", low, " to ",
         high);
  }
  return value;
}

std::vector<float> rope_factors(const ModelSpec& spec, const GgufFile& file, ProgramBuilder& b,
                                const std::string& name) {
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return {};
  b.mark_used(name);
  if (tensor->dtype() != DType::F32 || tensor->element_count() != spec.rotary_size / 2) {
    fail(ErrorCode::bad_file, file.path(), ": tensor ", name, " should hold ", spec.rotary_size / 2,
         " F32 factors");
  }
  std::vector<float> factors(static_cast<std::size_t>(tensor->element_count()));
  dequantize(DType::F32, tensor->data, factors);
  for (const float factor : factors) {
    if (!std::isfinite(factor) || factor <= 0) {
      fail(ErrorCode::bad_file, file.path(), ": tensor ", name, " has a factor of ", factor);
    }
  }
  return factors;
}

void refuse_soft_caps(const GgufFile& file) {
  for (const char* name : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    const std::string key = arch_key(file, name);
    const double cap = file.get_or<double>(key, 0.0);
    if (cap == 0) continue;
    fail(ErrorCode::unsupported, file.path(), ": key ", key, " is ", cap,
         "; soft caps are not supported by this architecture");
  }
}

ModelSpec read_decoder_spec(const GgufFile& file) {
  return read_decoder_spec(file, {});
}

ModelSpec read_expert_decoder_spec(const GgufFile& file) {
  SpecTraits traits;
  traits.knows_experts = true;
  return read_decoder_spec(file, traits);
}

ModelSpec read_decoder_spec(const GgufFile& file, const SpecTraits& traits) {
  const SpecReader read(file);
  ModelSpec spec;
  spec.architecture = file.get<std::string>("general.architecture");
  spec.name = file.get_or<std::string>("general.name", "");
  spec.layer_count = read.positive("block_count");
  spec.hidden_size = read.positive("embedding_length");
  spec.feed_forward_size = read.positive("feed_forward_length");
  spec.head_count = read.positive("attention.head_count");
  spec.kv_head_count = read.positive_or("attention.head_count_kv", spec.head_count);
  spec.context_length = read.positive("context_length");
  const std::int64_t head_size = spec.hidden_size / spec.head_count;
  spec.key_size = read.positive_or("attention.key_length", head_size);
  spec.value_size = read.positive_or("attention.value_length", head_size);
  spec.rotary_size = read.positive_or("rope.dimension_count", spec.key_size);
  spec.norm_epsilon = read.real_or("attention.layer_norm_rms_epsilon",
                                   read.real_or("attention.layer_norm_epsilon", 1e-5));
  spec.rope_base = read.real_or("rope.freq_base", 10000.0);
  spec.rope_scaling = read_scaling(file, read, spec.context_length, traits.knows_longrope);
  if (spec.head_count % spec.kv_head_count != 0) {
    fail(ErrorCode::bad_file, file.path(), ": ", spec.head_count, " heads cannot share ",
         spec.kv_head_count, " KV heads");
  }
  if (spec.rotary_size > spec.key_size || spec.rotary_size % 2 != 0) {
    fail(ErrorCode::bad_file, file.path(), ": key ", read.key("rope.dimension_count"), " is ",
         spec.rotary_size, "; expected an even number up to the head size ", spec.key_size);
  }
  if (spec.norm_epsilon <= 0 || spec.rope_base <= 1) {
    fail(ErrorCode::bad_file, file.path(), ": norm epsilon ", spec.norm_epsilon, " or RoPE base ",
         spec.rope_base, " makes no sense");
  }
  read_experts(file, read, spec, traits.knows_experts);
  spec.vocabulary_size = file.tensor("token_embd.weight").rows();
  count_parameters(file, spec);
  return spec;
}

std::int64_t sliding_window(const GgufFile& file) {
  const std::string key = arch_key(file, "attention.sliding_window");
  const auto window = file.get_or<std::int64_t>(key, 0);
  if (window < 0 || window >= kLargest) {
    fail(ErrorCode::bad_file, file.path(), ": key ", key, " is ", window);
  }
  return window;
}

std::string layer_name(std::int64_t layer, std::string_view name) {
  return "blk." + std::to_string(layer) + "." + std::string(name);
}

ValueId last_layer_rows(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer,
                        std::string_view name, ValueId x) {
  return layer + 1 < spec.layer_count ? x : b.select_rows(layer_name(layer, name), x);
}

ValueId attention_residual(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                           ValueId mixed) {
  return b.add(layer_name(layer, "attention_residual"),
               last_layer_rows(b, spec, layer, "outputs", x), mixed);
}

ValueId norm(ProgramBuilder& b, const ModelSpec& spec, ops::NormKind kind, const std::string& base,
             ValueId x) {
  const WeightOperand weight = b.vector(base + ".weight", spec.hidden_size);
  if (kind == ops::NormKind::rms) return b.rms_norm(base, x, weight, spec.norm_epsilon);
  return b.layer_norm(base, x, weight, b.vector(base + ".bias", spec.hidden_size),
                      spec.norm_epsilon);
}

ValueId self_attention(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                       const AttentionTraits& traits) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  const std::int64_t query_size = spec.head_count * spec.key_size;
  const std::int64_t key_size = spec.kv_head_count * spec.key_size;
  const std::int64_t value_size = spec.kv_head_count * spec.value_size;

  const auto qkv =
      b.matmul({name("query"), name("key"), name("value")}, x,
               traits.fused_qkv
                   ? b.stacked_linears(name("attn_qkv"), {query_size, key_size, value_size},
                                       spec.hidden_size)
                   : std::vector<Linear>{
                         b.linear(name("attn_q"), query_size, spec.hidden_size, traits.qkv_bias),
                         b.linear(name("attn_k"), key_size, spec.hidden_size, traits.qkv_bias),
                         b.linear(name("attn_v"), value_size, spec.hidden_size, traits.qkv_bias)});
  const auto normalise_and_rotate = [&](const std::string& part, const std::string& norm_tensor,
                                        ValueId value, std::int64_t row_size) {
    if (traits.query_key_norm != QueryKeyNorm::none) {
      const bool per_head = traits.query_key_norm == QueryKeyNorm::per_head;
      const std::int64_t group = per_head ? spec.key_size : row_size;
      value = b.rms_norm(name(part + "_norm"), value,
                         b.vector(name(norm_tensor) + ".weight", group), spec.norm_epsilon, group);
    }
    if (!traits.rotates) return value;
    return b.rope(name(part + "_rotated"), value, traits.rope_layout, spec.key_size,
                  spec.rotary_size, traits.rope_table);
  };
  const ValueId query = normalise_and_rotate("query", "attn_q_norm", qkv[0], query_size);
  const ValueId key = normalise_and_rotate("key", "attn_k_norm", qkv[1], key_size);

  const StateId state =
      b.state(name("kv"), spec.kv_head_count, spec.key_size, spec.value_size, traits.window);
  b.state_store(key, qkv[2], state);
  const double scale =
      traits.scale > 0 ? traits.scale : 1.0 / std::sqrt(static_cast<double>(spec.key_size));
  std::optional<WeightOperand> sinks;
  if (traits.sinks) sinks = b.vector(name("attn_sinks.weight"), spec.head_count);
  const ValueId mixed = last_layer_rows(
      b, spec, layer, "attention_outputs",
      b.attention(name("attention"), query, state, spec.head_count, scale, traits.window, sinks));
  return b.matmul(name("attention_out"), mixed,
                  b.linear(name("attn_output"), spec.hidden_size, spec.head_count * spec.value_size,
                           traits.output_bias));
}

ValueId gated_feed_forward(ProgramBuilder& b, const ModelSpec& spec, std::int64_t layer, ValueId x,
                           const FeedForwardTraits& traits) {
  const auto name = [layer](std::string_view part) { return layer_name(layer, part); };
  const std::int64_t size = spec.feed_forward_size;
  const auto gate_up = b.matmul(
      {name("ffn_gate"), name("ffn_up")}, x,
      traits.fused_gate_up
          ? b.stacked_linears(name("ffn_up"), {size, size}, spec.hidden_size)
          : std::vector<Linear>{b.linear(name("ffn_gate"), size, spec.hidden_size, traits.bias),
                                b.linear(name("ffn_up"), size, spec.hidden_size, traits.bias)});
  const ValueId activated = b.glu(name("ffn_activated"), traits.activation, gate_up[0], gate_up[1]);
  return b.matmul(name("ffn_out"), activated,
                  b.linear(name("ffn_down"), spec.hidden_size, size, traits.bias));
}

ValueId output_head(ProgramBuilder& b, const ModelSpec& spec, ops::NormKind kind, ValueId x) {
  const ValueId normed = norm(b, spec, kind, "output_norm", x);
  const bool tied = !b.has_tensor("output.weight");
  Linear head;
  head.weight = b.matrix(tied ? "token_embd.weight" : "output.weight", spec.vocabulary_size,
                         spec.hidden_size);
  return b.head("logits", normed, head);
}

}  // namespace ingot::internal
