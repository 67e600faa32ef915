#include "src/program/builder.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "ingot/error.hpp"

namespace ingot::internal {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (auto it = shape.rbegin(); it != shape.rend(); ++it) {
    text += (text.empty() ? "" : ", ") + std::to_string(*it);
  }
  return "[" + text + "]";
}

// Without dimensions of 1 at the end, which change nothing about what lies where.
std::vector<std::int64_t> trimmed(std::vector<std::int64_t> shape) {
  while (shape.size() > 1 && shape.back() == 1) shape.pop_back();
  return shape;
}

}  // namespace

ProgramBuilder::ProgramBuilder(const GgufFile& file, std::string architecture, std::int64_t context)
    : file_(file) {
  program_.architecture = std::move(architecture);
  program_.context = context;
}

const GgufTensor& ProgramBuilder::found(const std::string& name, std::vector<std::int64_t> wanted) {
  const GgufTensor& found = file_.tensor(name);
  if (!found.dtype()) {
    fail(ErrorCode::unsupported, file_.path(), ": tensor ", found.name, " is stored as ",
         found.type_name(),
         ", which this build does not compute with; use a file in another quantization");
  }
  wanted = trimmed(std::move(wanted));
  std::vector<std::int64_t> shape = trimmed(found.shape);
  // A vector may stand upright: as many rows of one column.
  if (wanted.size() == 1 && shape.front() == 1 && found.element_count() == wanted.front()) {
    shape = wanted;
  }
  if (shape != wanted) {
    fail(ErrorCode::bad_file, file_.path(), ": tensor ", found.name, " is ",
         shape_text(found.shape), "; a ", program_.architecture,
         " model of these hyper-parameters has ", shape_text(wanted));
  }
  used_.insert(found.name);
  return found;
}

TensorId ProgramBuilder::add_tensor(Tensor tensor) {
  for (std::size_t i = 0; i < program_.tensors.size(); ++i) {
    if (program_.tensors[i].name == tensor.name) return {static_cast<std::int32_t>(i)};
  }
  program_.tensors.push_back(std::move(tensor));
  return {static_cast<std::int32_t>(program_.tensors.size() - 1)};
}

WeightOperand ProgramBuilder::matrix(const std::string& name, std::int64_t rows,
                                     std::int64_t columns) {
  const GgufTensor& tensor = found(name, {columns, rows});
  return {add_tensor({name, *tensor.dtype(), columns, rows}), {0, rows}, {0, columns}, {0, 1}};
}

WeightOperand ProgramBuilder::expert_matrices(const std::string& name, std::int64_t experts,
                                              std::int64_t rows, std::int64_t columns) {
  const GgufTensor& tensor = found(name, {columns, rows, experts});
  return {add_tensor({name, *tensor.dtype(), columns, rows, experts}),
          {0, rows},
          {0, columns},
          {0, experts}};
}

WeightOperand ProgramBuilder::expert_matrices(const std::string& name,
                                              const std::vector<std::string>& parts,
                                              std::int64_t rows, std::int64_t columns) {
  const DType type = *found(parts.front(), {columns, rows}).dtype();
  for (const std::string& part : parts) {
    const GgufTensor& tensor = found(part, {columns, rows});
    if (*tensor.dtype() == type) continue;
    fail(ErrorCode::unsupported, file_.path(), ": tensor ", part, " is stored as ",
         tensor.type_name(), ", ", parts.front(), " as ", to_string(type),
         "; experts of one layer must have one type: use another file of this model");
  }
  Tensor whole{name, type, columns, rows, std::ssize(parts)};
  whole.parts = parts;
  return {add_tensor(std::move(whole)), {0, rows}, {0, columns}, {0, std::ssize(parts)}};
}

WeightOperand ProgramBuilder::values(const GgufTensor& found, std::int64_t rows,
                                     std::int64_t columns) {
  Tensor tensor{found.name, DType::F32, columns, rows};
  if (found.dtype() != DType::F32) tensor.stored_as = found.dtype();
  return {add_tensor(std::move(tensor)), {0, rows}, {0, columns}, {0, 1}};
}

WeightOperand ProgramBuilder::vector(const std::string& name, std::int64_t size) {
  return values(found(name, {size}), 1, size);
}

Linear ProgramBuilder::linear(const std::string& base, std::int64_t rows, std::int64_t columns,
                              Bias bias) {
  Linear result;
  result.weight = matrix(base + ".weight", rows, columns);
  const std::string bias_name = base + ".bias";
  if (bias == Bias::required || (bias == Bias::optional && has_tensor(bias_name))) {
    result.bias = vector(bias_name, rows);
  }
  return result;
}

std::vector<Linear> ProgramBuilder::stacked_linears(const std::string& base,
                                                    const std::vector<std::int64_t>& rows,
                                                    std::int64_t columns) {
  const std::int64_t all = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  const WeightOperand whole = matrix(base + ".weight", all, columns);
  std::vector<Linear> parts;
  std::int64_t begin = 0;
  for (const std::int64_t count : rows) {
    Linear part;
    part.weight = whole;
    part.weight.rows = {begin, begin + count};
    begin += count;
    parts.push_back(part);
  }
  return parts;
}

Linear ProgramBuilder::expert_linear(const std::string& base, std::int64_t experts,
                                     std::int64_t rows, std::int64_t columns, Bias bias,
                                     const std::vector<std::string>& parts) {
  const std::string name = base + ".weight";
  Linear result;
  result.weight = parts.empty() ? expert_matrices(name, experts, rows, columns)
                                : expert_matrices(name, parts, rows, columns);
  const std::string bias_name = base + ".bias";
  if (bias == Bias::required || (bias == Bias::optional && has_tensor(bias_name))) {
    result.bias = values(found(bias_name, {rows, experts}), experts, rows);
  }
  return result;
}

StateId ProgramBuilder::state(std::string name, std::int64_t kv_head_count, std::int64_t key_size,
                              std::int64_t value_size, std::int64_t window) {
  auto& groups = program_.state_groups;
  const auto group = std::find_if(groups.begin(), groups.end(),
                                  [window](const StateGroup& g) { return g.window == window; });
  StateSpec spec{std::move(name), kv_head_count, key_size, value_size};
  spec.group = static_cast<std::int32_t>(group - groups.begin());
  if (group == groups.end()) groups.push_back({window});
  program_.states.push_back(std::move(spec));
  return {static_cast<std::int32_t>(program_.states.size() - 1)};
}

StateId ProgramBuilder::latent_state(std::string name, std::int64_t latent_size,
                                     std::int64_t turned_size) {
  const StateId id = state(std::move(name), 1, latent_size + turned_size, latent_size);
  program_.states.back().values_in_keys = true;
  return id;
}

std::int32_t ProgramBuilder::rope_table(RopeTable table) {
  program_.rope_tables.push_back(std::move(table));
  return static_cast<std::int32_t>(program_.rope_tables.size() - 1);
}

ValueId ProgramBuilder::new_value(std::string name, Rows rows, std::int64_t columns,
                                  ValueType type) {
  program_.values.push_back({std::move(name), rows, columns, type});
  return {static_cast<std::int32_t>(program_.values.size() - 1)};
}

ValueId ProgramBuilder::embed_rows(std::string name, WeightOperand table) {
  ops::EmbedRows op;
  op.table = table;
  op.out = new_value(std::move(name), Rows::tokens, table.columns.size());
  program_.instructions.emplace_back(op);
  return op.out;
}

ValueId ProgramBuilder::norm(ops::Norm op, std::string name) {
  const Value input = program_.value(op.in);
  op.out = new_value(std::move(name), input.rows, input.columns);
  if (op.group_size == 0) op.group_size = input.columns;
  program_.instructions.emplace_back(op);
  return op.out;
}

ValueId ProgramBuilder::rms_norm(std::string name, ValueId in, WeightOperand weight, double epsilon,
                                 std::int64_t group_size) {
  ops::Norm op;
  op.kind = ops::NormKind::rms;
  op.in = in;
  op.weight = weight;
  op.epsilon = epsilon;
  op.group_size = group_size;
  return norm(op, std::move(name));
}

ValueId ProgramBuilder::layer_norm(std::string name, ValueId in, WeightOperand weight,
                                   WeightOperand bias, double epsilon) {
  ops::Norm op;
  op.kind = ops::NormKind::layer;
  op.in = in;
  op.weight = weight;
  op.bias = bias;
  op.epsilon = epsilon;
  return norm(op, std::move(name));
}

std::vector<ValueId> ProgramBuilder::matmul(const std::vector<std::string>& names, ValueId in,
                                            const std::vector<Linear>& linears) {
  ops::MatMul op;
  op.in = in;
  std::vector<ValueId> outs;
  for (std::size_t i = 0; i < linears.size(); ++i) {
    const ValueId out = new_value(names[i], program_.value(in).rows, linears[i].weight.rows.size());
    op.parts.push_back({linears[i].weight, linears[i].bias, out});
    outs.push_back(out);
  }
  program_.instructions.emplace_back(std::move(op));
  return outs;
}

ValueId ProgramBuilder::matmul(std::string name, ValueId in, const Linear& linear) {
  return matmul(std::vector<std::string>{std::move(name)}, in, {linear}).front();
}

ValueId ProgramBuilder::head(std::string name, ValueId hidden, const Linear& linear) {
  program_.hidden = hidden;
  const ValueId out = new_value(std::move(name), Rows::heads, linear.weight.rows.size());
  ops::MatMul op;
  op.in = hidden;
  op.parts.push_back({linear.weight, linear.bias, out});
  program_.instructions.emplace_back(std::move(op));
  return out;
}

ValueId ProgramBuilder::rope(std::string name, ValueId in, ops::RopeLayout layout,
                             std::int64_t head_size, std::int64_t rotary_size, std::int32_t table,
                             std::int64_t rotary_offset) {
  const Value input = program_.value(in);
  ops::Rope op;
  op.in = in;
  op.out = new_value(std::move(name), input.rows, input.columns);
  op.table = table;
  op.layout = layout;
  op.head_size = head_size;
  op.rotary_size = rotary_size;
  op.rotary_offset = rotary_offset;
  program_.instructions.emplace_back(op);
  return op.out;
}

void ProgramBuilder::state_store(ValueId key, ValueId value, StateId state) {
  program_.instructions.emplace_back(ops::StateStore{key, value, state});
}

ValueId ProgramBuilder::attention(std::string name, ValueId query, StateId state,
                                  std::int64_t head_count, double scale, std::int64_t window,
                                  std::optional<WeightOperand> sinks) {
  ops::Attention op;
  op.window = window;
  op.sinks = sinks;
  op.query = query;
  op.state = state;
  op.head_count = head_count;
  op.scale = scale;
  op.out = new_value(std::move(name), program_.value(query).rows,
                     head_count * program_.state(state).value_size);
  program_.instructions.emplace_back(op);
  return op.out;
}

ValueId ProgramBuilder::latent_attention(std::string name, ops::LatentAttention op) {
  op.out = new_value(std::move(name), program_.value(op.query).rows, op.head_count * op.value_size);
  program_.instructions.emplace_back(op);
  return op.out;
}

ValueId ProgramBuilder::activation(std::string name, ops::ActivationKind kind, ValueId in) {
  const Value input = program_.value(in);
  const ValueId out = new_value(std::move(name), input.rows, input.columns);
  program_.instructions.emplace_back(ops::Activation{kind, in, out});
  return out;
}

ValueId ProgramBuilder::glu(std::string name, ops::ActivationKind kind, ValueId gate, ValueId up,
                            double limit) {
  const Value input = program_.value(up);
  ops::Glu op;
  op.limit = limit;
  op.kind = kind;
  op.gate = gate;
  op.up = up;
  op.out = new_value(std::move(name), input.rows, input.columns);
  program_.instructions.emplace_back(op);
  return op.out;
}

ValueId ProgramBuilder::add(std::string name, ValueId left, ValueId right) {
  const Value input = program_.value(left);
  const ValueId out = new_value(std::move(name), input.rows, input.columns);
  program_.instructions.emplace_back(ops::Add{left, right, out});
  return out;
}

ValueId ProgramBuilder::scale(std::string name, ValueId in, double factor) {
  const Value input = program_.value(in);
  const ValueId out = new_value(std::move(name), input.rows, input.columns);
  program_.instructions.emplace_back(ops::Scale{in, out, factor});
  return out;
}

ValueId ProgramBuilder::select_rows(std::string name, ValueId in) {
  const ValueId out = new_value(std::move(name), Rows::outputs, program_.value(in).columns);
  program_.instructions.emplace_back(ops::SelectRows{in, out});
  return out;
}

ops::Routing ProgramBuilder::route(const std::string& name, ops::Route op) {
  if (program_.experts_used != 0 && program_.experts_used != op.used) {
    fail(ErrorCode::unsupported, file_.path(), ": layers that use ", program_.experts_used, " and ",
         op.used, " experts per token are not supported in one model");
  }
  program_.experts_used = op.used;
  const Rows rows = program_.value(op.logits).rows;
  op.out.experts = new_value(name + "_experts", rows, op.used, ValueType::i32);
  op.out.weights = new_value(name + "_weights", rows, op.used);
  op.out.places = new_value(name + "_places", rows, op.used, ValueType::i32);
  op.out.tokens = new_value(name + "_tokens", assignments_of(rows), 1, ValueType::i32);
  op.out.offsets = new_value(name + "_offsets", Rows::once, program_.value(op.logits).columns + 1,
                             ValueType::i32);
  program_.instructions.emplace_back(op);
  return op.out;
}

std::vector<ValueId> ProgramBuilder::expert_matmul(const std::vector<std::string>& names,
                                                   ValueId in, const ops::Routing& routing,
                                                   const std::vector<Linear>& linears) {
  ops::ExpertMatMul op;
  op.in = in;
  op.routing = routing;
  std::vector<ValueId> outs;
  for (std::size_t i = 0; i < linears.size(); ++i) {
    const ValueId out =
        new_value(names[i], program_.value(routing.tokens).rows, linears[i].weight.rows.size());
    op.parts.push_back({linears[i].weight, linears[i].bias, out});
    outs.push_back(out);
  }
  program_.instructions.emplace_back(std::move(op));
  return outs;
}

ValueId ProgramBuilder::expert_matmul(std::string name, ValueId in, const ops::Routing& routing,
                                      const Linear& linear) {
  return expert_matmul(std::vector<std::string>{std::move(name)}, in, routing, {linear}).front();
}

ValueId ProgramBuilder::expert_combine(std::string name, ValueId in, const ops::Routing& routing) {
  const ValueId out =
      new_value(std::move(name), program_.value(routing.weights).rows, program_.value(in).columns);
  program_.instructions.emplace_back(ops::ExpertCombine{in, routing, out});
  return out;
}

Program ProgramBuilder::finish(ValueId logits) {
  program_.logits = logits;
  std::string unused;
  int count = 0;
  for (const GgufTensor& tensor : file_.tensors()) {
    if (used_.contains(tensor.name)) continue;
    if (++count <= 4) unused += (unused.empty() ? "" : ", ") + tensor.name;
  }
  if (count > 0) {
    fail(ErrorCode::unsupported, file_.path(), ": ", count, " tensor(s) that architecture ",
         program_.architecture, " does not use here (", unused, count > 4 ? ", ..." : "",
         "); this is a variant that would give wrong results");
  }
  check(program_);
  return std::move(program_);
}

}  // namespace ingot::internal
