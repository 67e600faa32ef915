// The interleaved order of the formats whose blocks have 256 columns (packed.inl has the others).
#include "cpu/quant/packed_parts.inl"

#ifndef INGOT_CPU_PACKED_256_INL
#define INGOT_CPU_PACKED_256_INL

namespace ingot::internal::cpu::INGOT_CPU_TARGET {

/// A block's d, which multiplies an integer of few bits per span of columns, the span's factor.
template <class Scales>
struct SubScales {
  /// `fields`: where the bytes begin that the factors are in.
  SubScales(const std::byte* block, int fields, int part)
      : d(load_halves(block, part)), packed(block + fields + kLanes * part) {}

  template <int kHalf>
  Floats scale(int g) const {
    return d * to_floats(static_cast<const Scales*>(this)->template factor<kHalf>(g));
  }
  template <int kHalf>
  Floats min(int) const {
    return Floats{};
  }

  Floats d;
  const std::byte* packed;
};

/// d, dmin, then the 16 bytes of a 4-bit scale and min each, of 16 rows.
template <>
struct Packed<quant::Q2_K> : CodeGroups<2, 0> {
  using Block = quant::Q2_K::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 256;
  static constexpr int kHeaderBytes = 32 + 32 + 16 * 16;
  static constexpr int kOffset = 0;
  static constexpr int kLargest = 3 * 15;
  static constexpr bool kHasMin = true;
  static constexpr int kScaleSpan = 16;

  struct Scales : SubScales<Scales> {
    Scales(const std::byte* block, int part)
        : SubScales<Scales>(block, 64, part), dmin(load_halves(block + 32, part)) {}

    template <int kHalf>
    Ints factor(int g) const {
      return widen_unsigned(packed + 16 * (2 * g + kHalf)) & 15;
    }
    template <int kHalf>
    Floats min(int g) const {
      return dmin * to_floats(widen_unsigned(packed + 16 * (2 * g + kHalf)) >> 4);
    }

    Floats dmin;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    write_half(in.d, row, header);
    write_half(in.dmin, row, header + 32);
    write_fields(in.scales, 16, row, header + 64);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    out.d = read_half(header, row);
    out.dmin = read_half(header + 32, row);
    read_fields(header + 64, row, 16, out.scales);
  }
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int c = 0; c < 256; ++c)
      codes[c] = static_cast<std::uint8_t>(quant::bit_pair(in.codes, c / 32, c % 32));
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    quant::pack_bit_pairs(codes, 0, out.codes);
  }
};

/// d, then the 12 bytes of SignedScales16, of 16 rows.
template <>
struct Packed<quant::Q3_K> : CodeGroups<2, 1> {
  using Block = quant::Q3_K::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 256;
  static constexpr int kHeaderBytes = 32 + 12 * 16;
  static constexpr int kOffset = 4;
  static constexpr int kLargest = 4 * 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 16;

  struct Scales : SubScales<Scales> {
    Scales(const std::byte* block, int part) : SubScales<Scales>(block, 32, part) {}

    template <int kHalf>
    Ints factor(int g) const {
      const int index = 2 * g + kHalf;
      const Ints low = widen_unsigned(packed + 16 * (index % 8)) >> (4 * (index / 8)) & 15;
      const Ints high = widen_unsigned(packed + 16 * (8 + index % 4)) >> (2 * (index / 4)) & 3;
      return (low | high << 4) - 32;
    }
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    write_half(in.d, row, header);
    write_fields(in.scales.bytes, 12, row, header + 32);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    out.d = read_half(header, row);
    read_fields(header + 32, row, 12, out.scales.bytes);
  }
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int c = 0; c < 256; ++c) {
      codes[c] = static_cast<std::uint8_t>(quant::bit_pair(in.low, c / 32, c % 32) |
                                           (quant::plane_bit(in.high, c / 32, c % 32) << 2));
    }
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    quant::pack_plane_bits(codes, 2, out.high);
    quant::pack_bit_pairs(codes, 0, out.low);
  }
};

/// Scales and mins of Q4_K and Q5_K: d, dmin, then the 12 bytes of ScaleMins, each of 16 rows.
template <class Format, int kHigh>
struct PackedScaleMins : NibbleGroups<kHigh> {
  using Block = typename Format::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 256;
  static constexpr int kHeaderBytes = 32 + 32 + 12 * 16;
  static constexpr int kOffset = 0;
  static constexpr int kLargest = ((16 << kHigh) - 1) * 63;
  static constexpr bool kHasMin = true;
  static constexpr int kScaleSpan = 32;

  struct Scales : SubScales<Scales> {
    using SubScales<Scales>::packed;

    Scales(const std::byte* block, int part)
        : SubScales<Scales>(block, 64, part), dmin(load_halves(block + 32, part)) {}

    template <int kHalf>
    Ints factor(int g) const {
      if (g < 4) return widen_unsigned(packed + 16 * g) & 63;
      return (widen_unsigned(packed + 16 * (g + 4)) & 15) |
             (widen_unsigned(packed + 16 * (g - 4)) >> 6 << 4);
    }
    template <int kHalf>
    Floats min(int g) const {
      if (g < 4) return dmin * to_floats(widen_unsigned(packed + 16 * (g + 4)) & 63);
      return dmin * to_floats((widen_unsigned(packed + 16 * (g + 4)) >> 4) |
                              (widen_unsigned(packed + 16 * g) >> 6 << 4));
    }

    Floats dmin;
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    write_half(in.d, row, header);
    write_half(in.dmin, row, header + 32);
    write_fields(in.scales.bytes, 12, row, header + 64);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    out.d = read_half(header, row);
    out.dmin = read_half(header + 32, row);
    read_fields(header + 64, row, 12, out.scales.bytes);
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
  static constexpr int kLargest = 32 * 128;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 16;

  struct Scales : SubScales<Scales> {
    Scales(const std::byte* block, int part) : SubScales<Scales>(block, 32, part) {}
    template <int kHalf>
    Ints factor(int g) const {
      return widen_signed(packed + 16 * (2 * g + kHalf));
    }
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    write_half(in.d, row, header);
    for (int s = 0; s < 16; ++s) header[32 + 16 * s + row] = static_cast<std::byte>(in.scales[s]);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    out.d = read_half(header, row);
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

/// d, the two bytes of the scales' high bits, the four of their low ones, of 16 rows.
template <>
struct Packed<quant::IQ4_XS> : TableGroups<kShiftedIq4> {
  using Block = quant::IQ4_XS::Block;
  static constexpr bool kExists = true;
  static constexpr int kBlockColumns = 256;
  static constexpr int kHeaderBytes = 32 + 2 * 16 + 4 * 16;
  static constexpr int kOffset = 128;
  static constexpr int kLargest = 127 * 32;
  static constexpr bool kHasMin = false;
  static constexpr int kScaleSpan = 32;

  struct Scales : SubScales<Scales> {
    Scales(const std::byte* block, int part) : SubScales<Scales>(block, 32, part) {}

    template <int kHalf>
    Ints factor(int g) const {
      const Ints high = widen_unsigned(packed + 16 * (g / 4)) >> (2 * (g % 4)) & 3;
      const Ints low = widen_unsigned(packed + 16 * (2 + g / 2)) >> (4 * (g % 2)) & 15;
      return (low | high << 4) - 32;
    }
  };

  static void write_header(const Block& in, int row, std::byte* header) {
    const std::uint8_t high[2] = {static_cast<std::uint8_t>(in.scales_high & 255),
                                  static_cast<std::uint8_t>(in.scales_high >> 8)};
    write_half(in.d, row, header);
    write_fields(high, 2, row, header + 32);
    write_fields(in.scales_low, 4, row, header + 64);
  }
  static void read_header(const std::byte* header, int row, Block& out) {
    std::uint8_t high[2];
    out.d = read_half(header, row);
    read_fields(header + 32, row, 2, high);
    out.scales_high = static_cast<std::uint16_t>(high[0] | high[1] << 8);
    read_fields(header + 64, row, 4, out.scales_low);
  }
  static void file_codes(const Block& in, std::uint8_t* codes) {
    for (int g = 0; g < 8; ++g) {
      for (int i = 0; i < 16; ++i) {
        codes[32 * g + i] = in.codes[16 * g + i] & 15;
        codes[32 * g + 16 + i] = in.codes[16 * g + i] >> 4;
      }
    }
  }
  static void set_file_codes(const std::uint8_t* codes, Block& out) {
    for (int g = 0; g < 8; ++g) quant::pack_split_nibbles(codes + 32 * g, out.codes + 16 * g);
  }
};

}  // namespace ingot::internal::cpu::INGOT_CPU_TARGET

#endif  // INGOT_CPU_PACKED_256_INL
