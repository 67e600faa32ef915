// Packed<Format>: the interleaved order of one format (packed.hpp) and how vectors read it.
//
//   kBlockColumns                columns of a block
//   kHeaderBytes, kGroupBytes    of 16 rows: a block's header, then every 32 columns
//   kScaleSpan, kHasMin          columns that share a scale and a min; whether there are mins
//   kOffset                      code - kOffset is the integer that the scale multiplies
//   code<j>(group, part)         unsigned codes of columns 4j.. of the rows of vector `part`
//   Scales(block, part)          of a block: .scale<half>(g), .min<half>(g), one row per lane
//   read, write                  one row's codes of 32 columns, from and to a group
//   read_header, write_header    one row's header
//   file_codes, set_file_codes   the codes of the file's block
#include "cpu/quant/packed.hpp"
#include "cpu/quant/seam.hpp"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"

#ifndef INGOT_CPU_PACKED_INL
#define INGOT_CPU_PACKED_INL

namespace ingot::cpu::INGOT_CPU_TARGET {

/// Formats that keep the file's order.
template <class Format>
struct Packed {
  static constexpr bool kExists = false;
};

/// f16 of the rows of vector `part`. A NaN becomes the common one, whose rounding to bf16 by
/// addition stays a NaN.
inline Floats load_halves(const std::byte* rows, int part) {
  const std::byte* from = rows + 2 * kLanes * part;
#if defined(__AVX512F__)
  const Floats v =
      (Floats)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
  const Floats v = (Floats)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  Floats v;
  for (int i = 0; i < kLanes; ++i) {
    std::uint16_t half;
    __builtin_memcpy(&half, from + 2 * i, sizeof half);
    v[i] = quant::from_f16(half);
  }
#endif
  return v == v ? v : broadcast(__builtin_nanf(""));
}

/// Codes of four bits and kHigh more, 32 columns of 16 rows at a time.
template <int kHigh>
struct NibbleGroups {
  static constexpr int kGroupBytes = 256 + 64 * kHigh;

  template <int j>
  static Bytes code(const std::byte* group, int part) {
    const std::byte* lanes = group + kVectorBytes * part;
    const Bytes both = load_as<Bytes>(lanes + 64 * (j % 4));
    const Bytes low = j < 4 ? both & 15 : (Bytes)((UnsignedShorts)both >> 4) & 15;
    if constexpr (kHigh == 0) {
      return low;
    } else {
      constexpr int kPerByte = 8 / kHigh;
      constexpr int kBit = kHigh * (j % kPerByte);
      constexpr std::uint8_t kMask = ((1 << kHigh) - 1) << 4;
      const auto bits = load_as<UnsignedShorts>(lanes + 256 + 64 * (j / kPerByte));
      const auto placed = (Bytes)(kBit < 4 ? bits << (4 - kBit < 0 ? 0 : 4 - kBit)
                                           : bits >> (kBit - 4 < 0 ? 0 : kBit - 4));
      return low | (placed & kMask);
    }
  }

  static void write(const std::uint8_t* codes, int row, std::byte* group) {
    each_byte(row, [&](int j, int column, int at) {
      or_into(group[64 * (j % 4) + at], (codes[column] & 15) << (j < 4 ? 0 : 4));
      if constexpr (kHigh > 0) {
        constexpr int kPerByte = 8 / kHigh;
        or_into(group[256 + 64 * (j / kPerByte) + at],
                codes[column] >> 4 << (kHigh * (j % kPerByte)));
      }
    });
  }

  static void read(const std::byte* group, int row, std::uint8_t* codes) {
    each_byte(row, [&](int j, int column, int at) {
      int code = (static_cast<int>(group[64 * (j % 4) + at]) >> (j < 4 ? 0 : 4)) & 15;
      if constexpr (kHigh > 0) {
        constexpr int kPerByte = 8 / kHigh;
        const int bits = static_cast<int>(group[256 + 64 * (j / kPerByte) + at]);
        code |= ((bits >> (kHigh * (j % kPerByte))) & ((1 << kHigh) - 1)) << 4;
      }
      codes[column] = static_cast<std::uint8_t>(code);
    });
  }

 private:
  template <class Body>
  static void each_byte(int row, Body&& body) {
    for (int j = 0; j < 8; ++j) {
      for (int b = 0; b < 4; ++b) body(j, 4 * j + byte_column(b), 4 * row + b);
    }
  }
  static void or_into(std::byte& byte, int bits) { byte |= static_cast<std::byte>(bits); }
};

/// Scales and mins of Q4_K and Q5_K: d, dmin, then the 12 bytes of ScaleMins, each of 16 rows.
template <class Format, int kHigh>
struct PackedScaleMins : NibbleGroups<kHigh> {
  using Block = typename Format::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 256;
  static constexpr int kHeaderBytes = 32 + 32 + 12 * 16;
  static constexpr int kOffset = 0;
  static constexpr bool kHasMin = true;
  static constexpr int kScaleSpan = 32;

  struct Scales {
    Scales(const std::byte* block, int part)
        : d(load_halves(block, part)),
          dmin(load_halves(block + 32, part)),
          packed(block + 64 + kLanes * part) {}

    template <int kHalf>
    Floats scale(int g) const {
      if (g < 4) return d * to_floats(widen_unsigned(packed + 16 * g) & 63);
      return d * to_floats((widen_unsigned(packed + 16 * (g + 4)) & 15) |
                           (widen_unsigned(packed + 16 * (g - 4)) >> 6 << 4));
    }
    template <int kHalf>
    Floats min(int g) const {
      if (g < 4) return dmin * to_floats(widen_unsigned(packed + 16 * (g + 4)) & 63);
      return dmin * to_floats((widen_unsigned(packed + 16 * (g + 4)) >> 4) |
                              (widen_unsigned(packed + 16 * g) >> 6 << 4));
    }

    Floats d;
    Floats dmin;
    const std::byte* packed;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    __builtin_memcpy(header + 2 * row, &in.d, 2);
    __builtin_memcpy(header + 32 + 2 * row, &in.dmin, 2);
    for (int t = 0; t < 12; ++t)
      header[64 + 16 * t + row] = static_cast<std::byte>(in.scales.bytes[t]);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    __builtin_memcpy(&out.d, header + 2 * row, 2);
    __builtin_memcpy(&out.dmin, header + 32 + 2 * row, 2);
    for (int t = 0; t < 12; ++t)
      out.scales.bytes[t] = static_cast<std::uint8_t>(header[64 + 16 * t + row]);
  }
};

template <>
struct Packed<quant::Q4_K> : PackedScaleMins<quant::Q4_K, 0> {
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int c = 0; c < 256; ++c)
      codes[c] = static_cast<std::uint8_t>(quant::paired_nibble(in.codes, c / 32, c % 32));
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    quant::pack_paired_nibbles(codes, out.codes);
  }
};

template <>
struct Packed<quant::Q5_K> : PackedScaleMins<quant::Q5_K, 1> {
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int c = 0; c < 256; ++c) {
      codes[c] = static_cast<std::uint8_t>(quant::paired_nibble(in.low, c / 32, c % 32) |
                                           (quant::plane_bit(in.high, c / 32, c % 32) << 4));
    }
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    quant::pack_plane_bits(codes, 4, out.high);
    quant::pack_paired_nibbles(codes, out.low);
  }
};

template <>
struct Packed<quant::Q6_K> : NibbleGroups<2> {
  using Block = quant::Q6_K::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 256;
  static constexpr int kHeaderBytes = 32 + 16 * 16;
  static constexpr int kOffset = 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 16;

  struct Scales {
    Scales(const std::byte* block, int part)
        : d(load_halves(block, part)), packed(block + 32 + kLanes * part) {}
    template <int kHalf>
    Floats scale(int g) const {
      return d * to_floats(widen_signed(packed + 16 * (2 * g + kHalf)));
    }
    template <int kHalf>
    Floats min(int) const { return Floats{}; }
    Floats d;
    const std::byte* packed;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    __builtin_memcpy(header + 2 * row, &in.d, 2);
    for (int s = 0; s < 16; ++s) header[32 + 16 * s + row] = static_cast<std::byte>(in.scales[s]);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    __builtin_memcpy(&out.d, header + 2 * row, 2);
    for (int s = 0; s < 16; ++s)
      out.scales[s] = static_cast<std::int8_t>(header[32 + 16 * s + row]);
  }
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int g = 0; g < 8; ++g) {
      quant::Lanes32 lanes;
      quant::Q6_K::lanes(in, g, lanes);
      for (int i = 0; i < 32; ++i) codes[32 * g + i] = static_cast<std::uint8_t>(lanes.q[i] + 32);
    }
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    quant::Q6_K::set_codes(codes, out);
  }
};

/// Blocks of 32 columns of split nibbles (and a fifth bit): file codes to and fro.
template <class Format, int kHigh>
struct SplitNibbles {
  using Block = typename Format::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 32;
  static constexpr int kScaleSpan = 32;

  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int i = 0; i < 32; ++i) {
      int code = i < 16 ? in.codes[i] & 15 : in.codes[i - 16] >> 4;
      if constexpr (kHigh == 1) code |= quant::fifth_bit(in.fifth, i) << 4;
      codes[i] = static_cast<std::uint8_t>(code);
    }
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    if constexpr (kHigh == 1) quant::pack_fifth_bits(codes, out.fifth);
    quant::pack_split_nibbles(codes, out.codes);
  }
};

/// One f16 scale per block.
template <class Block>
struct OneScale {
  static constexpr int kHeaderBytes = 32;
  static constexpr bool kHasMin = false;

  struct Scales {
    Scales(const std::byte* block, int part) : d(load_halves(block, part)) {}
    template <int kHalf>
    Floats scale(int) const {
      return d;
    }
    template <int kHalf>
    Floats min(int) const { return Floats{}; }
    Floats d;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    __builtin_memcpy(header + 2 * row, &in.d, 2);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    __builtin_memcpy(&out.d, header + 2 * row, 2);
  }
};

/// An f16 scale and an f16 that is added.
template <class Block>
struct ScaleAndMin {
  static constexpr int kHeaderBytes = 64;
  static constexpr bool kHasMin = true;

  struct Scales {
    Scales(const std::byte* block, int part)
        : d(load_halves(block, part)), m(load_halves(block + 32, part)) {}
    template <int kHalf>
    Floats scale(int) const {
      return d;
    }
    template <int kHalf>
    Floats min(int) const { return -m; }
    Floats d;
    Floats m;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    __builtin_memcpy(header + 2 * row, &in.d, 2);
    __builtin_memcpy(header + 32 + 2 * row, &in.m, 2);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    __builtin_memcpy(&out.d, header + 2 * row, 2);
    __builtin_memcpy(&out.m, header + 32 + 2 * row, 2);
  }
};

template <>
struct Packed<quant::Q4_0>
    : SplitNibbles<quant::Q4_0, 0>, NibbleGroups<0>, OneScale<quant::Q4_0::Block> {
  static constexpr int kOffset = 8;
};

template <>
struct Packed<quant::Q5_0>
    : SplitNibbles<quant::Q5_0, 1>, NibbleGroups<1>, OneScale<quant::Q5_0::Block> {
  static constexpr int kOffset = 16;
};

template <>
struct Packed<quant::Q4_1>
    : SplitNibbles<quant::Q4_1, 0>, NibbleGroups<0>, ScaleAndMin<quant::Q4_1::Block> {
  static constexpr int kOffset = 0;
};

template <>
struct Packed<quant::Q5_1>
    : SplitNibbles<quant::Q5_1, 1>, NibbleGroups<1>, ScaleAndMin<quant::Q5_1::Block> {
  static constexpr int kOffset = 0;
};

template <>
struct Packed<quant::Q8_0> : OneScale<quant::Q8_0::Block> {
  using Block = quant::Q8_0::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 32;
  static constexpr int kGroupBytes = 512;
  static constexpr int kOffset = 128;
  static constexpr int kScaleSpan = 32;

  template <int j>
  static Bytes code(const std::byte* group, int part) {
    return load_as<Bytes>(group + 64 * j + kVectorBytes * part);
  }

  static void write(const std::uint8_t* codes, int row, std::byte* group) {
    for (int i = 0; i < 32; ++i)
      group[64 * (i / 4) + 4 * row + i % 4] =
          static_cast<std::byte>(codes[i / 4 * 4 + byte_column(i % 4)]);
  }
  static void read(const std::byte* group, int row, std::uint8_t* codes) {
    for (int i = 0; i < 32; ++i)
      codes[i / 4 * 4 + byte_column(i % 4)] =
          static_cast<std::uint8_t>(group[64 * (i / 4) + 4 * row + i % 4]);
  }
  // Signed bytes with the sign bit turned over are the unsigned code.
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<std::uint8_t>(in.q[i] ^ 0x80);
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    for (int i = 0; i < 32; ++i) out.q[i] = static_cast<std::int8_t>(codes[i] ^ 0x80);
  }
};

/// Nibbles that name one of sixteen integers; `kShift` makes them unsigned.
template <int kShift>
struct CodeTable {
  std::uint8_t value[16] = {};
  constexpr explicit CodeTable(const std::int8_t (&integers)[16]) {
    for (int i = 0; i < 16; ++i) value[i] = static_cast<std::uint8_t>(integers[i] + kShift);
  }
};
inline constexpr CodeTable<12> kShiftedFloat4(quant::MXFP4::kDoubled);
inline constexpr CodeTable<127> kShiftedIq4(quant::kIq4Values);

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

template <>
struct Packed<quant::IQ4_NL>
    : SplitNibbles<quant::IQ4_NL, 0>, TableGroups<kShiftedIq4>, OneScale<quant::IQ4_NL::Block> {
  static constexpr int kOffset = 127;
};

template <>
struct Packed<quant::MXFP4> : SplitNibbles<quant::MXFP4, 0>, TableGroups<kShiftedFloat4> {
  using Block = quant::MXFP4::Block;
  static constexpr int kHeaderBytes = 16;
  static constexpr int kOffset = 12;
  static constexpr bool kHasMin = false;

  struct Scales {
    // quant::e8m0_half, one row per lane.
    Scales(const std::byte* block, int part) {
      const Ints e = widen_unsigned(block + kLanes * part);
      const Ints normal = (e - 1) << 23;
      const Ints subnormal = e * 0x00200000 + 0x00200000;
      d = (Floats)(e < 2 ? subnormal : normal);
    }
    template <int kHalf>
    Floats scale(int) const {
      return d;
    }
    template <int kHalf>
    Floats min(int) const { return Floats{}; }
    Floats d;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    header[row] = static_cast<std::byte>(in.e);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    out.e = static_cast<std::uint8_t>(header[row]);
  }
};

template <class P>
constexpr std::int64_t packed_block_bytes() {
  return P::kHeaderBytes + P::kBlockColumns / kGroupColumns * P::kGroupBytes;
}

template <class P>
inline const std::byte* packed_group(const std::byte* block, int g) {
  return block + P::kHeaderBytes + g * P::kGroupBytes;
}

/// Interleaves 16 rows of `row_bytes` bytes each: FormatKernels::pack.
template <class Format>
inline void pack_rows(const std::byte* rows, std::int64_t row_bytes, std::byte* out) {
  using P = Packed<Format>;
  using Block = typename Format::Block;
  static_assert(packed_block_bytes<P>() == 16 * sizeof(Block));
  __builtin_memset(out, 0, static_cast<std::size_t>(16 * row_bytes));
  for (std::int64_t b = 0; b < row_bytes / static_cast<std::int64_t>(sizeof(Block)); ++b) {
    std::byte* block = out + b * packed_block_bytes<P>();
    for (int n = 0; n < 16; ++n) {
      const auto& in = reinterpret_cast<const Block*>(rows + n * row_bytes)[b];
      std::uint8_t codes[P::kBlockColumns];
      P::file_codes(in, codes);
      P::write_header(in, n, block);
      for (int g = 0; g < P::kBlockColumns / 32; ++g)
        P::write(codes + 32 * g, n, block + P::kHeaderBytes + g * P::kGroupBytes);
    }
  }
}

/// Row `row` of 16 as it lies in a file: FormatKernels::unpack_row.
template <class Format>
inline void unpack_row(const std::byte* rows, std::int64_t row_bytes, int row, std::byte* out) {
  using P = Packed<Format>;
  using Block = typename Format::Block;
  for (std::int64_t b = 0; b < row_bytes / static_cast<std::int64_t>(sizeof(Block)); ++b) {
    const std::byte* block = rows + b * packed_block_bytes<P>();
    std::uint8_t codes[P::kBlockColumns];
    for (int g = 0; g < P::kBlockColumns / 32; ++g)
      P::read(packed_group<P>(block, g), row, codes + 32 * g);
    Block& to = reinterpret_cast<Block*>(out)[b];
    P::read_header(block, row, to);
    P::set_file_codes(codes, to);
  }
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_PACKED_INL
