#include "synth/shapes.hpp"

#include <algorithm>
#include <cmath>

namespace ingot::tools {
namespace {

Shape qwen2(std::string_view name, std::int64_t layers, std::int64_t hidden, std::int64_t ff,
            std::int64_t heads, std::int64_t kv_heads, bool tied) {
  Shape shape{name, "qwen2", Family::qwen2, layers, hidden, ff, heads, kv_heads, hidden / heads,
              // The larger sizes pad the same vocabulary to a multiple of 512.
              tied ? 151936 : 152064, 32768, 1e6, 1e-6};
  shape.tied = tied;
  shape.qkv_bias = true;
  return shape;
}

Shape llama31(std::string_view name, std::int64_t layers, std::int64_t hidden, std::int64_t ff,
              std::int64_t heads) {
  Shape shape{name, "llama", Family::llama3, layers, hidden, ff,  heads,
              8,    128,     128256,         131072, 5e5,    1e-5};
  shape.llama3_rope = true;
  shape.large_gqa_mix = layers == 80;
  return shape;
}

Shape deepseek(std::string_view name, std::int64_t layers, std::int64_t hidden, std::int64_t ff,
               std::int64_t heads, std::int64_t kv_heads) {
  Shape shape{
      name, "llama", Family::deepseek, layers, hidden, ff, heads, kv_heads, 128, 32256, 16384,
      1e5,  1e-6};
  shape.rope_linear = 4;
  return shape;
}

Shape codellama(std::string_view name, std::int64_t layers, std::int64_t hidden, std::int64_t ff,
                std::int64_t heads, std::int64_t kv_heads, Family family) {
  // The sizes without fill-in-the-middle lack its 16 tokens.
  return {name,  "llama", family,   layers, hidden,
          ff,    heads,   kv_heads, 128,    family == Family::codellama ? 32016 : 32000,
          16384, 1e6,     1e-5};
}

}  // namespace

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      qwen2("qwen2.5-coder-0.5b", 24, 896, 4864, 14, 2, true),
      qwen2("qwen2.5-coder-1.5b", 28, 1536, 8960, 12, 2, true),
      qwen2("qwen2.5-coder-3b", 36, 2048, 11008, 16, 2, true),
      qwen2("qwen2.5-coder-7b", 28, 3584, 18944, 28, 4, false),
      qwen2("qwen2.5-coder-14b", 48, 5120, 13824, 40, 8, false),
      qwen2("qwen2.5-coder-32b", 64, 5120, 27648, 40, 8, false),
      llama31("llama-3.1-8b", 32, 4096, 14336, 32),
      llama31("llama-3.1-70b", 80, 8192, 28672, 64),
      deepseek("deepseek-coder-1.3b", 24, 2048, 5504, 16, 16),
      deepseek("deepseek-coder-6.7b", 32, 4096, 11008, 32, 32),
      deepseek("deepseek-coder-33b", 62, 7168, 19200, 56, 8),
      codellama("codellama-7b", 32, 4096, 11008, 32, 32, Family::codellama),
      codellama("codellama-13b", 40, 5120, 13824, 40, 40, Family::codellama),
      codellama("codellama-34b", 48, 8192, 22016, 64, 8, Family::codellama_plain),
      {"codestral-22b", "llama", Family::mistral, 56, 6144, 16384, 48, 8, 128, 32768, 32768, 1e6,
       1e-5},
  };
  return all;
}

const Shape* find_shape(std::string_view name) {
  const auto found = std::find_if(shapes().begin(), shapes().end(),
                                  [name](const Shape& shape) { return shape.name == name; });
  return found == shapes().end() ? nullptr : &*found;
}

std::uint64_t TensorShape::element_count() const {
  std::uint64_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

std::vector<TensorShape> tensors_of(const Shape& s) {
  const std::int64_t query_size = s.head_count * s.head_size;
  const std::int64_t kv_size = s.kv_head_count * s.head_size;
  std::vector<TensorShape> all;
  all.push_back({"token_embd.weight", Role::embedding, {s.hidden_size, s.vocabulary_size}});
  for (std::int64_t layer = 0; layer < s.layer_count; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    const auto add = [&](const char* name, Role role, std::vector<std::int64_t> shape) {
      all.push_back({block + name, role, std::move(shape), layer});
    };
    add("attn_norm.weight", Role::norm, {s.hidden_size});
    add("attn_q.weight", Role::matrix, {s.hidden_size, query_size});
    add("attn_k.weight", Role::matrix, {s.hidden_size, kv_size});
    add("attn_v.weight", Role::attn_v, {s.hidden_size, kv_size});
    if (s.qkv_bias) {
      add("attn_q.bias", Role::bias, {query_size});
      add("attn_k.bias", Role::bias, {kv_size});
      add("attn_v.bias", Role::bias, {kv_size});
    }
    add("attn_output.weight", Role::attn_output, {query_size, s.hidden_size});
    add("ffn_norm.weight", Role::norm, {s.hidden_size});
    add("ffn_gate.weight", Role::matrix, {s.hidden_size, s.feed_forward_size});
    add("ffn_up.weight", Role::matrix, {s.hidden_size, s.feed_forward_size});
    add("ffn_down.weight", Role::ffn_down, {s.feed_forward_size, s.hidden_size});
  }
  all.push_back({"output_norm.weight", Role::norm, {s.hidden_size}});
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

std::vector<float> llama3_rope_factors(const Shape& shape) {
  constexpr double kFactor = 8;
  constexpr double kLowFrequency = 1;
  constexpr double kHighFrequency = 4;
  constexpr double kOriginalContext = 8192;
  constexpr double kTwoPi = 6.283185307179586476925;
  std::vector<float> factors;
  for (std::int64_t i = 0; i < shape.head_size / 2; ++i) {
    const double frequency = std::pow(
        shape.rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_size));
    const double turns = kOriginalContext * frequency / kTwoPi;
    const double keep =
        std::clamp((turns - kLowFrequency) / (kHighFrequency - kLowFrequency), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - keep) / kFactor + keep)));
  }
  return factors;
}

}  // namespace ingot::tools
