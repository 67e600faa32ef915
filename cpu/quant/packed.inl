// Packed<Format>: the interleaved order of one format (packed.hpp) and how vectors read it.
//
//   kBlockColumns                columns of a block
//   kHeaderBytes, kGroupBytes    of 16 rows: a block's header, then every 32 columns
//   kScaleSpan, kHasMin          columns that share a scale and a min; whether there are mins
//   kOffset                      code - kOffset is the integer that the scale multiplies
//   kLargest                     of blocks of 256: magnitude of (code - kOffset) * factor, at most
//   code<j>(group, part)         unsigned codes of columns 4j.. of the rows of vector `part`
//   Scales(block, part)          of a block: .scale<half>(g), .min<half>(g), one row per lane;
//   where
//                                blocks have 256 columns, scale = .d * .factor<half>(g), integers
//   read, write                  one row's codes of 32 columns, from and to a group
//   read_header, write_header    one row's header
//   file_codes, set_file_codes   the codes of the file's block
#include "cpu/quant/packed_256.inl"
#include "cpu/quant/packed_parts.inl"

#ifndef INGOT_CPU_PACKED_INL
#define INGOT_CPU_PACKED_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

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
    Floats min(int) const {
      return Floats{};
    }
    Floats d;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    write_half(in.d, row, header);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    out.d = read_half(header, row);
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
    Floats min(int) const {
      return -m;
    }
    Floats d;
    Floats m;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    write_half(in.d, row, header);
    write_half(in.m, row, header + 32);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    out.d = read_half(header, row);
    out.m = read_half(header + 32, row);
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
struct Packed<quant::Q8_0> : CodeGroups<8, 0>, OneScale<quant::Q8_0::Block> {
  using Block = quant::Q8_0::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 32;
  static constexpr int kOffset = 128;
  static constexpr int kScaleSpan = 32;

  // Signed bytes with the sign bit turned over are the unsigned code.
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<std::uint8_t>(in.q[i] ^ 0x80);
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    for (int i = 0; i < 32; ++i) out.q[i] = static_cast<std::int8_t>(codes[i] ^ 0x80);
  }
};

template <>
struct Packed<quant::IQ4_NL>
    : SplitNibbles<quant::IQ4_NL, 0>, TableGroups<kShiftedIq4>, OneScale<quant::IQ4_NL::Block> {
  static constexpr int kOffset = 128;
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
    Floats min(int) const {
      return Floats{};
    }
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

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_PACKED_INL
