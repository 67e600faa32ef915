// Attention of many queries on AMX: both products in bf16 tiles with f32 sums. Tiles of the cache
// are decoded once per task. A number is one bf16 (kNumbers 1) or the sum of two (kNumbers 2: hi +
// lo hold 16 bits of it, and three of the four products are taken).
#include "cpu/ops/attention_work.inl"
#include "cpu/targets/simd.hpp"
#include "cpu/targets/target.hpp"
#include "cpu/targets/transpose.inl"

#if defined(__AMX_BF16__) && !defined(INGOT_CPU_ATTENTION_TILES_INL)
#define INGOT_CPU_ATTENTION_TILES_INL

#include "cpu/targets/tiles.inl"

namespace ingot::cpu::INGOT_CPU_TARGET {

/// Whether a task can run on tiles: f32 caches keep f32 products, and keys are taken 32 elements at
/// a time.
inline bool takes_tiles(const Attend& task) {
  return task.keys.type != DType::F32 && task.values.type != DType::F32 &&
         task.keys.stored_size % kTileColumns == 0 && task.values.stored_size % kTileColumns == 0;
}

/// Rounded to bf16, ties to even; the low 16 bits are zero. Finite numbers only.
inline Floats as_bf16(Floats x) {
  const Ints bits = (Ints)x;
  return (Floats)((bits + 0x7fff + ((bits >> 16) & 1)) & ~0xffff);
}

/// Part kPart of x: bf16(x), or bf16(x - bf16(x)); NaN and infinities stay in part 0.
template <int kPart>
inline Floats bf16_part(Floats x) {
  if constexpr (kPart == 0) return x;  // rounded when it is stored
  const Floats rest = x - as_bf16(x);
  return rest == rest ? rest : Floats{};
}

/// 32 f32 as the 32 bf16 of a tile's row.
inline Floats rounded_row(Floats low, Floats high) {
  const __m512bh rounded = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
  Floats out;
  __builtin_memcpy(&out, &rounded, sizeof out);
  return out;
}

/// The same in pairs: low[0], high[0], low[1], high[1], ...
inline Floats rounded_pairs(Floats low, Floats high) {
  typedef std::int16_t Halves __attribute__((vector_size(kVectorBytes)));
  const auto row = (Halves)rounded_row(low, high);
  return (Floats)__builtin_shufflevector(row, row, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
                                         7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
                                         30, 15, 31);
}

/// Weights multiplied as one bf16 are summed as that.
struct RoundWeights {
  static Floats rounded(Floats w) { return as_bf16(w); }
};

template <int kNumbers>
class AttendOnTiles {
 public:
  AttendOnTiles(const Attend& task, const AttentionWork& work)
      : task_(task),
        work_(work),
        key_tiles_(task.keys.stored_size / kTileColumns),
        value_tiles_(task.values.stored_size / kTileRows) {
    const std::int64_t queries = task.rows * task.heads;
    for (std::int64_t r = 0; r < (queries + kTileRows - 1) / kTileRows * kTileRows; ++r) {
      for (std::int64_t k = 0; k < key_tiles_; ++k) {
        const float* q = work.queries + r * work.key_stride + k * kTileColumns;
        const bool exists = r < queries;
        store_row(query_tile(r / kTileRows, k), r % kTileRows, exists ? load(q) : Floats{},
                  exists ? load(q + kLanes) : Floats{});
      }
    }
  }

  void attend(const TileOfRows& tile) {
    const CacheTile keys = cache_tile(task_.keys, task_.pages, tile.begin, tile.count,
                                      work_.key_stride, work_.key_rows);
    const CacheTile values = cache_tile(task_.values, task_.pages, tile.begin, tile.count,
                                        work_.value_stride, work_.value_rows);
    with_cache_row(keys.type, [&](auto row) { pack_keys<decltype(row)>(keys); });
    with_cache_row(values.type, [&](auto row) { pack_values<decltype(row)>(values); });
    // Whole tiles of queries: rows that see nothing of this tile get weights 0.
    const std::int64_t first = tile.first * task_.heads / kTileRows;
    const std::int64_t queries = tile.end * task_.heads;
    const std::int64_t end = (queries + kTileRows - 1) / kTileRows;
    for (std::int64_t m = first; m < end; ++m) score(m);
    const std::int64_t first_row = first * kTileRows / task_.heads;
    std::int64_t end_row = (end * kTileRows + task_.heads - 1) / task_.heads;
    if (end_row > task_.rows) end_row = task_.rows;
    if constexpr (kNumbers == 1) {
      update_rows<RoundWeights>(task_, work_, first_row, end_row, tile.begin, tile.count);
    } else {
      update_rows(task_, work_, first_row, end_row, tile.begin, tile.count);
    }
    for (std::int64_t m = first; m < end; ++m) {
      pack_weights(m, tile.count);
      std::int64_t n = 0;
      for (; n + 4 <= value_tiles_; n += 4) add_values<4>(m, n, tile.count);
      for (; n < value_tiles_; ++n) add_values<1>(m, n, tile.count);
    }
  }

 private:
  static constexpr std::int64_t kPart = kTileHalves;  // from a tile to the rest of its numbers
  static constexpr std::int64_t kPositionTiles = kPageTokens / kTileRows;
  static constexpr std::int64_t kWeightTiles = kPageTokens / kTileColumns;

  std::uint16_t* query_tile(std::int64_t m, std::int64_t k) const {
    return reinterpret_cast<std::uint16_t*>(work_.query_tiles) +
           (m * key_tiles_ + k) * kNumbers * kTileHalves;
  }
  std::uint16_t* key_tile(std::int64_t k, std::int64_t n) const {
    return reinterpret_cast<std::uint16_t*>(work_.keys) +
           (k * kPositionTiles + n) * kNumbers * kTileHalves;
  }
  std::uint16_t* weight_tile(std::int64_t k) const {
    return reinterpret_cast<std::uint16_t*>(work_.weight_tiles) + k * kNumbers * kTileHalves;
  }
  std::uint16_t* value_tile(std::int64_t k, std::int64_t n) const {
    return reinterpret_cast<std::uint16_t*>(work_.values) +
           (k * value_tiles_ + n) * kNumbers * kTileHalves;
  }

  /// Row `row` of a left operand.
  static void store_row(std::uint16_t* tile, std::int64_t row, Floats low, Floats high) {
    store(reinterpret_cast<float*>(tile + row * kTileColumns), rounded_row(low, high));
    if constexpr (kNumbers == 2) {
      store(reinterpret_cast<float*>(tile + kPart + row * kTileColumns),
            rounded_row(bf16_part<1>(low), bf16_part<1>(high)));
    }
  }

  /// Right operands: pairs of a key's elements, by position. A pair is 32 bits, so a transpose of
  /// 16 rows of pairs makes a tile.
  template <class Row>
  void pack_keys(const CacheTile& keys) const {
    for (std::int64_t n = 0; n * kTileRows < keys.count; ++n) {
      for (std::int64_t k = 0; k < key_tiles_; ++k) {
        Floats pairs[kLanes];
        Floats rest[kLanes];
        for (int t = 0; t < kLanes; ++t) {
          const std::byte* row = keys.row_within(n * kTileRows + t);
          const Floats low = Row::at(row, k, 0);
          const Floats high = Row::at(row, k, 1);
          pairs[t] = rounded_row(low, high);
          if constexpr (kNumbers == 2) rest[t] = rounded_row(bf16_part<1>(low), bf16_part<1>(high));
        }
        float* out = reinterpret_cast<float*>(key_tile(k, n));
        transpose(pairs);
        for (int t = 0; t < kLanes; ++t) store(out + t * kLanes, pairs[t]);
        if constexpr (kNumbers == 2) {
          transpose(rest);
          for (int t = 0; t < kLanes; ++t) store(out + kPart / 2 + t * kLanes, rest[t]);
        }
      }
    }
  }

  /// Right operands: pairs of positions, by element. Positions that do not exist are zero.
  template <class Row>
  void pack_values(const CacheTile& values) const {
    for (std::int64_t k = 0; k * kTileColumns < values.count; ++k) {
      for (std::int64_t pair = 0; pair < kTilePairs; ++pair) {
        const std::int64_t t = k * kTileColumns + 2 * pair;
        const std::byte* first = values.row_within(t);
        const std::byte* second = values.row_within(t + 1);
        for (std::int64_t chunk = 0; chunk < value_tiles_ / 2; ++chunk) {
          for (int part = 0; part < 2; ++part) {
            const Floats low = t < values.count ? Row::at(first, chunk, part) : Floats{};
            const Floats high = t + 1 < values.count ? Row::at(second, chunk, part) : Floats{};
            float* out = reinterpret_cast<float*>(value_tile(k, 2 * chunk + part)) + pair * kLanes;
            store(out, rounded_pairs(low, high));
            if constexpr (kNumbers == 2) {
              store(out + kPart / 2, rounded_pairs(bf16_part<1>(low), bf16_part<1>(high)));
            }
          }
        }
      }
    }
  }

  /// Left operands: the weights of 16 queries, zeros behind the tile's positions.
  void pack_weights(std::int64_t m, std::int64_t count) const {
    const std::int64_t whole = (count + kLanes - 1) / kLanes * kLanes;
    for (std::int64_t r = 0; r < kTileRows; ++r) {
      const float* weights = work_.weights + (m * kTileRows + r) * kPageTokens;
      for (std::int64_t j = 0; j < count; j += kTileColumns) {
        const Floats low = load(weights + j);
        const Floats high = j + kLanes < whole ? load(weights + j + kLanes) : Floats{};
        store_row(weight_tile(j / kTileColumns), r, low, high);
      }
    }
  }

  /// weights[16 queries][64 positions] = queries times keys, not yet scaled.
  void score(std::int64_t m) const {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (std::int64_t k = 0; k < key_tiles_; ++k) {
      multiply<4>(query_tile(m, k), key_tile(k, 0));
    }
    float* out = work_.weights + m * kTileRows * kPageTokens;
    _tile_stored(0, out, kPageTokens * sizeof(float));
    _tile_stored(1, out + 16, kPageTokens * sizeof(float));
    _tile_stored(2, out + 32, kPageTokens * sizeof(float));
    _tile_stored(3, out + 48, kPageTokens * sizeof(float));
  }

  /// sums[16 queries][kCount * 16 elements] += weights times values.
  template <int kCount>
  void add_values(std::int64_t m, std::int64_t n, std::int64_t count) const {
    float* sums = work_.sums + m * kTileRows * work_.value_stride + n * kTileRows;
    const auto stride = static_cast<std::size_t>(work_.value_stride) * sizeof(float);
    _tile_loadd(0, sums, stride);
    if constexpr (kCount > 1) {
      _tile_loadd(1, sums + 16, stride);
      _tile_loadd(2, sums + 32, stride);
      _tile_loadd(3, sums + 48, stride);
    }
    for (std::int64_t k = 0; k * kTileColumns < count; ++k) {
      multiply<kCount>(weight_tile(k), value_tile(k, n));
    }
    _tile_stored(0, sums, stride);
    if constexpr (kCount > 1) {
      _tile_stored(1, sums + 16, stride);
      _tile_stored(2, sums + 32, stride);
      _tile_stored(3, sums + 48, stride);
    }
  }

  /// Tiles 0 to kCount - 1 += left times kCount right operands that lie one behind the other. The
  /// same product of all of them before the next product: each must wait for its own sums.
  template <int kCount>
  static void multiply(const std::uint16_t* left, const std::uint16_t* right) {
    products<kCount>(left, right);
    if constexpr (kNumbers == 2) {
      products<kCount>(left, right + kPart);
      products<kCount>(left + kPart, right);
    }
  }

  // Tile numbers are part of the instruction: they must be literals.
  template <int kCount>
  static void products(const std::uint16_t* left, const std::uint16_t* right) {
    constexpr std::int64_t kNext = kNumbers * kTileHalves;
    _tile_loadd(4, left, 64);
    _tile_loadd(6, right, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kCount > 1) {
      _tile_loadd(7, right + kNext, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(6, right + 2 * kNext, 64);
      _tile_dpbf16ps(2, 4, 6);
      _tile_loadd(7, right + 3 * kNext, 64);
      _tile_dpbf16ps(3, 4, 7);
    }
  }

  const Tiles tiles_;
  const Attend& task_;
  const AttentionWork& work_;
  std::int64_t key_tiles_;    ///< tiles of 32 elements of a key
  std::int64_t value_tiles_;  ///< tiles of 16 elements of a value
};

}  // namespace ingot::cpu::INGOT_CPU_TARGET

#endif  // __AMX_BF16__
