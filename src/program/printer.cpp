// A program as text. Knows operands and attributes, no instruction by name.
#include <sstream>

#include "src/program/program.hpp"

namespace ingot::internal {
namespace {

std::string_view rows_name(Rows rows) {
  switch (rows) {
    case Rows::tokens: return "tokens";
    case Rows::outputs: return "outputs";
    case Rows::heads: return "heads";
    case Rows::assignments: return "assignments";
    case Rows::output_assignments: return "output assignments";
    case Rows::once: return "1";
  }
  return "?";
}

void print_weight(std::ostream& out, const Program& program, const WeightOperand& weight) {
  const Tensor& tensor = program.tensor(weight.tensor);
  out << tensor.name << ":" << to_string(tensor.type) << "[";
  const auto range = [&out](const Range& part, std::int64_t whole) {
    if (part.begin == 0 && part.end == whole) {
      out << whole;
    } else {
      out << part.begin << ":" << part.end;
    }
  };
  if (tensor.experts > 1) {
    range(weight.experts, tensor.experts);
    out << ", ";
  }
  range(weight.rows, tensor.rows);
  out << ", ";
  range(weight.columns, tensor.columns);
  out << "]";
}

void print_instruction(std::ostream& out, const Program& program, const Instruction& instruction) {
  const Operands used = operands(instruction);
  const char* separator = "";
  for (const ValueId id : used.writes) {
    const Value& value = program.value(id);
    out << separator << value.name << (value.type == ValueType::i32 ? ":i32[" : "[")
        << rows_name(value.rows) << ", " << value.columns << "]";
    separator = ", ";
  }
  for (const StateId id : used.writes_states) {
    out << separator << "@" << program.state(id).name;
    separator = ", ";
  }
  out << " = " << name_of(instruction) << "(";
  separator = "";
  for (const ValueId id : used.reads) {
    out << separator << program.value(id).name;
    separator = ", ";
  }
  for (const StateId id : used.reads_states) {
    out << separator << "@" << program.state(id).name;
    separator = ", ";
  }
  for (const WeightOperand& weight : used.weights) {
    out << separator;
    print_weight(out, program, weight);
    separator = ", ";
  }
  out << ")";
  std::ostringstream attributes;
  std::visit([&](const auto& op) { print_attributes(attributes, op); }, instruction);
  if (!attributes.str().empty()) out << " {" << attributes.str() << "}";
}

}  // namespace

std::string to_string(const Program& program, std::span<const Range> fused) {
  std::ostringstream out;
  out << "program " << program.architecture << ": context " << program.context << ", "
      << program.instructions.size() << " instructions, " << program.values.size() << " values, "
      << program.tensors.size() << " tensors, " << program.states.size() << " states\n";
  for (std::size_t i = 0; i < program.rope_tables.size(); ++i) {
    const RopeTable& table = program.rope_tables[i];
    out << "rope table " << i << ": " << table.inverse_frequencies.size() << " pairs, frequencies "
        << table.inverse_frequencies.front() << " .. " << table.inverse_frequencies.back()
        << ", magnitude " << table.magnitude << "\n";
  }
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    while (!fused.empty() && fused.front().end <= index) fused = fused.subspan(1);
    out << i;
    if (!fused.empty() && fused.front().begin < index)
      out << " (with " << fused.front().begin << ")";
    out << ": ";
    print_instruction(out, program, program.instructions[i]);
    out << "\n";
  }
  return out.str();
}

}  // namespace ingot::internal
