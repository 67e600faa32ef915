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

Shape qwen3(std::string_view name, std::int64_t layers, std::int64_t hidden, std::int64_t ff,
            std::int64_t heads, std::int64_t kv_heads, bool tied) {
  Shape shape{name,     "qwen3", Family::qwen2, layers, hidden, ff,   heads,
              kv_heads, 128,     151936,        40960,  1e6,    1e-6, tied};
  shape.head_norm = true;
  return shape;
}

Shape qwen3_coder_moe() {
  Shape shape{"qwen3-coder-30b-a3b",
              "qwen3moe",
              Family::qwen2,
              48,
              2048,
              5472,
              32,
              4,
              128,
              151936,
              262144,
              1e7,
              1e-6};
  shape.head_norm = true;
  shape.experts = {.count = 128, .used = 8, .feed_forward_size = 768};
  return shape;
}

Shape qwen15_moe() {
  Shape shape{"qwen1.5-moe-a2.7b",
              "qwen2moe",
              Family::qwen2,
              24,
              2048,
              5632,
              16,
              16,
              128,
              151936,
              8192,
              1e6,
              1e-6};
  shape.qkv_bias = true;
  shape.experts = {.count = 60, .used = 4, .feed_forward_size = 1408, .shared_size = 5632};
  return shape;
}

Shape mixtral() {
  Shape shape{"mixtral-8x7b",
              "llama",
              Family::mistral,
              32,
              4096,
              14336,
              32,
              8,
              128,
              32000,
              32768,
              1e6,
              1e-5};
  shape.experts = {.count = 8, .used = 2, .feed_forward_size = 14336};
  return shape;
}

Shape deepseek_v2_lite() {
  Shape shape{"deepseek-coder-v2-lite",
              "deepseek2",
              Family::deepseek,
              27,
              2048,
              10944,
              16,
              16,
              192,
              102400,
              163840,
              1e4,
              1e-6};
  shape.yarn_factor = 40;
  shape.yarn_context = 4096;
  shape.latent = {.rank = 512, .turned_size = 64, .value_size = 128, .yarn_log_multiplier = 0.0707};
  shape.experts = {.count = 64,
                   .used = 6,
                   .feed_forward_size = 1408,
                   .shared_size = 2816,
                   .shared_gate = false,
                   .shared_count = 2,
                   .dense_layers = 1};
  return shape;
}

Shape gpt_oss(std::string_view name, std::int64_t layers, std::int64_t experts) {
  Shape shape{name, "gpt-oss", Family::gpt_oss, layers, 2880,  2880, 64,
              8,    64,        201088,          131072, 1.5e5, 1e-5};
  shape.qkv_bias = true;
  shape.output_bias = true;
  shape.sinks = true;
  shape.window = 128;
  shape.yarn_factor = 32;
  shape.yarn_context = 4096;
  shape.experts = {.count = experts, .used = 4, .feed_forward_size = 2880, .biases = true};
  return shape;
}

Shape starcoder2(std::string_view name, std::int64_t layers, std::int64_t hidden,
                 std::int64_t heads, std::int64_t kv_heads, double rope_base, bool tied) {
  Shape shape{
      name,  "starcoder2", Family::starcoder, layers, hidden, 4 * hidden, heads, kv_heads, 128,
      49152, 16384,        rope_base,         1e-5,   tied};
  shape.block = Block::layer_norm;
  shape.qkv_bias = true;
  shape.output_bias = true;
  shape.window = 4096;
  return shape;
}

Shape olmo3() {
  Shape shape{"olmo3-7b", "olmo2", Family::olmo, 32,    4096, 11008, 32,
              32,         128,     100278,       65536, 5e5,  1e-6};
  shape.block = Block::post_norm;
  shape.window = 4096;
  shape.yarn_factor = 8;
  shape.yarn_context = 8192;
  return shape;
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
      mixtral(),
      qwen3("qwen3-0.6b", 28, 1024, 3072, 16, 8, true),
      qwen3("qwen3-1.7b", 28, 2048, 6144, 16, 8, true),
      qwen3("qwen3-4b", 36, 2560, 9728, 32, 8, true),
      qwen3("qwen3-8b", 36, 4096, 12288, 32, 8, false),
      qwen3("qwen3-14b", 40, 5120, 17408, 40, 8, false),
      qwen3("qwen3-32b", 64, 5120, 25600, 64, 8, false),
      qwen3_coder_moe(),
      qwen15_moe(),
      deepseek_v2_lite(),
      gpt_oss("gpt-oss-20b", 24, 32),
      gpt_oss("gpt-oss-120b", 36, 128),
      starcoder2("starcoder2-3b", 30, 3072, 24, 2, 999999.4420358813, true),
      starcoder2("starcoder2-7b", 32, 4608, 36, 4, 1e6, true),
      starcoder2("starcoder2-15b", 40, 6144, 48, 4, 1e5, false),
      olmo3(),
  };
  return all;
}

const Shape* find_shape(std::string_view name) {
  const auto found = std::find_if(shapes().begin(), shapes().end(),
                                  [name](const Shape& shape) { return shape.name == name; });
  return found == shapes().end() ? nullptr : &*found;
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
