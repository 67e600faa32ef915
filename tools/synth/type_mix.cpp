#include "synth/type_mix.hpp"

#include <algorithm>
#include <cctype>

namespace ingot::tools {
namespace {

constexpr std::array kMixes = {
    TypeMix{"Q4_K_M", DType::Q4_K, 15},   TypeMix{"Q4_K_S", DType::Q4_K, 14},
    TypeMix{"Q5_K_M", DType::Q5_K, 17},   TypeMix{"Q5_K_S", DType::Q5_K, 16},
    TypeMix{"Q6_K", DType::Q6_K, 18},     TypeMix{"Q8_0", DType::Q8_0, 7},
    TypeMix{"Q4_0", DType::Q4_0, 2},      TypeMix{"Q4_1", DType::Q4_1, 3},
    TypeMix{"Q5_0", DType::Q5_0, 8},      TypeMix{"Q5_1", DType::Q5_1, 9},
    TypeMix{"Q2_K", DType::Q2_K, 10},     TypeMix{"Q3_K_S", DType::Q3_K, 11},
    TypeMix{"Q3_K_M", DType::Q3_K, 12},   TypeMix{"Q3_K_L", DType::Q3_K, 13},
    TypeMix{"IQ4_NL", DType::IQ4_NL, 25}, TypeMix{"IQ4_XS", DType::IQ4_XS, 30},
    TypeMix{"MXFP4", DType::MXFP4, 38},   TypeMix{"F16", DType::F16, 1},
    TypeMix{"BF16", DType::BF16, 32},     TypeMix{"F32", DType::F32, 0}};

/// The first and the last eighth of the layers and every third between them.
bool gets_more_bits(std::int64_t layer, std::int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

/// Mixtral's few keys and values cost nothing beside eight experts.
bool is_eight_experts(const Shape& shape) {
  return shape.experts.count == 8;
}

DType attn_v_type(const TypeMix& mix, const Shape& shape, std::int64_t layer) {
  if (is_eight_experts(shape)) return DType::Q8_0;
  const bool shared = shape.head_count / shape.kv_head_count >= 4;
  DType type = mix.base;
  if (mix.name == "Q2_K") type = shared ? DType::Q4_K : DType::Q3_K;
  if (mix.name == "Q3_K_M") type = layer < 2 ? DType::Q5_K : DType::Q4_K;
  if (mix.name == "Q3_K_L") type = DType::Q5_K;
  if (mix.name == "Q4_K_S" && layer < 4) type = DType::Q5_K;
  if (mix.name.starts_with("IQ4") && shared) type = DType::Q5_K;
  if (mix.name.ends_with("K_M") && mix.base != DType::Q3_K &&
      gets_more_bits(layer, shape.layer_count)) {
    type = DType::Q6_K;
  }
  const bool few_bits = type == DType::Q3_K || type == DType::Q4_K;
  return shape.large_gqa_mix && few_bits ? DType::Q5_K : type;
}

DType ffn_down_type(const TypeMix& mix, const Shape& shape, std::int64_t layer) {
  const std::int64_t layers = shape.layer_count;
  if (mix.name == "Q2_K") return DType::Q3_K;
  if (mix.name == "Q3_K_M") return layer < layers / 16 ? DType::Q5_K : DType::Q4_K;
  if (mix.name == "Q3_K_L") return DType::Q5_K;
  if (mix.name.ends_with("K_M")) return gets_more_bits(layer, layers) ? DType::Q6_K : mix.base;
  const bool first_eighth = layer < layers / 8;
  if (first_eighth && (mix.name == "Q4_K_S" || mix.name.starts_with("IQ4"))) return DType::Q5_K;
  return mix.base;
}

DType attn_output_type(const TypeMix& mix, const Shape& shape) {
  const bool few_bits = mix.base == DType::Q2_K || mix.base == DType::Q3_K ||
                        mix.base == DType::Q4_K || mix.base == DType::IQ4_NL ||
                        mix.base == DType::IQ4_XS;
  if (is_eight_experts(shape) && few_bits && mix.name != "Q3_K_L") return DType::Q5_K;
  if (mix.name == "Q2_K") return DType::Q3_K;
  if (mix.name == "Q3_K_M") return DType::Q4_K;
  if (mix.name == "Q3_K_L") return DType::Q5_K;
  return mix.base;
}

DType output_type(const TypeMix& mix) {
  const bool keep = mix.base == DType::Q8_0 || mix.base == DType::MXFP4;
  return keep ? DType::Q8_0 : DType::Q6_K;
}

DType wanted_type(const TypeMix& mix, const Shape& shape, const TensorShape& tensor) {
  if (mix.base == DType::F32 || mix.base == DType::F16 || mix.base == DType::BF16) return mix.base;
  const bool of_experts = tensor.role == Role::experts || tensor.role == Role::experts_down;
  // llama.cpp's MXFP4_MOE: experts so, everything else in Q8_0.
  if (mix.base == DType::MXFP4 && shape.experts.count > 0) {
    return of_experts ? DType::MXFP4 : DType::Q8_0;
  }
  switch (tensor.role) {
    case Role::output: return output_type(mix);
    case Role::embedding: return shape.tied ? output_type(mix) : mix.base;
    case Role::attn_k: return is_eight_experts(shape) ? DType::Q8_0 : mix.base;
    case Role::attn_v: return attn_v_type(mix, shape, tensor.layer);
    case Role::attn_output: return attn_output_type(mix, shape);
    case Role::experts_down:
    case Role::ffn_down: return ffn_down_type(mix, shape, tensor.layer);
    default: return mix.base;
  }
}

/// The type with blocks of 32 that stands in where a row is no multiple of 256.
DType small_block_type(DType type) {
  switch (type) {
    case DType::Q2_K:
    case DType::Q3_K:
    case DType::IQ4_XS: return DType::IQ4_NL;
    case DType::Q4_K: return DType::Q5_0;
    case DType::Q5_K: return DType::Q5_1;
    case DType::Q6_K: return DType::Q8_0;
    default: return type;
  }
}

}  // namespace

const TypeMix* find_mix(std::string_view name) {
  const auto same = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == b;  // the table is in capitals
  };
  const auto found = std::find_if(kMixes.begin(), kMixes.end(), [&](const TypeMix& mix) {
    return std::equal(name.begin(), name.end(), mix.name.begin(), mix.name.end(), same);
  });
  return found == kMixes.end() ? nullptr : &*found;
}

std::string mix_names() {
  std::string names;
  for (const TypeMix& mix : kMixes) names.append(names.empty() ? "" : "|").append(mix.name);
  return names;
}

DType tensor_type(const TypeMix& mix, const Shape& shape, const TensorShape& tensor) {
  // Norms, biases and routers: small, and they decide much.
  if (tensor.shape.size() < 2 || tensor.role == Role::bias || tensor.role == Role::router) {
    return DType::F32;
  }
  const std::int64_t columns = tensor.shape.front();
  DType type = wanted_type(mix, shape, tensor);
  if (columns % block_size(type) != 0) type = small_block_type(type);
  return columns % block_size(type) == 0 ? type : DType::F16;
}

std::uint64_t weight_bytes(const TypeMix& mix, const Shape& shape) {
  std::uint64_t bytes = 0;
  for (const TensorShape& tensor : tensors_of(shape)) {
    const std::int64_t columns = tensor.shape.front();
    bytes += row_bytes(tensor_type(mix, shape, tensor), columns) *
             (tensor.element_count() / static_cast<std::uint64_t>(columns));
  }
  return bytes;
}

}  // namespace ingot::tools
