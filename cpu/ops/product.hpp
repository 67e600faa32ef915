// Rows of activations times a weight matrix: what MatMul, ExpertMatMul and LatentAttention share. A
// path is a way to multiply; it wants the activations in a form, prepared once for all weights that
// share them. Which path a weight takes is chosen in one place, choose.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "cpu/dispatch/kernel_table.hpp"
#include "src/ops/glu.hpp"

namespace ingot::internal::cpu {

struct Form;

/// Where rows are prepared: the input's row 0 and column 0 become these of a whole.
struct Prepared {
  const Form* form = nullptr;
  float* first = nullptr;  ///< of the whole
  std::int64_t columns = 0;
  std::int64_t first_row = 0;     ///< a multiple of form->rows
  std::int64_t first_column = 0;  ///< a multiple of 32
};

/// A form of activations. Forms are the constants below, told apart by their address.
struct Form {
  std::string_view name;
  std::int64_t rows;  ///< that one call of `prepare` treats
  /// Floats that so many rows take; 0 where they are used as they are.
  std::int64_t (*floats)(std::int64_t rows, std::int64_t columns);
  /// Prepares the rows [block * rows, ...) of `in`.
  void (*prepare)(const KernelTable& table, const ActivationRows& in, std::int64_t block,
                  const Prepared& out);
};

namespace forms {
extern const Form plain;              ///< as they are: f32
extern const Form integers;           ///< QuantizedRow, in the target's own order
extern const Form integers_in_order;  ///< QuantizedRow, in the order of the columns
extern const Form tiles;              ///< bf16, tile_product.hpp
}  // namespace forms

/// All rows of `in`.
void prepare_all(const KernelTable& table, const ActivationRows& in, const Prepared& out);

/// `count` rows of the weight from `first`, which is a multiple of 16 where rows are interleaved.
WeightRows slice(const WeightRows& weight, std::int64_t first, std::int64_t count);

/// Weight rows and activation rows that make a task.
struct TaskShape {
  std::int64_t weight_rows = 1;
  std::int64_t rows = 1;
};

/// The arguments of a path.
struct Product {
  WeightRows weight;           ///< the task shape's weight_rows, or more: Path::may_be_one
  ActivationRows in;           ///< all rows; those of the task are [first_row, first_row + rows)
  std::int64_t first_row = 0;  ///< a multiple of the task shape's rows
  std::int64_t rows = 0;
  const float* prepared = nullptr;  ///< of all rows of `in`
  /// Row r is row prepared_index[r] of `prepared`; null: r. Not with tiles.
  const std::int32_t* prepared_index = nullptr;
  const float* bias = nullptr;  ///< [weight.rows] or null
  float* out = nullptr;         ///< first row of the task, first weight row
  std::int64_t out_stride = 0;
  bool reused = false;  ///< `out` is read by the caller, not by a later kernel
};

/// A way to multiply. Paths are the constants below, told apart by their address.
struct Path {
  std::string_view name;
  const Form* form;
  bool may_be_one;  ///< neighbouring tasks of the same rows: one product of more weight rows
  std::int64_t work_floats;  ///< that a worker needs for a task
  TaskShape (*task_shape)(const WeightRows& weight);
  void (*multiply)(const KernelTable& table, const Product& task, float* work);
};

namespace paths {
extern const Path integers;  ///< few rows: weights as integers times activations rounded to 16 bits
extern const Path panels;    ///< many: the same, weights decoded to 16 bits once for all rows
extern const Path tiles;     ///< many: both rounded to bf16, on matrix units
extern const Path floats;    ///< weights decoded to f32, activations as they are
/// The last and the first with the same bits for any number of rows.
extern const Path integer_blocks;  ///< many rows, a few at a time, with the bits of `integers`
extern const Path floats_in_order;
}  // namespace paths

/// Tasks from `task` to `end` that are one product if any are: those of the same activation rows,
/// which `blocks` tasks share.
inline std::int64_t tasks_together(bool may_be_one, std::int64_t task, std::int64_t end,
                                   std::int64_t blocks) {
  return may_be_one ? std::min(end - task, blocks - task % blocks) : 1;
}

/// A product with any number of weight rows, one task after the other.
void multiply_all(const Path& path, const KernelTable& table, const Product& all, float* work);

/// Whether multiply_glu() of these weights needs no room for the products.
bool multiplies_side_by_side(const Path& path, const Form& next, const WeightRows& gate,
                             const WeightRows& up);

/// Glu of two products that differ in their weight, of one shape, its bias and `out`, made ready as
/// part of a whole; gate.out and up.out are work space, both `reused`.
void multiply_glu(const Path& path, const KernelTable& table, const ops::Glu& glu,
                  const Product& gate, const Product& up, const Prepared& out, float* work);

}  // namespace ingot::internal::cpu
