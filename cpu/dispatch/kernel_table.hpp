// The loops of one target as a table of functions, chosen once per device.
#pragma once

#include <cstdint>
#include <string_view>

#include "cpu/ops/attention.hpp"
#include "cpu/ops/elementwise.hpp"
#include "cpu/ops/integer_panels.hpp"
#include "cpu/ops/latent_attention.hpp"
#include "cpu/ops/matmul.hpp"
#include "cpu/ops/norm.hpp"
#include "cpu/ops/rope.hpp"
#include "cpu/ops/tile_product.hpp"
#include "cpu/quant/seam.hpp"

namespace ingot::internal::cpu {

/// The loops of one format over interleaved rows.
struct PackedKernels {
  void (*few_rows)(const FewRows&) = nullptr;
  void (*tiles)(const TileProduct&) = nullptr;           ///< null where pack_tiles is
  void (*panels)(const IntegerPanelProduct&) = nullptr;  ///< null where tiles is not
  void (*transposed)(const TransposedProduct&) = nullptr;
};

/// Every function is compiled for the target `name`. None throws or allocates.
struct KernelTable {
  std::string_view name;  ///< as INGOT_CPU_ISA takes it: "scalar"
  int lanes;              ///< f32 in a vector

  /// The target's name, from a function that lies beside the loops: a runner keeps what it answered
  /// during a step, and a test proves with it that a forced target is the one that ran.
  const char* (*running)();

  const FormatKernels& (*format)(DType type);

  /// Decodes a row of a weight to f32.
  void (*decode_row)(const WeightRows& weight, std::int64_t row, float* out);

  /// quantize_row makes QuantizedRow::q bytes (activations.inl); else it is quantize_in_order.
  bool splits_activations;
  void (*quantize_row)(const QuantizeRow&);
  void (*quantize_in_order)(const QuantizeRow&);  ///< QuantizedRow::q in the order of the columns
  void (*few_rows)(const FewRows&);
  /// Up to kFewRows rows times F32, F16 or BF16, whose columns are a multiple of 32; `panel` is not
  /// needed.
  void (*few_floats)(const ManyRows&);
  void (*few_floats_in_order)(const ManyRows&);  ///< with the bits of many_rows
  void (*many_rows)(const ManyRows&);

  /// Loops over interleaved rows; only for formats that have FormatKernels::pack.
  const PackedKernels& (*packed)(DType type);

  void (*pack_tiles)(const PackTiles&);  ///< null: the target has no tiles
  void (*file_tiles)(const TileProduct&);

  void (*attend)(const Attend&);
  void (*add_splits)(const AddSplits&);
  void (*merge_splits)(const MergeSplits&);

  void (*transposed)(const TransposedProduct&);

  /// Rounds to f16, saturating.
  void (*store_halves)(const float* in, std::int64_t count, std::uint16_t* out);

  void (*norm)(const NormGroup&);
  void (*rope)(const RopeHeads&);

  void (*activate)(ops::ActivationKind kind, const float* in, float* out, std::int64_t count);
  /// `count` elements, each gated by its own; `limit` as in ops::Glu, 0: none.
  void (*glu)(ops::ActivationKind kind, float limit, const float* gate, const float* up, float* out,
              std::int64_t count);
  void (*add)(const float* left, const float* right, float* out, std::int64_t count);
  void (*scale)(float factor, const float* in, float* out, std::int64_t count);
};

}  // namespace ingot::internal::cpu
