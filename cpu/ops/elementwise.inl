// The loops of Activation, Glu, Add and Scale.
#include "cpu/ops/elementwise.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_ELEMENTWISE_INL
#define INGOT_CPU_ELEMENTWISE_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

inline Floats sigmoid(Floats x) {
  return 1.0F / (power_of_two(x * -kLog2E) + 1.0F);
}

inline Floats silu(Floats x) {
  return x / (power_of_two(x * -kLog2E) + 1.0F);
}

inline Floats gelu_quick(Floats x) {
  constexpr auto kFactor = static_cast<float>(-1.702 * 1.4426950408889634);
  return x / (power_of_two(x * kFactor) + 1.0F);
}

/// (1 + tanh u) / 2 = 1 / (1 + e^-2u), so the two-sided function needs one exponential and cancels
/// nowhere; u = sqrt(2 / pi) (x + 0.044715 x^3).
inline Floats gelu_tanh(Floats x) {
  constexpr double kTwiceRootTwoOverPi = 1.5957691216057308;
  constexpr auto kFactor = static_cast<float>(-kTwiceRootTwoOverPi * 1.4426950408889634);
  return x / (power_of_two((x + x * x * x * 0.044715F) * kFactor) + 1.0F);
}

/// erf comes from the C library, lane by lane: code models rarely use this kind.
inline Floats gelu(Floats x) {
  Floats y;
  for (int i = 0; i < kLanes; ++i) {
    y[i] = 0.5F * x[i] * (1.0F + __builtin_erff(x[i] * 0.70710678F));
  }
  return y;
}

template <class Function>
inline void map(const float* in, float* out, std::int64_t count, Function&& f) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, f(load(in + i)));
  if (i < count) store_part(out + i, f(load_part(in + i, count - i)), count - i);
}

template <class Function>
inline void map(const float* left, const float* right, float* out, std::int64_t count,
                Function&& f) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, f(load(left + i), load(right + i)));
  if (i < count) {
    const std::int64_t rest = count - i;
    store_part(out + i, f(load_part(left + i, rest), load_part(right + i, rest)), rest);
  }
}

/// `use(f)` with the vector function of the kind.
template <class Use>
inline void with_function(ops::ActivationKind kind, Use&& use) {
  switch (kind) {
    case ops::ActivationKind::silu: return use([](Floats x) { return silu(x); });
    case ops::ActivationKind::gelu: return use([](Floats x) { return gelu(x); });
    case ops::ActivationKind::gelu_tanh: return use([](Floats x) { return gelu_tanh(x); });
    case ops::ActivationKind::gelu_quick: return use([](Floats x) { return gelu_quick(x); });
    case ops::ActivationKind::sigmoid: return use([](Floats x) { return sigmoid(x); });
  }
}

inline void activate(ops::ActivationKind kind, const float* in, float* out, std::int64_t count) {
  with_function(kind, [=](auto f) { map(in, out, count, f); });
}

/// Glu with gate at most `limit` and up within +-limit, plus one. NaN stays NaN.
inline void gated_within(ops::ActivationKind kind, float limit, const float* gate, const float* up,
                         float* out, std::int64_t count) {
  const Floats most = Floats{} + limit;
  with_function(kind, [=](auto f) {
    map(gate, up, out, count, [f, most](Floats g, Floats u) {
      g = g > most ? most : g;
      u = u > most ? most : u;
      u = u < -most ? -most : u;
      return f(g) * (u + 1.0F);
    });
  });
}

/// `limit` 0: none.
inline void gated(ops::ActivationKind kind, float limit, const float* gate, const float* up,
                  float* out, std::int64_t count) {
  if (limit > 0) return gated_within(kind, limit, gate, up, out, count);
  with_function(kind, [=](auto f) {
    map(gate, up, out, count, [f](Floats g, Floats u) { return f(g) * u; });
  });
}

inline void add(const float* left, const float* right, float* out, std::int64_t count) {
  map(left, right, out, count, [](Floats l, Floats r) { return l + r; });
}

inline void scale(float factor, const float* in, float* out, std::int64_t count) {
  map(in, out, count, [factor](Floats x) { return x * factor; });
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_ELEMENTWISE_INL
