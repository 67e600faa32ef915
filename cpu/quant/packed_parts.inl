// How the codes of 32 columns of 16 rows lie in the interleaved order (packed.hpp), for any number
// of bits, and the pieces of headers that several formats have.
#include "cpu/quant/packed.hpp"
#include "cpu/quant/seam.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_PACKED_PARTS_INL
#define INGOT_CPU_PACKED_PARTS_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// Formats that keep the file's order.
template <class Format>
struct Packed {
  static constexpr bool kExists = false;
};

/// f16 of the rows of vector `part`.
inline Floats load_halves(const std::byte* rows, int part) {
  const std::byte* from = rows + 2 * kLanes * part;
#if defined(__AVX512F__)
  return (Floats)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
  return (Floats)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  Floats v;
  for (int i = 0; i < kLanes; ++i) {
    std::uint16_t half;
    __builtin_memcpy(&half, from + 2 * i, sizeof half);
    v[i] = quant::from_f16(half);
  }
  return v;
#endif
}

/// Codes of kLow bits (2, 4 or 8) and kHigh more (0, 1 or 2), 32 columns of 16 rows at a time:
/// chunk i = 0..kLow - 1 holds columns 4i.. in its lowest kLow bits, 4(i + kLow).. in the next, and
/// so on.
template <int kLow, int kHigh>
struct CodeGroups {
  static constexpr int kGroupBytes = 64 * (kLow + kHigh);

  template <int j>
  static Bytes code(const std::byte* group, int part) {
    const std::byte* lanes = group + kVectorBytes * part;
    const Bytes chunk = load_as<Bytes>(lanes + 64 * (j % kLow));
    constexpr int kShift = kLow * (j / kLow);
    constexpr std::uint8_t kLowMask = (1 << kLow) - 1;
    const Bytes low =
        kShift == 0 ? chunk & kLowMask : (Bytes)((UnsignedShorts)chunk >> kShift) & kLowMask;
    if constexpr (kHigh == 0) {
      return low;
    } else {
      constexpr int kPerByte = 8 / kHigh;
      constexpr int kBit = kHigh * (j % kPerByte);
      constexpr std::uint8_t kMask = ((1 << kHigh) - 1) << kLow;
      const auto bits = load_as<UnsignedShorts>(lanes + 64 * (kLow + j / kPerByte));
      const auto placed = (Bytes)(kBit < kLow ? bits << (kLow - kBit < 0 ? 0 : kLow - kBit)
                                              : bits >> (kBit - kLow < 0 ? 0 : kBit - kLow));
      return low | (placed & kMask);
    }
  }

  static void write(const std::uint8_t* codes, int row, std::byte* group) {
    each_byte(row, [&](int j, int column, int at) {
      or_into(group[64 * (j % kLow) + at], (codes[column] & kLowBits) << (kLow * (j / kLow)));
      if constexpr (kHigh > 0) {
        constexpr int kPerByte = 8 / kHigh;
        or_into(group[64 * (kLow + j / kPerByte) + at],
                codes[column] >> kLow << (kHigh * (j % kPerByte)));
      }
    });
  }

  static void read(const std::byte* group, int row, std::uint8_t* codes) {
    each_byte(row, [&](int j, int column, int at) {
      const int chunk = static_cast<int>(group[64 * (j % kLow) + at]);
      int code = (chunk >> (kLow * (j / kLow))) & kLowBits;
      if constexpr (kHigh > 0) {
        constexpr int kPerByte = 8 / kHigh;
        const int bits = static_cast<int>(group[64 * (kLow + j / kPerByte) + at]);
        code |= ((bits >> (kHigh * (j % kPerByte))) & ((1 << kHigh) - 1)) << kLow;
      }
      codes[column] = static_cast<std::uint8_t>(code);
    });
  }

 private:
  static constexpr int kLowBits = (1 << kLow) - 1;

  template <class Body>
  static void each_byte(int row, Body&& body) {
    for (int j = 0; j < 8; ++j) {
      for (int b = 0; b < 4; ++b) body(j, 4 * j + byte_column(b), 4 * row + b);
    }
  }
  static void or_into(std::byte& byte, int bits) { byte |= static_cast<std::byte>(bits); }
};

template <int kHigh>
using NibbleGroups = CodeGroups<4, kHigh>;

/// Nibbles that name one of sixteen integers; `kShift` makes them unsigned.
template <int kShift>
struct CodeTable {
  std::uint8_t value[16] = {};
  constexpr explicit CodeTable(const std::int8_t (&integers)[16]) {
    for (int i = 0; i < 16; ++i) value[i] = static_cast<std::uint8_t>(integers[i] + kShift);
  }
};
inline constexpr CodeTable<12> kShiftedFloat4(quant::MXFP4::kDoubled);
inline constexpr CodeTable<128> kShiftedIq4(quant::kIq4Values);

template <const auto& kTable>
struct TableGroups : NibbleGroups<0> {
  template <int j>
  static Bytes code(const std::byte* group, int part) {
    const Bytes index = NibbleGroups<0>::code<j>(group, part);
#if defined(__AVX2__)
    const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kTable.value));
#if defined(__AVX512BW__)
    return (Bytes)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), (__m512i)index);
#else
    return (Bytes)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), (__m256i)index);
#endif
#else
    Bytes out;
    for (int i = 0; i < kVectorBytes; ++i) out[i] = kTable.value[index[i]];
    return out;
#endif
  }
};

/// Bytes of a block that go into the header as they are: byte t of row n at [t][n].
inline void write_fields(const std::uint8_t* bytes, int count, int row, std::byte* header) {
  for (int t = 0; t < count; ++t) header[16 * t + row] = static_cast<std::byte>(bytes[t]);
}
inline void read_fields(const std::byte* header, int row, int count, std::uint8_t* bytes) {
  for (int t = 0; t < count; ++t) bytes[t] = static_cast<std::uint8_t>(header[16 * t + row]);
}

/// An f16 of a block: row n's at 2n.
inline void write_half(std::uint16_t half, int row, std::byte* header) {
  __builtin_memcpy(header + 2 * row, &half, sizeof half);
}
inline std::uint16_t read_half(const std::byte* header, int row) {
  std::uint16_t half;
  __builtin_memcpy(&half, header + 2 * row, sizeof half);
  return half;
}

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_PACKED_PARTS_INL
