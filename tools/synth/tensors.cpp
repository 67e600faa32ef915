// The tensors of a shape, by GGUF's names.
#include "synth/shapes.hpp"

namespace ingot::tools {
namespace {

/// Appends the tensors of one layer.
class LayerWriter {
 public:
  LayerWriter(const Shape& shape, std::int64_t layer, std::vector<TensorShape>& all)
      : s_(shape), layer_(layer), all_(all) {}

  void attention() {
    const std::int64_t query_size = s_.head_count * s_.head_size;
    const std::int64_t kv_size = s_.kv_head_count * s_.head_size;
    if (s_.block != Block::post_norm) norm("attn_norm");
    if (s_.latent.rank > 0) {
      latent_attention();
      return;
    }
    linear("attn_q", Role::matrix, s_.hidden_size, query_size, s_.qkv_bias);
    linear("attn_k", Role::attn_k, s_.hidden_size, kv_size, s_.qkv_bias);
    linear("attn_v", Role::attn_v, s_.hidden_size, kv_size, s_.qkv_bias);
    if (s_.head_norm || s_.block == Block::post_norm) {
      add("attn_q_norm.weight", Role::norm, {s_.head_norm ? s_.head_size : query_size});
      add("attn_k_norm.weight", Role::norm, {s_.head_norm ? s_.head_size : kv_size});
    }
    linear("attn_output", Role::attn_output, query_size, s_.hidden_size, s_.output_bias);
    if (s_.sinks) add("attn_sinks.weight", Role::bias, {s_.head_count});
    // gpt-oss calls the norm before its experts by the place of the one before.
    if (s_.block == Block::post_norm || s_.sinks) norm("post_attention_norm");
  }

  void feed_forward() {
    if (s_.block != Block::post_norm && !s_.sinks) norm("ffn_norm");
    const bool plain = s_.block == Block::layer_norm;
    if (s_.experts.count > 0 && layer_ >= s_.experts.dense_layers) {
      experts();
    } else {
      if (!plain) linear("ffn_gate", Role::matrix, s_.hidden_size, s_.feed_forward_size, false);
      linear("ffn_up", Role::matrix, s_.hidden_size, s_.feed_forward_size, plain);
      linear("ffn_down", Role::ffn_down, s_.feed_forward_size, s_.hidden_size, plain);
    }
    if (s_.block == Block::post_norm) norm("post_ffw_norm");
  }

 private:
  void latent_attention() {
    const LatentShape& l = s_.latent;
    const std::int64_t plain_size = s_.head_size - l.turned_size;
    linear("attn_q", Role::matrix, s_.hidden_size, s_.head_count * s_.head_size, false);
    linear("attn_kv_a_mqa", Role::matrix, s_.hidden_size, l.rank + l.turned_size, false);
    add("attn_kv_a_norm.weight", Role::norm, {l.rank});
    linear("attn_kv_b", Role::matrix, l.rank, s_.head_count * (plain_size + l.value_size), false);
    linear("attn_output", Role::attn_output, s_.head_count * l.value_size, s_.hidden_size, false);
  }

  void experts() {
    const ExpertShape& e = s_.experts;
    linear("ffn_gate_inp", Role::router, s_.hidden_size, e.count, false);
    if (e.biases) add("ffn_gate_inp.bias", Role::bias, {e.count});
    expert_linear("ffn_gate_exps", Role::experts, s_.hidden_size, e.feed_forward_size);
    expert_linear("ffn_up_exps", Role::experts, s_.hidden_size, e.feed_forward_size);
    expert_linear("ffn_down_exps", Role::experts_down, e.feed_forward_size, s_.hidden_size);
    if (e.shared_size == 0) return;
    if (e.shared_gate) add("ffn_gate_inp_shexp.weight", Role::router, {s_.hidden_size});
    linear("ffn_gate_shexp", Role::matrix, s_.hidden_size, e.shared_size, false);
    linear("ffn_up_shexp", Role::matrix, s_.hidden_size, e.shared_size, false);
    linear("ffn_down_shexp", Role::ffn_down, e.shared_size, s_.hidden_size, false);
  }

  void norm(const std::string& base) {
    add(base + ".weight", Role::norm, {s_.hidden_size});
    if (s_.block == Block::layer_norm) add(base + ".bias", Role::bias, {s_.hidden_size});
  }

  void linear(const std::string& base, Role role, std::int64_t columns, std::int64_t rows,
              bool bias) {
    add(base + ".weight", role, {columns, rows});
    if (bias) add(base + ".bias", Role::bias, {rows});
  }

  void expert_linear(const std::string& base, Role role, std::int64_t columns, std::int64_t rows) {
    add(base + ".weight", role, {columns, rows, s_.experts.count});
    if (s_.experts.biases) add(base + ".bias", Role::bias, {rows, s_.experts.count});
  }

  void add(const std::string& name, Role role, std::vector<std::int64_t> shape) {
    all_.push_back({"blk." + std::to_string(layer_) + "." + name, role, std::move(shape), layer_});
  }

  const Shape& s_;
  std::int64_t layer_;
  std::vector<TensorShape>& all_;
};

}  // namespace

std::uint64_t TensorShape::element_count() const {
  std::uint64_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

std::vector<TensorShape> tensors_of(const Shape& s) {
  std::vector<TensorShape> all;
  all.push_back({"token_embd.weight", Role::embedding, {s.hidden_size, s.vocabulary_size}});
  for (std::int64_t layer = 0; layer < s.layer_count; ++layer) {
    LayerWriter writer(s, layer, all);
    writer.attention();
    writer.feed_forward();
  }
  all.push_back({"output_norm.weight", Role::norm, {s.hidden_size}});
  if (s.block == Block::layer_norm) {
    all.push_back({"output_norm.bias", Role::bias, {s.hidden_size}});
  }
  if (s.llama3_rope) all.push_back({"rope_freqs.weight", Role::rope_factors, {s.head_size / 2}});
  if (!s.tied) all.push_back({"output.weight", Role::output, {s.hidden_size, s.vocabulary_size}});
  return all;
}

std::uint64_t parameter_count(const Shape& shape) {
  std::uint64_t count = 0;
  for (const TensorShape& tensor : tensors_of(shape)) {
    if (tensor.role != Role::rope_factors) count += tensor.element_count();
  }
  return count;
}

std::uint64_t active_parameter_count(const Shape& shape) {
  std::uint64_t idle = 0;
  for (const TensorShape& tensor : tensors_of(shape)) {
    if (tensor.name.find("_exps.") == std::string::npos) continue;
    idle += tensor.element_count() / static_cast<std::uint64_t>(shape.experts.count) *
            static_cast<std::uint64_t>(shape.experts.count - shape.experts.used);
  }
  return parameter_count(shape) - idle;
}

}  // namespace ingot::tools
