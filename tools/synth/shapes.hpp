// The shapes of published models: what decides how large a model is and how fast it can run,
// without its weights.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::tools {

/// Which special tokens a model family has, by their published spelling, and which text splitting.
enum class Family {
  qwen2,
  llama3,
  deepseek,
  codellama,
  codellama_plain,
  mistral,
  gpt_oss,
  starcoder,
  olmo,
};

/// A feed-forward block of experts.
struct ExpertShape {
  std::int64_t count = 0;  ///< 0: the block is one gated MLP
  std::int64_t used = 0;   ///< per token
  std::int64_t feed_forward_size = 0;
  std::int64_t shared_size = 0;   ///< of the experts that every token uses, together; 0: none
  bool shared_gate = true;        ///< they are behind a gate
  std::int64_t shared_count = 0;  ///< how many they are, where files say so
  std::int64_t dense_layers = 0;  ///< layers at the front that are one gated MLP
  bool biases = false;            ///< on router and experts
};

/// Multi-head latent attention (DeepSeek-V2).
struct LatentShape {
  std::int64_t rank = 0;         ///< columns of the latent; 0: attention is plain
  std::int64_t turned_size = 0;  ///< columns of a head that turn; Shape::head_size is all of them
  std::int64_t value_size = 0;   ///< per head
  double yarn_log_multiplier = 0;
};

/// What differs between the layers of architectures.
enum class Block {
  pre_norm,    ///< norms before attention and MLP (Llama and most others)
  post_norm,   ///< norms behind them, q and k normalised over the row (OLMo 2)
  layer_norm,  ///< layer norms, an ungated MLP, biases everywhere (StarCoder2)
};

/// Hyper-parameters as the model's publisher gives them in its config.json.
struct Shape {
  std::string_view name;  ///< as on the command line
  std::string_view architecture;
  Family family;
  std::int64_t layer_count;
  std::int64_t hidden_size;
  std::int64_t feed_forward_size;
  std::int64_t head_count;
  std::int64_t kv_head_count;
  std::int64_t head_size;
  std::int64_t vocabulary_size;
  std::int64_t context_length;
  double rope_base;
  double norm_epsilon;
  bool tied = false;  ///< the embedding table is the head as well
  bool qkv_bias = false;
  double rope_linear = 1;      ///< positions are divided by it
  bool llama3_rope = false;    ///< Llama 3.1's factors per pair, in rope_freqs.weight
  bool large_gqa_mix = false;  ///< llama.cpp's "70B": attn_v gets more bits, being 8 times smaller
  Block block = Block::pre_norm;
  ExpertShape experts = {};
  LatentShape latent = {};
  bool head_norm = false;    ///< q and k are normalised per head
  bool output_bias = false;  ///< attention's output projection has one
  bool sinks = false;        ///< one more attention logit per head
  std::int64_t window = 0;   ///< attention.sliding_window; 0: none
  double yarn_factor = 1;
  std::int64_t yarn_context = 0;  ///< before stretching
};

const std::vector<Shape>& shapes();

/// Null when there is none of that name.
const Shape* find_shape(std::string_view name);

/// What a tensor is, where that decides its type and its values.
enum class Role {
  embedding,
  output,
  attn_k,
  attn_v,
  attn_output,
  ffn_down,
  matrix,
  experts,       ///< gate and up of all experts: three dimensions
  experts_down,  ///< down of all experts
  router,
  norm,
  bias,
  rope_factors
};

struct TensorShape {
  std::string name;
  Role role;
  std::vector<std::int64_t> shape;  ///< GGUF order: columns first
  std::int64_t layer = 0;

  std::uint64_t element_count() const;
};

/// All tensors of a model, in the order they are written.
std::vector<TensorShape> tensors_of(const Shape& shape);

/// Parameters as publishers count them: all but the RoPE factors, which are computed.
std::uint64_t parameter_count(const Shape& shape);

/// Those that one token uses: without the experts it does not.
std::uint64_t active_parameter_count(const Shape& shape);

/// Llama 3.1's divisor of each pair's frequency ("llama3" scaling of its config.json: factor 8,
/// original context 8192, wave lengths between 8192 / 4 and 8192 / 1 blended).
std::vector<float> llama3_rope_factors(const Shape& shape);

}  // namespace ingot::tools
