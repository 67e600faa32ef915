// Rows of activations times a weight matrix, by whichever path suits their number and the weight's
// format: what MatMul and ExpertMatMul share. A path wants the activations in a form of its own,
// prepared once for all weights that share them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/dispatch/kernel_table.hpp"
#include "src/ops/glu.hpp"

namespace ingot::internal::cpu {

enum class Path : std::uint8_t {
  integers,  ///< few rows: weights as integers times activations rounded to 16 bits
  panels,    ///< many rows: the same, weights decoded to integers of 16 bits once for all rows
  tiles,     ///< many rows: both rounded to bf16, on matrix units
  floats,    ///< weights decoded to f32, activations as they are
};

/// The path of `rows` rows times a weight of this format.
Path path_of(const KernelTable& table, const FormatKernels& format, std::int64_t rows);

/// Floats that `rows` rows prepared for a path take; 0 where they are used as they are.
std::int64_t prepared_floats(Path path, std::int64_t rows, std::int64_t columns);

/// Rows that one call of `prepare` treats.
std::int64_t prepared_rows(Path path);

/// Where rows are prepared: the input's row 0 and column 0 become these of a whole.
struct Prepared {
  Path path = Path::floats;
  float* first = nullptr;  ///< of the whole
  std::int64_t columns = 0;
  std::int64_t first_row = 0;     ///< a multiple of prepared_rows(path)
  std::int64_t first_column = 0;  ///< a multiple of 32
};

/// Prepares the rows [block * prepared_rows(path), ...) of `in`.
void prepare(const KernelTable& table, const ActivationRows& in, std::int64_t block,
             const Prepared& out);

/// All rows of `in`.
void prepare_all(const KernelTable& table, const ActivationRows& in, const Prepared& out);

/// `count` rows of the weight from `first`, which is a multiple of 16 where rows are interleaved.
WeightRows slice(const WeightRows& weight, std::int64_t first, std::int64_t count);

/// Weight rows and activation rows that make a task.
struct TaskShape {
  std::int64_t weight_rows = 1;
  std::int64_t rows = 1;
};
TaskShape task_shape(Path path, const WeightRows& weight);

/// Floats that a worker needs for a task; of a format, whatever the rows.
std::int64_t product_work_floats(Path path);
std::int64_t product_work_floats(const KernelTable& table, const FormatKernels& format);

struct Product {
  Path path = Path::floats;
  WeightRows weight;           ///< task_shape(...).weight_rows, or more: may_be_one()
  ActivationRows in;           ///< all rows; those of the task are [first_row, first_row + rows)
  std::int64_t first_row = 0;  ///< a multiple of task_shape(...).rows
  std::int64_t rows = 0;
  const float* prepared = nullptr;  ///< of all rows of `in`
  /// Row r is row prepared_index[r] of `prepared`; null: r. Not with tiles.
  const std::int32_t* prepared_index = nullptr;
  const float* bias = nullptr;  ///< [weight.rows] or null
  float* out = nullptr;         ///< first row of the task, first weight row
  std::int64_t out_stride = 0;
  bool reused = false;  ///< `out` is read by the caller, not by a later kernel
};

/// Whether neighbouring tasks of the same rows may be one product over more weight rows.
bool may_be_one(Path path);

/// Tasks from `task` to `end` that are one product if any are: those of the same activation rows,
/// which `blocks` tasks share.
inline std::int64_t tasks_together(bool may_be_one, std::int64_t task, std::int64_t end,
                                   std::int64_t blocks) {
  return may_be_one ? std::min(end - task, blocks - task % blocks) : 1;
}

void multiply(const KernelTable& table, const Product& task, float* work);

/// The same with any number of weight rows, one task after the other.
void multiply_all(const KernelTable& table, const Product& all, float* work);

/// Whether multiply_glu() of these weights needs no room for the products.
bool multiplies_side_by_side(Path path, Path next, const WeightRows& gate, const WeightRows& up);

/// Glu of two products that differ in their weight, of one shape, its bias and `out`, made ready as
/// part of a whole; gate.out and up.out are work space, both `reused`.
void multiply_glu(const KernelTable& table, const ops::Glu& glu, const Product& gate,
                  const Product& up, const Prepared& out, float* work);

}  // namespace ingot::internal::cpu
