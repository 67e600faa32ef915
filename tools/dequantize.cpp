// ingot dequantize: a tensor's elements as float32.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ingot/dtype.hpp"
#include "ingot/gguf.hpp"
#include "support/files.hpp"
#include "support/interrupt.hpp"
#include "support/load_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct DequantizeArguments {
  std::string model;
  std::string tensor;
  std::string out;
};

int run(const DequantizeArguments& arguments) {
  const Interrupt interrupt;
  const auto file = GgufFile::open(arguments.model);
  const GgufTensor* tensor = file->find_tensor(arguments.tensor);
  if (tensor == nullptr) {
    fail(ErrorCode::invalid_argument, "'", arguments.model, "' has no tensor '", arguments.tensor,
         "'; ingot inspect --json lists its ", file->tensors().size(), " tensors");
  }
  const auto type = tensor->dtype();
  if (!type) {
    fail(ErrorCode::unsupported, "tensor '", arguments.tensor, "' is stored as type ",
         tensor->type_id, ", which this library does not decode");
  }
  require_other_file("--out", arguments.out, model_files(*file));
  FloatFile out(arguments.out);
  constexpr std::size_t kBlocks = 4096;  // at most 4 MiB of floats at a time
  const auto elements = static_cast<std::size_t>(block_size(*type));
  const auto bytes = static_cast<std::size_t>(block_bytes(*type));
  std::vector<float> values(kBlocks * elements);
  for (std::span<const std::byte> rest = tensor->data; !rest.empty();) {
    interrupt.check();
    const std::size_t blocks = std::min(kBlocks, rest.size() / bytes);
    const std::span<float> part = std::span(values).first(blocks * elements);
    dequantize(*type, rest.first(blocks * bytes), part);
    out.write(part);
    rest = rest.subspan(blocks * bytes);
  }
  out.commit();
  std::string shape;
  for (const std::int64_t size : tensor->shape) {
    shape += (shape.empty() ? "" : " x ") + std::to_string(size);
  }
  note(arguments.tensor + ": " + std::string(to_string(*type)) + ", " + shape +
       " (columns first), " + std::to_string(tensor->element_count()) + " elements");
  return kSuccess;
}

}  // namespace

Command add_dequantize(CLI::App& app) {
  auto arguments = std::make_shared<DequantizeArguments>();
  CLI::App* command = app.add_subcommand("dequantize", "Write a tensor as float32, row after row");
  add_model_argument(*command, arguments->model);
  command->add_option("--tensor", arguments->tensor, "Its name, e.g. blk.0.attn_k.weight")
      ->required()
      ->type_name("NAME");
  command->add_option("--out", arguments->out, "Where the elements go")
      ->required()
      ->type_name("FILE");
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
