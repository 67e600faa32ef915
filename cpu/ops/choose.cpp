#include "cpu/ops/choose.hpp"

#include "cpu/ops/kernel.hpp"

namespace ingot::internal::cpu {

ProductPaths choose_product(const KernelTable& table, const Numerics& numerics,
                            const FormatKernels& format) {
  if (format.lanes == nullptr) {
    if (numerics.deterministic) return {&paths::floats_in_order, &paths::floats_in_order};
    return {&paths::floats, &paths::floats};
  }
  // Panels of decoded weights: any number of rows gets the same bits.
  if (numerics.precision == Precision::f32) return {&paths::floats, &paths::floats};
  if (numerics.deterministic) return {&paths::integers, &paths::integer_blocks};
  if (table.pack_tiles != nullptr) return {&paths::integers, &paths::tiles};
  // Reading a format that has no interleaved order costs more than its products.
  return {&paths::integers, format.pack != nullptr ? &paths::panels : &paths::floats};
}

std::int64_t AttentionPaths::splits(std::int64_t rows, std::int64_t positions) const {
  return rows > kSplitRows ? 1 : std::max<std::int64_t>(1, divide_up(positions, kSplitTokens));
}

void AttentionPaths::choose(Attend& task) const {
  task.rows_on_tiles = 0;
  task.rows_together = kQueryRows;
  task.in_place = kFewQueries;
  task.whole_pages = numerics_.deterministic;
  if (numerics_.deterministic) {
    // Groups of queries are filled up to a whole number: there is room for twice as many.
    task.rows_together = kQueryRows / 2;
    task.in_place = kQueryRows * kQueryHeads;
  }
  // F32 caches keep f32 products, and rows are taken 32 elements at a time.
  const bool takes_tiles = table_->pack_tiles != nullptr && numerics_.precision != Precision::f32 &&
                           task.keys.type != DType::F32 && task.values.type != DType::F32 &&
                           task.keys.stored_size % 32 == 0 && task.values.stored_size % 32 == 0;
  if (!takes_tiles) return;
  if (numerics_.deterministic) {
    task.rows_on_tiles = task.rows;
    return;
  }
  // Which rows share a task must not show: the last ones run as they would alone.
  const std::int64_t last = task.rows % kQueryRows;
  task.rows_on_tiles = last * task.heads <= kFewQueries ? task.rows - last : task.rows;
}

bool may_expand(const KernelTable& table, const Numerics& numerics, const FormatKernels& format) {
  // A step's form would depend on its number of rows and on what is cached.
  if (numerics.deterministic) return false;
  return choose_product(table, numerics, format).many == &paths::tiles;
}

}  // namespace ingot::internal::cpu
