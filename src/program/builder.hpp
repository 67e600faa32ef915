// The pen an architecture writes with. Each call appends one instruction and returns its value;
// weights are found by name and refused, by name, when the file's shape is not the architecture's.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/gguf.hpp"
#include "src/program/program.hpp"

namespace ingot::internal {

/// A matrix of weights with its bias.
struct Linear {
  WeightOperand weight;
  std::optional<WeightOperand> bias;
};

enum class Bias { none, optional, required };

class ProgramBuilder {
 public:
  /// `file` must outlive the builder.
  ProgramBuilder(const GgufFile& file, std::string architecture, std::int64_t context);

  // --- weights -----------------------------------------------------------------------------------
  bool has_tensor(std::string_view name) const { return file_.find_tensor(name) != nullptr; }
  /// Positions the program is written for.
  std::int64_t context() const { return program_.context; }

  /// Tensor `name` of exactly [rows, columns]. Error bad_file when absent or of another shape
  /// (dimensions of 1 behind the last one do not count), Error unsupported when of a type that is
  /// none of ours.
  WeightOperand matrix(const std::string& name, std::int64_t rows, std::int64_t columns);
  /// Tensor `name` of exactly [experts, rows, columns].
  WeightOperand expert_matrices(const std::string& name, std::int64_t experts, std::int64_t rows,
                                std::int64_t columns);
  /// The same of tensors `parts` of [rows, columns], one per expert and all of one type; `name`
  /// names the whole. Error unsupported when types differ.
  WeightOperand expert_matrices(const std::string& name, const std::vector<std::string>& parts,
                                std::int64_t rows, std::int64_t columns);
  /// Tensor `name` of exactly `size` elements, in any type of ours: F32 in the program.
  WeightOperand vector(const std::string& name, std::int64_t size);
  /// `base`.weight [rows, columns] and `base`.bias [rows].
  Linear linear(const std::string& base, std::int64_t rows, std::int64_t columns, Bias bias);
  /// `base`.weight of matrices that lie one under the other, all of `columns` columns: one Linear
  /// per entry of `rows`, without biases.
  std::vector<Linear> stacked_linears(const std::string& base,
                                      const std::vector<std::int64_t>& rows, std::int64_t columns);
  /// `base`.weight [experts, rows, columns] and `base`.bias [experts, rows]. `parts`, if there are
  /// any, are the tensors that hold the weights, one per expert.
  Linear expert_linear(const std::string& base, std::int64_t experts, std::int64_t rows,
                       std::int64_t columns, Bias bias, const std::vector<std::string>& parts = {});
  /// Marks a tensor that the architecture read itself while writing the program.
  void mark_used(const std::string& name) { used_.insert(name); }

  // --- states and tables -------------------------------------------------------------------------
  /// `window`: positions that its readers look back, the token's own included; 0: all.
  StateId state(std::string name, std::int64_t kv_head_count, std::int64_t key_size,
                std::int64_t value_size, std::int64_t window = 0);
  /// A latent and `turned_size` key columns per position.
  StateId latent_state(std::string name, std::int64_t latent_size, std::int64_t turned_size);
  std::int32_t rope_table(RopeTable table);

  // --- instructions; `name` names the value written ----------------------------------------------
  ValueId embed_rows(std::string name, WeightOperand table);
  /// `group_size` 0: over the whole row.
  ValueId rms_norm(std::string name, ValueId in, WeightOperand weight, double epsilon,
                   std::int64_t group_size = 0);
  ValueId layer_norm(std::string name, ValueId in, WeightOperand weight, WeightOperand bias,
                     double epsilon);
  ValueId matmul(std::string name, ValueId in, const Linear& linear);
  std::vector<ValueId> matmul(const std::vector<std::string>& names, ValueId in,
                              const std::vector<Linear>& linears);
  /// The product that makes logits of `hidden`, of the rows whose logits are asked for.
  ValueId head(std::string name, ValueId hidden, const Linear& linear);
  /// Turns columns [rotary_offset, rotary_offset + rotary_size) of each head.
  ValueId rope(std::string name, ValueId in, ops::RopeLayout layout, std::int64_t head_size,
               std::int64_t rotary_size, std::int32_t table, std::int64_t rotary_offset = 0);
  void state_store(ValueId key, ValueId value, StateId state);
  /// `window` 0: every earlier position.
  ValueId attention(std::string name, ValueId query, StateId state, std::int64_t head_count,
                    double scale, std::int64_t window = 0,
                    std::optional<WeightOperand> sinks = std::nullopt);
  /// Takes everything from `op` but `out`.
  ValueId latent_attention(std::string name, ops::LatentAttention op);
  ValueId activation(std::string name, ops::ActivationKind kind, ValueId in);
  /// `gate` may have one column, for the whole row; `limit` 0: none.
  ValueId glu(std::string name, ops::ActivationKind kind, ValueId gate, ValueId up,
              double limit = 0.0);
  ValueId add(std::string name, ValueId left, ValueId right);
  ValueId scale(std::string name, ValueId in, double factor);
  ValueId select_rows(std::string name, ValueId in);
  /// `attributes` says how experts are chosen from its logits; its outputs are made here and named
  /// `name`_experts, `name`_weights ... Error unsupported if layers differ in experts per token.
  ops::Routing route(const std::string& name, ops::Route attributes);
  /// Grouped rows of several expert tensors that share the input.
  std::vector<ValueId> expert_matmul(const std::vector<std::string>& names, ValueId in,
                                     const ops::Routing& routing,
                                     const std::vector<Linear>& linears);
  ValueId expert_matmul(std::string name, ValueId in, const ops::Routing& routing,
                        const Linear& linear);
  ValueId expert_combine(std::string name, ValueId in, const ops::Routing& routing);

  /// The finished, checked program. Error unsupported naming any tensor of the file that the
  /// architecture did not use: a model variant we do not know must not produce text that looks
  /// right.
  Program finish(ValueId logits);

 private:
  ValueId norm(ops::Norm op, std::string name);
  ValueId new_value(std::string name, Rows rows, std::int64_t columns,
                    ValueType type = ValueType::f32);
  /// The file's tensor, marked as used, of this shape and of a type that is ours; `wanted` is
  /// {columns, rows, experts}, without those of 1 at the end.
  const GgufTensor& found(const std::string& name, std::vector<std::int64_t> wanted);
  /// The program's tensor of that name, added if it is not there yet.
  TensorId add_tensor(Tensor tensor);
  /// Rows of values that are added or multiplied, not summed over: norms and biases.
  WeightOperand values(const GgufTensor& found, std::int64_t rows, std::int64_t columns);

  const GgufFile& file_;
  Program program_;
  std::set<std::string, std::less<>> used_;
};

}  // namespace ingot::internal
