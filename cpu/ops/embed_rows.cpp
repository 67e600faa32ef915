#include "src/ops/embed_rows.hpp"

#include "cpu/ops/build.hpp"

namespace ingot::internal::cpu {
namespace {

// A task decodes one row.
class EmbedRowsKernel final : public Kernel {
 public:
  EmbedRowsKernel(const ops::EmbedRows& op, const BuildContext& context)
      : decode_row_(context.table.decode_row), table_(context.rows(op.table)), out_(op.out) {}

  std::int64_t task_count(const StepContext& step) const noexcept override {
    return step.input.rows(Rows::tokens);
  }

  void run(const StepContext& step, float*, std::int64_t task) const noexcept override {
    const std::int32_t id = step.input.ids[static_cast<std::size_t>(task)];
    decode_row_(table_, id, step.value(out_) + task * table_.columns);
  }

 private:
  void (*decode_row_)(const WeightRows&, std::int64_t, float*);
  WeightRows table_;
  ValueId out_;
};

}  // namespace

Built build(const ops::EmbedRows& op, const BuildContext& context) {
  return single(EmbedRowsKernel(op, context));
}

}  // namespace ingot::internal::cpu
