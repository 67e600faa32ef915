// Many rows on AMX. Stripes of 32 weight rows are decoded to bf16, each while the one before it is
// multiplied with all rows of the task, which lie in tiles already. Both operands come from the
// second-level cache; sums leave the tiles once per slab of up to 2,048 columns.
#include "cpu/ops/tile_product.hpp"
#include "cpu/quant/packed.inl"
#include "cpu/targets/tiles.inl"

#if defined(__AMX_BF16__)

namespace ingot::cpu::INGOT_CPU_TARGET {

/// A decoded stripe is [32 columns][2] tiles of 16 weight rows: halves from 32 columns to the next.
inline constexpr std::int64_t kStripeStep = 2 * kTileHalves;

inline constexpr std::int64_t kSumTile = 256;  // floats

inline void pack_tiles(const PackTiles& task) {
  for (std::int64_t m = 0; m < kTileRows; ++m) {
    std::uint16_t* to = task.out + m * kTileColumns;
    if (m >= task.rows) {
      for (std::int64_t k = 0; k < task.columns; k += 32)
        __builtin_memset(to + k / 32 * kTileHalves, 0, 64);
      continue;
    }
    const float* from = task.in + (task.index == nullptr ? m : task.index[m]) * task.in_stride;
    for (std::int64_t k = 0; k < task.columns; k += 32)
      store_bf16(to + k / 32 * kTileHalves, load(from + k), load(from + k + 16));
  }
}

/// How far ahead of its use a weight is asked for: a tile of them is decoded in about 0.1 us, so
/// this is 1 us for 4-bit weights, time enough for memory.
inline constexpr std::int64_t kFetchBytes = 4096;

/// Brings `bytes` from `from` on into the second-level cache; they need not exist.
inline void fetch_later(const std::byte* from, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
}

/// Decodes 16 interleaved rows to right operands, a quarter of a tile at a time.
template <class P>
class DecodePacked {
 public:
  static constexpr std::int64_t kTiles = 1;  ///< of a unit
  static constexpr int kPieces = 4;          ///< of a unit, one after the other

  template <int kPiece>
  void piece(const WeightRows& rows, std::int64_t tile, std::int64_t, std::uint16_t* out) {
    constexpr int kGroups = P::kBlockColumns / 32;
    constexpr int kSpans = 32 / P::kScaleSpan;
    constexpr int kQuads = 8 / kPieces;  // of columns
    // A code below a power of two's last mantissa bits is the float 256 + code, without a
    // conversion.
    constexpr std::int32_t kMantissa = 0xff << 15;
    constexpr std::int32_t kExponent = 0x43800000;
    const std::byte* block = rows.first + tile / kGroups * packed_block_bytes<P>();
    const int g = static_cast<int>(tile % kGroups);
    const std::byte* group = packed_group<P>(block, g);
    if constexpr (kPiece == 0) fetch_later(group + kFetchBytes, packed_block_bytes<P>() / kGroups);
    if constexpr (kPiece % (kPieces / kSpans) == 0) {
      const typename P::Scales scales(block, 0);
      scale_ = scales.template scale<kPiece * kSpans / kPieces>(g);
      shift_ = scale_ * static_cast<float>(256 + P::kOffset) +
               scales.template min<kPiece * kSpans / kPieces>(g);
    }
    const Floats scale = scale_;
    const Floats shift = shift_;
    unrolled<kQuads>([&](auto number) __attribute__((always_inline)) {
      constexpr int j = kPiece * kQuads + decltype(number)::kValue;
      const auto codes = (Ints)P::template code<j>(group, 0);
      const auto weight = [&](Ints placed) __attribute__((always_inline)) {
        return (Floats)((placed & kMantissa) | kExponent) * scale - shift;
      };
      const Ints pair0 = pair_bf16(weight(codes << 15), weight(codes >> 1));
      const Ints pair1 = pair_bf16(weight(codes << 7), weight(codes >> 9));
      __builtin_memcpy(out + 2 * j * 32, &pair0, sizeof pair0);
      __builtin_memcpy(out + (2 * j + 1) * 32, &pair1, sizeof pair1);
    });
  }

 private:
  Floats scale_ = {};  ///< of the columns of this piece
  Floats shift_ = {};
};

/// The same of 16 rows in the file's order, by way of f32 rows.
struct DecodeFile {
  static constexpr std::int64_t kTiles = kFileColumns / kTileColumns;
  static constexpr int kPieces = 1;
  float* decoded;  ///< [16, kFileColumns]

  template <int>
  void piece(const WeightRows& rows, std::int64_t first, std::int64_t tiles,
             std::uint16_t* out) const {
    for (std::int64_t n = 0; n < kTileRows; ++n) {
      rows.format->panel(rows.first + n * rows.row_bytes + bytes_of(*rows.format, 32 * first),
                         32 * tiles, decoded + n * kFileColumns);
    }
    const Ints row_at = Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} *
                        static_cast<std::int32_t>(kFileColumns);
    const Floats nan = broadcast(__builtin_nanf(""));
    for (std::int64_t k = 0; k < 32 * tiles; k += 2) {
      const auto low = (Floats)_mm512_i32gather_ps((__m512i)row_at, decoded + k, 4);
      const auto high = (Floats)_mm512_i32gather_ps((__m512i)row_at, decoded + k + 1, 4);
      const Ints pair = pair_bf16(low == low ? low : nan, high == high ? high : nan);
      __builtin_memcpy(out + k / 32 * kStripeStep + k % 32 * 16, &pair, sizeof pair);
    }
  }
};

/// Columns of a task that are summed without leaving the tiles, in tiles: the fewest slabs that
/// kSlabColumns allows, all about as wide.
inline std::int64_t slab_tiles(std::int64_t tiles) {
  constexpr std::int64_t kMost = kSlabColumns / kTileColumns;
  constexpr std::int64_t kWhole = kFileColumns / kTileColumns;
  const std::int64_t count = (tiles + kMost - 1) / kMost;
  return ((tiles + count - 1) / count + kWhole - 1) / kWhole * kWhole;
}

struct Stripe {
  std::int64_t first_tile;
  std::int64_t tiles;
  std::int64_t first_row;
  std::int64_t groups;  ///< of 16 rows: 2, or 1 at the end
};

/// A task's slabs one after the other, each stripe by stripe.
struct Stripes {
  explicit Stripes(const WeightRows& weight)
      : rows(weight.rows),
        all_tiles(weight.columns / kTileColumns),
        slab(slab_tiles(all_tiles)),
        per_slab((rows + kStripeRows - 1) / kStripeRows),
        count(per_slab * ((all_tiles + slab - 1) / slab)) {}

  Stripe operator[](std::int64_t i) const {
    const std::int64_t tile = i / per_slab * slab;
    const std::int64_t row = i % per_slab * kStripeRows;
    return {tile, all_tiles - tile < slab ? all_tiles - tile : slab, row,
            rows - row > kTileRows ? 2 : 1};
  }

  std::int64_t rows;
  std::int64_t all_tiles;
  std::int64_t slab;
  std::int64_t per_slab;
  std::int64_t count;
};

/// Decodes a stripe little by little, between the products of the stripe before it.
template <class Decode>
class StripeDecoder {
 public:
  StripeDecoder(const WeightRows& weight, const Decode& decode)
      : weight_(weight), rows_(weight), decode_(decode) {}

  /// `steps`: how often advance() will be called.
  void start(const Stripe& stripe, std::uint16_t* out, std::int64_t steps) {
    stripe_ = stripe;
    out_ = out;
    tile_ = 0;
    group_ = 0;
    piece_ = 0;
    place();
    const std::int64_t units = (stripe.tiles + Decode::kTiles - 1) / Decode::kTiles * stripe.groups;
    pieces_per_step_ = (units * Decode::kPieces + steps - 1) / steps;
  }

  void advance() {
    for (std::int64_t i = 0; i < pieces_per_step_ && tile_ < stripe_.tiles; ++i) decode_piece();
  }
  void finish() {
    while (tile_ < stripe_.tiles) decode_piece();
  }

 private:
  void place() {
    rows_.first = weight_.first + (stripe_.first_row + group_ * kTileRows) * weight_.row_bytes;
    to_ = out_ + tile_ * kStripeStep + group_ * kTileHalves;
  }

  void decode_piece() {
    const std::int64_t left = stripe_.tiles - tile_;
    unrolled<Decode::kPieces>([&](auto piece) __attribute__((always_inline)) {
      constexpr int kPiece = decltype(piece)::kValue;
      if (piece_ == kPiece)
        decode_.template piece<kPiece>(rows_, stripe_.first_tile + tile_,
                                       left < Decode::kTiles ? left : Decode::kTiles, to_);
    });
    if (++piece_ < Decode::kPieces) return;
    piece_ = 0;
    if (++group_ == stripe_.groups) {
      group_ = 0;
      tile_ += Decode::kTiles;
    }
    place();
  }

  const WeightRows& weight_;
  WeightRows rows_;  ///< of the group that is being decoded
  Decode decode_;
  Stripe stripe_ = {};
  std::uint16_t* out_ = nullptr;
  std::uint16_t* to_ = nullptr;
  std::int64_t tile_ = 0;
  std::int64_t group_ = 0;
  int piece_ = 0;
  std::int64_t pieces_per_step_ = 0;
};

/// Brings finished sums of 32 x 32 to where they belong, little by little like StripeDecoder.
/// Results for a later kernel go past the caches: a store into them would fetch the line first, and
/// products would wait for it.
class SumsWriter {
 public:
  explicit SumsWriter(bool past_caches) : past_caches_(past_caches) {}

  /// `steps`: how often advance() will be called.
  void start(const float* tiles, float* out, std::int64_t out_stride, std::int64_t rows,
             std::int64_t groups, std::int64_t steps) {
    tiles_ = tiles;
    out_ = out;
    out_stride_ = out_stride;
    rows_ = rows;
    groups_ = groups;
    row_ = 0;
    rows_per_step_ = (rows + steps - 1) / steps;
  }
  void advance() {
    for (std::int64_t i = 0; i < rows_per_step_ && row_ < rows_; ++i) write_row();
  }
  void finish() {
    while (row_ < rows_) write_row();
  }

 private:
  void write_row() {
    const float* from = tiles_ + row_ / kTileRows * 512 + row_ % kTileRows * 16;
    float* to = out_ + row_ * out_stride_;
    for (std::int64_t g = 0; g < groups_; ++g, from += kSumTile, to += kTileRows) {
      if (past_caches_) {
        stream(to, load(from));
      } else {
        store(to, load(from));
      }
    }
    ++row_;
  }

  bool past_caches_;
  const float* tiles_ = nullptr;
  float* out_ = nullptr;
  std::int64_t out_stride_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t groups_ = 0;
  std::int64_t row_ = 0;
  std::int64_t rows_per_step_ = 0;
};

/// The work space of a task.
struct TileWork {
  explicit TileWork(float* at) {
    const auto take = [&at](std::int64_t count) {
      float* taken = at;
      at += count;
      return taken;
    };
    sums = take(kTileActivationRows * kTileWeightRows);
    for (auto*& stripe : stripes)
      stripe = reinterpret_cast<std::uint16_t*>(take(kStripeRows * kSlabColumns / 2));
    decoded = take(kTileRows * kFileColumns);
    for (auto*& tiles : finished) tiles = take(4 * kSumTile);
    unread = take(kSumTile);
  }
  float* sums;  ///< between slabs: [32 weight rows][32 activation rows][2][2] tiles
  std::uint16_t* stripes[2];
  float* decoded;
  float* finished[2];
  float* unread;
};

/// kM x kN tiles of sums over `tiles` times 32 columns.
struct TileSums {
  const std::uint16_t* left = nullptr;   ///< a tile per 32 columns
  std::int64_t left_stride = 0;          ///< halves from 16 rows to the next
  const std::uint16_t* right = nullptr;  ///< of a stripe
  std::int64_t tiles = 0;
  const float* before = nullptr;  ///< sums so far; null: zero
  std::int64_t before_row = 0;    ///< floats from row to row: 0 repeats one row, a bias
  std::int64_t before_left = 0;   ///< floats from 16 rows to the next
  std::int64_t before_right = 0;  ///< floats from 16 columns to the next
  float* after = nullptr;         ///< [kM][2] tiles
  float* unread = nullptr;        ///< a tile
};

/// A store of a tile takes 0.3 us more if there was none for half a microsecond, which is 20 steps:
/// a store that nobody reads every so many steps saves that.
inline constexpr std::int64_t kStoreSteps = 8;

/// `pause` is called after each 32 columns: other work that runs beside the products.
template <int kM, int kN, class Pause>
inline void add_tiles(const TileSums& t, Pause&& pause) {
  if (t.before == nullptr) {
    _tile_zero(0);
    if constexpr (kN > 1) _tile_zero(1);
    if constexpr (kM > 1) _tile_zero(2);
    if constexpr (kM > 1 && kN > 1) _tile_zero(3);
  } else {
    const auto stride = static_cast<std::size_t>(t.before_row) * sizeof(float);
    _tile_loadd(0, t.before, stride);
    if constexpr (kN > 1) _tile_loadd(1, t.before + t.before_right, stride);
    if constexpr (kM > 1) _tile_loadd(2, t.before + t.before_left, stride);
    if constexpr (kM > 1 && kN > 1)
      _tile_loadd(3, t.before + t.before_left + t.before_right, stride);
  }
  const std::uint16_t* left = t.left;
  const std::uint16_t* right = t.right;
  for (std::int64_t k = 0; k < t.tiles; ++k, left += kTileHalves, right += kStripeStep) {
    _tile_loadd(6, right, 64);
    _tile_loadd(4, left, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kN > 1) {
      _tile_loadd(7, right + kTileHalves, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kM > 1) {
      _tile_loadd(5, left + t.left_stride, 64);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kN > 1) _tile_dpbf16ps(3, 5, 7);
    }
    if (k % kStoreSteps == kStoreSteps - 1) _tile_stored(6, t.unread, 64);
    pause();
  }
  _tile_stored(0, t.after, 64);
  if constexpr (kN > 1) _tile_stored(1, t.after + kSumTile, 64);
  if constexpr (kM > 1) _tile_stored(2, t.after + 2 * kSumTile, 64);
  if constexpr (kM > 1 && kN > 1) _tile_stored(3, t.after + 3 * kSumTile, 64);
}

template <class Pause>
inline void add_tiles(const TileSums& sums, bool two_left, bool two_right, Pause&& pause) {
  if (two_left) return two_right ? add_tiles<2, 2>(sums, pause) : add_tiles<2, 1>(sums, pause);
  return two_right ? add_tiles<1, 2>(sums, pause) : add_tiles<1, 1>(sums, pause);
}

/// The product of one task.
template <class Decode>
inline void multiply_tiles(const TileProduct& task, const Decode& decode) {
  const Tiles tiles;
  const Stripes stripes(task.weight);
  const std::int64_t left_tiles = (task.rows + kTileRows - 1) / kTileRows;
  const std::int64_t pairs = (left_tiles + 1) / 2;
  const TileWork work(task.work);
  StripeDecoder<Decode> decoder(task.weight, decode);
  SumsWriter writer(!task.reused);
  decoder.start(stripes[0], work.stripes[0], 1);
  decoder.finish();
  for (std::int64_t s = 0; s < stripes.count; ++s) {
    const Stripe stripe = stripes[s];
    const bool is_last = stripe.first_tile + stripe.tiles == stripes.all_tiles;
    if (s + 1 < stripes.count) {
      decoder.start(stripes[s + 1], work.stripes[(s + 1) % 2], pairs * stripe.tiles);
    }
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      float* kept = work.sums + (stripe.first_row / kStripeRows * pairs + pair) * 4 * kSumTile;
      const std::int64_t first_row = pair * 2 * kTileRows;
      const std::int64_t rows =
          task.rows - first_row < 2 * kTileRows ? task.rows - first_row : 2 * kTileRows;
      TileSums t;
      t.left = task.in + (pair * 2 * stripes.all_tiles + stripe.first_tile) * kTileHalves;
      t.left_stride = stripes.all_tiles * kTileHalves;
      t.right = work.stripes[s % 2];
      t.tiles = stripe.tiles;
      t.unread = work.unread;
      if (stripe.first_tile > 0) {
        t.before = kept;
        t.before_row = 16;
        t.before_left = 2 * kSumTile;
        t.before_right = kSumTile;
      } else if (task.bias != nullptr) {
        t.before = task.bias + stripe.first_row;
        t.before_right = kTileRows;
      }
      t.after = is_last ? work.finished[pair % 2] : kept;
      add_tiles(
          t, rows > kTileRows, stripe.groups > 1, [&]() __attribute__((always_inline)) {
            decoder.advance();
            writer.advance();
          });
      writer.finish();
      if (!is_last) continue;
      writer.start(t.after, task.out + first_row * task.out_stride + stripe.first_row,
                   task.out_stride, rows, stripe.groups, stripe.tiles);
    }
    decoder.finish();
  }
  writer.finish();
  finish_streams();
}

template <class P>
inline void multiply_packed_tiles(const TileProduct& task) {
  multiply_tiles(task, DecodePacked<P>{});
}

inline void multiply_file_tiles(const TileProduct& task) {
  multiply_tiles(task, DecodeFile{TileWork(task.work).decoded});
}

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
