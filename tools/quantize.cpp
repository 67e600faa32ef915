// ingot quantize: a model file with its matrices in another type.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ingot/dtype.hpp"
#include "ingot/gguf.hpp"
#include "ingot/gguf_writer.hpp"
#include "quantize/conversion.hpp"
#include "support/files.hpp"
#include "support/interrupt.hpp"
#include "support/load_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct QuantizeArguments {
  std::string in;
  std::string out;
  DType type = DType::Q8_0;
  bool requantize = false;
  bool allow_nonfinite = false;
};

/// Types this program encodes to, and the number that general.file_type has for a file of mostly
/// that type (llama.h's llama_ftype, which other tools read).
struct Target {
  DType type;
  std::uint32_t file_type;
};
constexpr std::array kTargets = {Target{DType::F16, 1},   Target{DType::BF16, 32},
                                 Target{DType::Q8_0, 7},  Target{DType::Q4_0, 2},
                                 Target{DType::Q4_K, 14}, Target{DType::Q5_K, 16},
                                 Target{DType::Q6_K, 18}, Target{DType::MXFP4, 38}};

const Target* find_target(std::string_view name) {
  const auto type = parse_dtype(name);
  if (!type) return nullptr;
  const auto found = std::find_if(kTargets.begin(), kTargets.end(),
                                  [&](const Target& target) { return target.type == *type; });
  return found == kTargets.end() ? nullptr : &*found;
}

bool is_float(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

/// The type a tensor is written in: vectors (norms, biases) and an expert router's weights, which
/// are small and decide much, stay as they are; a row that is no multiple of the type's block falls
/// back to Q8_0, and to F16 where that does not divide it either.
std::optional<DType> new_type(const GgufTensor& tensor, DType wanted) {
  const auto type = tensor.dtype();
  if (!type || tensor.shape.size() < 2 || tensor.rows() == 1 ||
      tensor.name.find("ffn_gate_inp") != std::string::npos || !tensor.name.ends_with(".weight")) {
    return std::nullopt;
  }
  for (const DType candidate : {wanted, DType::Q8_0, DType::F16}) {
    if (tensor.columns() % block_size(candidate) != 0) continue;
    return candidate == *type ? std::nullopt : std::optional(candidate);
  }
  return std::nullopt;
}

void copy_metadata(const GgufFile& file, const Target& target, GgufWriter& writer) {
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with("split.")) continue;  // the result is one file
    writer.set(key, value);
  }
  writer.set("general.file_type", target.file_type);
  if (!is_float(target.type)) writer.set("general.quantization_version", std::uint32_t{2});
}

int run(const QuantizeArguments& arguments) {
  const Target& target = *find_target(to_string(arguments.type));
  if (is_stream(arguments.out)) {
    fail(ErrorCode::io, "cannot write '", arguments.out,
         "': it is a device or pipe, and a model file is written in place");
  }
  const Interrupt interrupt;
  const auto file = GgufFile::open(arguments.in);
  require_other_file("OUT", arguments.out, model_files(*file, "IN"));
  GgufWriter writer;
  copy_metadata(*file, target, writer);

  ProgressBar bar;
  std::uint64_t total = 0;
  std::uint64_t done = 0;
  std::uint64_t converted = 0;
  std::uint64_t fallen_back = 0;
  const auto progress = [&](std::uint64_t elements) {
    interrupt.check();
    done += elements;
    bar.update("quantizing", done, total);
  };
  Conversion conversion(arguments.in, arguments.allow_nonfinite, progress);
  for (const GgufTensor& tensor : file->tensors()) {
    total += static_cast<std::uint64_t>(tensor.element_count());
    const auto type = new_type(tensor, target.type);
    if (!type) {
      writer.add_tensor(tensor.name, tensor.type_id, tensor.shape,
                        GgufWriter::Source([&](const GgufWriter::Sink& sink) {
                          const auto own = tensor.dtype();
                          own ? conversion.stream(tensor, *own, sink)
                              : conversion.copy(tensor, sink);
                        }));
      continue;
    }
    if (!is_float(*tensor.dtype()) && !arguments.requantize) {
      fail(ErrorCode::invalid_argument, "tensor '", tensor.name, "' of '", arguments.in,
           "' is already ", to_string(*tensor.dtype()),
           "; quantizing again loses more: start from an F16 or F32 file, or pass "
           "--allow-requantize");
    }
    ++converted;
    if (*type != target.type) ++fallen_back;
    writer.add_tensor(tensor.name, *type, tensor.shape,
                      GgufWriter::Source([&, to = *type](const GgufWriter::Sink& sink) {
                        conversion.stream(tensor, to, sink);
                      }));
  }
  const auto path = output_target(arguments.out);
  writer.write(path);
  bar.clear();
  note("converted " + std::to_string(converted) + " of " + std::to_string(file->tensors().size()) +
       " tensors to " + std::string(to_string(target.type)) +
       (fallen_back == 0 ? ""
                         : " (" + std::to_string(fallen_back) +
                               " of them to a type with smaller blocks, for their row length)") +
       ", the others are kept: " + human_bytes(file->total_bytes()) + " -> " +
       human_bytes(std::filesystem::file_size(path)));
  if (conversion.replaced() > 0) {
    note("replaced " + std::to_string(conversion.replaced()) +
         " elements that were NaN or infinite by 0");
  }
  if (conversion.saturated() > 0) {
    note("replaced " + std::to_string(conversion.saturated()) +
         " elements beyond the type's reach by the nearest it has");
  }
  return kSuccess;
}

}  // namespace

Command add_quantize(CLI::App& app) {
  auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App* command = app.add_subcommand(
      "quantize", "Write a model with its matrices in another type (plain rounding)");
  command->add_option("IN", arguments->in, "GGUF file, best F32, F16 or BF16")
      ->required()
      ->type_name("FILE");
  command->add_option("OUT", arguments->out, "The file to make")->required()->type_name("FILE");
  std::string names;
  for (const Target& target : kTargets) {
    names += (names.empty() ? "" : "|") + std::string(to_string(target.type));
  }
  command
      ->add_option_function<std::string>(
          "--type",
          [arguments, names](const std::string& name) {
            const Target* target = find_target(name);
            if (target == nullptr) {
              throw CLI::ValidationError("--type", "'" + name + "' is none of " + names);
            }
            arguments->type = target->type;
          },
          names)
      ->required()
      ->type_name("TYPE");
  command->add_flag("--allow-requantize", arguments->requantize,
                    "Also convert matrices that are quantized already");
  command->add_flag("--allow-nonfinite", arguments->allow_nonfinite,
                    "Replace NaN and infinities by 0, what the type cannot hold by its nearest "
                    "number, and say how many; without, they are refused");
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
