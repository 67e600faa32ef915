// Reading the hyper-parameters that decoders share.
#include <algorithm>
#include <cmath>

#include "ingot/error.hpp"
#include "src/arch/decoder.hpp"
#include "src/arch/layer_keys.hpp"
#include "src/arch/run_options.hpp"

namespace ingot::internal {
namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // bounds every product of two sizes

class SpecReader {
 public:
  explicit SpecReader(const GgufFile& file) : file_(file) {}

  std::string key(std::string_view name) const { return arch_key(file_, name); }

  std::int64_t positive(std::string_view name) const {
    const auto value = try_uniform_key<std::int64_t>(file_, key(name));
    // An absent key is named by the file.
    return in_range(name, value ? *value : file_.get<std::int64_t>(key(name)));
  }
  std::int64_t positive_or(std::string_view name, std::int64_t fallback) const {
    return in_range(name, uniform_key<std::int64_t>(file_, key(name), fallback));
  }
  /// A size that files may state per layer: one of them for all, or the list where they differ (the
  /// result is then the largest). A `fallback` of 0: the key is required.
  std::int64_t layer_size(std::string_view name, std::int64_t fallback,
                          std::vector<std::int64_t>& layers) const {
    layers = differing_layers(file_, key(name));
    for (const std::int64_t size : layers) in_range(name, size);
    if (!layers.empty()) return *std::max_element(layers.begin(), layers.end());
    return fallback == 0 ? positive(name) : positive_or(name, fallback);
  }
  double real_or(std::string_view name, double fallback) const {
    const double value = uniform_key<double>(file_, key(name), fallback);
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

// The key in which files state a field of RopeScaling.
std::string_view scaling_key(std::string_view field) {
  if (field == "factor") return "rope.scaling.factor";
  if (field == "attention_factor") return "rope.scaling.attn_factor";
  if (field == "beta_fast") return "rope.scaling.yarn_beta_fast";
  if (field == "beta_slow") return "rope.scaling.yarn_beta_slow";
  return "rope.scaling.original_context_length";
}

RopeScaling read_scaling(const GgufFile& file, const SpecReader& read, std::int64_t context_length,
                         const SpecTraits& traits) {
  RopeScaling scaling;
  scaling.truncate = traits.truncates_yarn;
  const std::string type = file.get_or<std::string>(read.key("rope.scaling.type"), "");
  // Files older than rope.scaling.type carry only a linear factor.
  const double legacy = read.real_or("rope.scale_linear", 1.0);
  scaling.factor = read.real_or("rope.scaling.factor", legacy);
  if (scaling.factor == 0) scaling.factor = 1.0;  // written by some converters for "none"
  if (type == "yarn") {
    scaling.kind = RopeScaling::Kind::yarn;
  } else if (type == "linear" || type.empty()) {
    scaling.kind = scaling.factor == 1.0 ? RopeScaling::Kind::none : RopeScaling::Kind::linear;
  } else if (type == "longrope" && traits.knows_longrope) {
    scaling.kind = RopeScaling::Kind::longrope;
  } else if (type != "none") {
    read.refuse("RoPE scaling \"", type, "\" is not supported by this architecture");
  }
  scaling.original_context =
      read.positive_or("rope.scaling.original_context_length", context_length);
  scaling.attention_factor = read.real_or("rope.scaling.attn_factor", 1.0);
  scaling.beta_fast = read.real_or("rope.scaling.yarn_beta_fast", 32.0);
  scaling.beta_slow = read.real_or("rope.scaling.yarn_beta_slow", 1.0);
  if (const auto fault = fault_of(scaling)) {
    fail(ErrorCode::bad_file, file.path(), ": key ", read.key(scaling_key(fault->field)), " is ",
         fault->value, "; expected ", fault->expected);
  }
  return scaling;
}

void read_experts(const GgufFile& file, const SpecReader& read, ModelSpec& spec,
                  bool knows_experts) {
  const auto count = uniform_key<std::int64_t>(file, read.key("expert_count"), 0);
  if (count == 0) return;
  if (!knows_experts) {
    read.refuse("a ", spec.architecture, " model with ", count,
                " experts; this architecture is known without experts only");
  }
  spec.expert_count = read.positive("expert_count");
  spec.expert_used_count = read.positive("expert_used_count");
  const bool stated = file.find(read.key("expert_feed_forward_length")) != nullptr;
  spec.expert_feed_forward_size = read.layer_size(
      "expert_feed_forward_length", spec.feed_forward_size, spec.layer_expert_feed_forward_sizes);
  if (!stated) spec.layer_expert_feed_forward_sizes = spec.layer_feed_forward_sizes;
  if (spec.expert_used_count > spec.expert_count) {
    fail(ErrorCode::bad_file, file.path(), ": key ", read.key("expert_used_count"), " is ",
         spec.expert_used_count, ", more than the ", spec.expert_count, " experts there are");
  }
  if (spec.expert_used_count > ops::kMostUsed) {
    read.refuse("key ", read.key("expert_used_count"), " is ", spec.expert_used_count, "; at most ",
                ops::kMostUsed, " experts per token are supported");
  }
}

// Tensors of experts are named so in every architecture: ffn_gate_exps, ffn_down_exps ..., or with
// a tensor per expert ffn_gate.0, ffn_gate.1 ...
bool is_of_experts(const GgufTensor& tensor) {
  if (tensor.name.find("_exps.") != std::string::npos) return true;
  for (const std::string_view part : {".ffn_gate.", ".ffn_up.", ".ffn_down."}) {
    const std::size_t at = tensor.name.find(part);
    if (at == std::string::npos || at + part.size() >= tensor.name.size()) continue;
    const char behind = tensor.name[at + part.size()];
    if (behind >= '0' && behind <= '9') return true;
  }
  return false;
}

void count_parameters(const GgufFile& file, ModelSpec& spec) {
  std::uint64_t experts = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    const auto count = static_cast<std::uint64_t>(tensor.element_count());
    spec.parameter_count += count;
    if (spec.expert_count > 0 && is_of_experts(tensor)) experts += count;
  }
  spec.active_parameter_count = spec.parameter_count - experts;
  if (experts == 0) return;
  // Whole experts, so the division is exact in any file whose shapes are right.
  spec.active_parameter_count += experts / static_cast<std::uint64_t>(spec.expert_count) *
                                 static_cast<std::uint64_t>(spec.expert_used_count);
}

// Rows of embedding and head against the tokens that the file names: more are padding, fewer would
// leave tokens that can be read or drawn but have no row.
void count_tokens(const GgufFile& file, ModelSpec& spec) {
  const GgufTensor& embedding = file.tensor("token_embd.weight");
  const GgufTensor* head = file.find_tensor("output.weight");
  spec.vocabulary_size = embedding.rows();
  spec.logit_count = head != nullptr ? head->rows() : spec.vocabulary_size;
  spec.token_count = std::min(spec.vocabulary_size, spec.logit_count);
  const GgufValue* tokens = file.find("tokenizer.ggml.tokens");
  if (tokens == nullptr || !tokens->is_array() || tokens->size() == 0) return;
  for (const GgufTensor* table : {&embedding, head}) {
    if (table == nullptr || static_cast<std::uint64_t>(table->rows()) >= tokens->size()) continue;
    fail(ErrorCode::bad_file, file.path(), ": tensor ", table->name, " has ", table->rows(),
         " rows for the ", tokens->size(),
         " tokens of the file's tokenizer; it is damaged or put together from two models");
  }
  spec.token_count = static_cast<std::int64_t>(tokens->size());
}

void refuse_differing_layers(const GgufFile& file, const SpecReader& read, const ModelSpec& spec) {
  if (!spec.layer_head_counts.empty()) {
    refuse_unequal_layers(file, read.key("attention.head_count"));
  }
  if (!spec.layer_kv_head_counts.empty()) {
    refuse_unequal_layers(file, read.key("attention.head_count_kv"));
  }
  if (!spec.layer_feed_forward_sizes.empty()) {
    refuse_unequal_layers(file, read.key("feed_forward_length"));
  }
  if (!spec.layer_expert_feed_forward_sizes.empty()) {
    refuse_unequal_layers(file, read.key("expert_feed_forward_length"));
  }
}

// Heads and feed-forward sizes, which some models have per layer.
void read_layer_sizes(const GgufFile& file, const SpecReader& read, const SpecTraits& traits,
                      ModelSpec& spec) {
  const std::string heads = "attention.head_count";
  const std::string kv_heads = "attention.head_count_kv";
  spec.feed_forward_size = read.layer_size("feed_forward_length", 0, spec.layer_feed_forward_sizes);
  spec.head_count = read.layer_size(heads, 0, spec.layer_head_counts);
  spec.kv_head_count = read.layer_size(kv_heads, spec.head_count, spec.layer_kv_head_counts);
  if (file.find(read.key(kv_heads)) == nullptr) spec.layer_kv_head_counts = spec.layer_head_counts;
  if (!traits.layers_differ) refuse_differing_layers(file, read, spec);
  const bool differ = !spec.layer_head_counts.empty() || !spec.layer_kv_head_counts.empty();
  for (std::int64_t layer = 0; layer < (differ ? spec.layer_count : 1); ++layer) {
    if (spec.heads_of(layer) % spec.kv_heads_of(layer) == 0) continue;
    fail(ErrorCode::bad_file, file.path(), ": ", spec.heads_of(layer), " heads cannot share ",
         spec.kv_heads_of(layer), " KV heads (keys ", read.key(heads), " and ", read.key(kv_heads),
         differ ? ", layer " + std::to_string(layer) : std::string(), ")");
  }
}

}  // namespace

std::string arch_key(const GgufFile& file, std::string_view name) {
  return file.get<std::string>("general.architecture") + "." + std::string(name);
}

double real_key(const GgufFile& file, std::string_view name, double fallback, double low,
                double high) {
  const std::string key = arch_key(file, name);
  const double value = uniform_key<double>(file, key, fallback);
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
  if (!tensor->dtype() || tensor->element_count() != spec.rotary_size / 2) {
    fail(ErrorCode::bad_file, file.path(), ": tensor ", name, " should hold ", spec.rotary_size / 2,
         " factors, in F32 or another type this build computes with");
  }
  std::vector<float> factors(static_cast<std::size_t>(tensor->element_count()));
  dequantize(*tensor->dtype(), tensor->data, factors);
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
    const double cap = uniform_key<double>(file, key, 0.0);
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
  if (static_cast<std::uint64_t>(spec.layer_count) > file.tensors().size()) {
    fail(ErrorCode::bad_file, file.path(), ": key ", read.key("block_count"), " is ",
         spec.layer_count, ", but the file has only ", file.tensors().size(), " tensors");
  }
  spec.hidden_size = read.positive("embedding_length");
  read_layer_sizes(file, read, traits, spec);
  spec.context_length = read.positive("context_length");
  // Where files are silent and layers differ, the first one tells; the shapes of tensors confirm
  // it.
  const std::int64_t head_size = spec.hidden_size / spec.heads_of(0);
  spec.key_size = read.positive_or("attention.key_length", head_size);
  spec.value_size = read.positive_or("attention.value_length", head_size);
  spec.rotary_size = read.positive_or("rope.dimension_count", spec.key_size);
  spec.norm_epsilon = read.real_or("attention.layer_norm_rms_epsilon",
                                   read.real_or("attention.layer_norm_epsilon", 1e-5));
  spec.rope_base = read.real_or("rope.freq_base", 10000.0);
  spec.rope_scaling = read_scaling(file, read, spec.context_length, traits);
  if (spec.rotary_size > spec.key_size || spec.rotary_size % 2 != 0) {
    fail(ErrorCode::bad_file, file.path(), ": key ", read.key("rope.dimension_count"), " is ",
         spec.rotary_size, "; expected an even number up to the head size ", spec.key_size);
  }
  if (spec.norm_epsilon <= 0 || spec.rope_base <= 1) {
    fail(ErrorCode::bad_file, file.path(), ": norm epsilon ", spec.norm_epsilon, " or RoPE base ",
         spec.rope_base, " makes no sense");
  }
  read_experts(file, read, spec, traits.knows_experts);
  if (!traits.layers_differ) refuse_differing_layers(file, read, spec);
  count_tokens(file, spec);
  count_parameters(file, spec);
  return spec;
}

std::int64_t sliding_window(const GgufFile& file) {
  const std::string key = arch_key(file, "attention.sliding_window");
  const auto window = uniform_key<std::int64_t>(file, key, 0);
  if (window < 0 || window >= kLargest) {
    fail(ErrorCode::bad_file, file.path(), ": key ", key, " is ", window);
  }
  return window;
}

std::vector<bool> windowed_layers(const ModelSpec& spec, const GgufFile& file,
                                  std::int64_t published) {
  const std::string key = arch_key(file, "attention.sliding_window_pattern");
  const GgufValue* value = file.find(key);
  if (value != nullptr && value->is_array()) {
    require_layer_array(file, key, *value);
    return file.get<std::vector<bool>>(key);
  }
  const auto period = file.get_or<std::int64_t>(key, published);
  if (period < 1) fail(ErrorCode::bad_file, file.path(), ": key ", key, " is ", period);
  std::vector<bool> pattern;
  for (std::int64_t layer = 0; layer < spec.layer_count; ++layer) {
    pattern.push_back(layer % period != period - 1);
  }
  return pattern;
}

}  // namespace ingot::internal
