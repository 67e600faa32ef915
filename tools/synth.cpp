// ingot synth: a model file of a published shape with random weights, to measure speed with.
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ingot/gguf_writer.hpp"
#include "support/files.hpp"
#include "support/interrupt.hpp"
#include "support/numbers.hpp"
#include "support/terminal.hpp"
#include "synth/random_weights.hpp"
#include "synth/shapes.hpp"
#include "synth/type_mix.hpp"
#include "synth/vocabulary.hpp"

namespace ingot::tools {
namespace {

struct SynthArguments {
  const Shape* shape = nullptr;
  std::string out;
  const TypeMix* mix = find_mix("Q4_K_M");
  std::int64_t layers = 0;      ///< 0: the shape's own
  std::int64_t vocabulary = 0;  ///< 0: the shape's own
  std::int64_t experts = 0;     ///< 0: the shape's own
  std::optional<std::uint64_t> seed = 1;
  bool list = false;
};

std::string gigabytes(std::uint64_t bytes) {
  return fixed(static_cast<double>(bytes) / 1e9, 2);
}

std::string shape_names() {
  std::string names;
  for (const Shape& shape : shapes()) names.append(names.empty() ? "" : ", ").append(shape.name);
  return names;
}

/// `text` in a column: padded on the right, or on the left for numbers.
std::string column(std::string text, std::size_t width, bool number = true) {
  if (text.size() < width) text.insert(number ? 0 : text.size(), width - text.size(), ' ');
  return text;
}

void print_shapes() {
  const std::vector<const TypeMix*> mixes = {find_mix("Q4_K_M"), find_mix("Q5_K_M"),
                                             find_mix("Q6_K"), find_mix("Q8_0"), find_mix("F16")};
  std::string text = column("shape", 24, false) + column("architecture", 13, false) +
                     column("layers", 6) + column("hidden", 8) + column("parameters", 14) +
                     column("active", 14);
  for (const TypeMix* mix : mixes) text += column(std::string(mix->name), 8);
  text += "\n";
  for (const Shape& shape : shapes()) {
    text += column(std::string(shape.name), 24, false) +
            column(std::string(shape.architecture), 13, false) +
            column(std::to_string(shape.layer_count), 6) +
            column(std::to_string(shape.hidden_size), 8) +
            column(std::to_string(parameter_count(shape)), 14) +
            column(std::to_string(active_parameter_count(shape)), 14);
    for (const TypeMix* mix : mixes) text += column(gigabytes(weight_bytes(*mix, shape)), 8);
    text += "\n";
  }
  print(text + "Sizes in GB (10^9 bytes), for --type " + mix_names() + "\n");
}

void write_metadata(const Shape& shape, const TypeMix& mix, GgufWriter& writer) {
  const std::string prefix = std::string(shape.architecture) + ".";
  const auto set_count = [&](const char* key, std::int64_t value) {
    writer.set(prefix + key, static_cast<std::uint32_t>(value));
  };
  writer.set("general.architecture", shape.architecture);
  writer.set("general.name", std::string(shape.name) + " (random weights)");
  writer.set("general.file_type", mix.file_type);
  if (block_size(mix.base) > 1) writer.set("general.quantization_version", std::uint32_t{2});
  set_count("block_count", shape.layer_count);
  set_count("context_length", shape.context_length);
  set_count("embedding_length", shape.hidden_size);
  set_count("feed_forward_length", shape.feed_forward_size);
  set_count("attention.head_count", shape.head_count);
  set_count("attention.head_count_kv", shape.kv_head_count);
  const LatentShape& latent = shape.latent;
  set_count("rope.dimension_count", latent.rank > 0 ? latent.turned_size : shape.head_size);
  set_count("vocab_size", shape.vocabulary_size);
  const bool layer_norms = shape.block == Block::layer_norm;
  writer.set(
      prefix + (layer_norms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"),
      static_cast<float>(shape.norm_epsilon));
  writer.set(prefix + "rope.freq_base", static_cast<float>(shape.rope_base));
  if (shape.rope_linear != 1) {
    writer.set(prefix + "rope.scaling.type", "linear");
    writer.set(prefix + "rope.scaling.factor", static_cast<float>(shape.rope_linear));
  }
  if (shape.yarn_factor != 1) {
    writer.set(prefix + "rope.scaling.type", "yarn");
    writer.set(prefix + "rope.scaling.factor", static_cast<float>(shape.yarn_factor));
    set_count("rope.scaling.original_context_length", shape.yarn_context);
  }
  if (shape.head_size != shape.hidden_size / shape.head_count) {
    set_count("attention.key_length", shape.head_size);
    set_count("attention.value_length", latent.rank > 0 ? latent.value_size : shape.head_size);
  }
  if (latent.rank > 0) {
    set_count("attention.kv_lora_rank", latent.rank);
    writer.set(prefix + "rope.scaling.yarn_log_multiplier",
               static_cast<float>(latent.yarn_log_multiplier));
  }
  if (shape.window > 0) set_count("attention.sliding_window", shape.window);
  if (shape.experts.count > 0) {
    set_count("expert_count", shape.experts.count);
    set_count("expert_used_count", shape.experts.used);
    set_count("expert_feed_forward_length", shape.experts.feed_forward_size);
  }
  if (shape.experts.dense_layers > 0) {
    set_count("leading_dense_block_count", shape.experts.dense_layers);
  }
  if (shape.experts.shared_count > 0) {
    set_count("expert_shared_count", shape.experts.shared_count);
  } else if (shape.experts.shared_size > 0) {
    set_count("expert_shared_feed_forward_length", shape.experts.shared_size);
  }
  write_vocabulary(writer, shape.family, shape.vocabulary_size);
}

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

/// Norms leave the scale alone; biases are small beside products of variance 1.
std::vector<float> vector_values(const Shape& shape, const TensorShape& tensor,
                                 const RandomWeights& weights, std::uint64_t number) {
  constexpr double kBiasDeviation = 0.1;
  const auto count = static_cast<std::size_t>(tensor.element_count());
  if (tensor.role == Role::rope_factors) return llama3_rope_factors(shape);
  if (tensor.role == Role::bias) return weights.normal(count, kBiasDeviation, number);
  if (tensor.role == Role::router) {  // of the shared expert: one row
    return weights.normal(count, 1 / std::sqrt(static_cast<double>(count)), number);
  }
  return std::vector<float>(count, 1.0F);
}

void check_space(const std::filesystem::path& path, std::uint64_t bytes) {
  std::error_code unknown;
  const auto folder = path.parent_path().empty() ? "." : path.parent_path();
  const auto space = std::filesystem::space(folder, unknown);
  if (!unknown && space.available < bytes) {
    fail(ErrorCode::io, "cannot write '", path.string(), "': it takes ", human_bytes(bytes),
         " and the disk has ", human_bytes(space.available),
         " free; make room, or choose a smaller --type or fewer --layers");
  }
}

/// The shape with what the command line changes about it.
Shape wanted_shape(const SynthArguments& arguments) {
  Shape shape = *arguments.shape;
  if (arguments.layers != 0) shape.layer_count = arguments.layers;
  if (arguments.vocabulary != 0) shape.vocabulary_size = arguments.vocabulary;
  if (arguments.experts != 0) {
    if (arguments.experts < shape.experts.used || shape.experts.count == 0) {
      throw UsageError("--experts must be at least the " + std::to_string(shape.experts.used) +
                       " that a token of " + std::string(shape.name) + " uses" +
                       (shape.experts.count == 0 ? "; it has no experts" : ""));
    }
    shape.experts.count = arguments.experts;
  }
  if (shape.vocabulary_size < least_vocabulary(shape.family)) {
    throw UsageError("--vocabulary must be at least " +
                     std::to_string(least_vocabulary(shape.family)) +
                     ", the bytes and the special tokens of " + std::string(shape.name));
  }
  return shape;
}

int run(const SynthArguments& arguments) {
  if (arguments.list) {
    print_shapes();
    return kSuccess;
  }
  if (arguments.shape == nullptr || arguments.out.empty()) {
    throw UsageError("SHAPE and OUT are required, or --list");
  }
  const Interrupt interrupt;
  const Shape shape = wanted_shape(arguments);
  const TypeMix& mix = *arguments.mix;
  const auto path = output_target(arguments.out);
  const std::uint64_t total = weight_bytes(mix, shape);
  check_space(path, total);

  GgufWriter writer;
  write_metadata(shape, mix, writer);
  const std::uint64_t seed = arguments.seed ? *arguments.seed : draw_seed();
  RandomWeights weights(seed);
  ProgressBar bar;
  std::uint64_t done = 0;
  const auto progress = [&](std::uint64_t bytes) {
    interrupt.check();
    done += bytes;
    bar.update("writing", done, total);
  };
  std::uint64_t number = 0;
  for (const TensorShape& tensor : tensors_of(shape)) {
    ++number;
    const DType type = tensor_type(mix, shape, tensor);
    const std::int64_t columns = tensor.shape.front();
    if (tensor.shape.size() == 1 || tensor.role == Role::bias) {
      writer.add_tensor(tensor.name, type, tensor.shape,
                        bytes_of(vector_values(shape, tensor, weights, number)));
      continue;
    }
    const std::uint64_t bytes =
        row_bytes(type, columns) * (tensor.element_count() / static_cast<std::uint64_t>(columns));
    writer.add_tensor(tensor.name, type, tensor.shape,
                      GgufWriter::Source([=, &weights, &progress](const GgufWriter::Sink& sink) {
                        weights.stream(type, columns, bytes, number, sink, progress);
                      }));
  }
  const auto start = std::chrono::steady_clock::now();
  writer.write(path);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  bar.clear();
  note("wrote " + path.string() + ": " + std::string(shape.name) + " " + std::string(mix.name) +
       ", " + std::to_string(parameter_count(shape)) + " parameters, " +
       human_bytes(std::filesystem::file_size(path)) + ", seed " + std::to_string(seed) + ", in " +
       fixed(seconds.count(), 1) + " s (" +
       fixed(static_cast<double>(total) / 1e6 / seconds.count(), 0) + " MB/s)");
  return kSuccess;
}

}  // namespace

Command add_synth(CLI::App& app) {
  auto arguments = std::make_shared<SynthArguments>();
  CLI::App* command =
      app.add_subcommand("synth", "Write a model of a published shape with random weights");
  command
      ->add_option_function<std::string>(
          "SHAPE",
          [arguments](const std::string& name) {
            arguments->shape = find_shape(name);
            if (arguments->shape == nullptr) {
              throw CLI::ValidationError("SHAPE", "'" + name + "' is none of " + shape_names());
            }
          },
          "One of those that --list prints")
      ->type_name("NAME");
  command->add_option("OUT", arguments->out, "The file to make")->type_name("FILE");
  command
      ->add_option_function<std::string>(
          "--type",
          [arguments](const std::string& name) {
            arguments->mix = find_mix(name);
            if (arguments->mix == nullptr) {
              throw CLI::ValidationError("--type", "'" + name + "' is none of " + mix_names());
            }
          },
          mix_names() + ", mixed as llama.cpp's quantizer does (default Q4_K_M)")
      ->type_name("TYPE");
  command->add_option("--layers", arguments->layers, "Layers, instead of the shape's own")
      ->check(whole_number(1, 1000));
  command
      ->add_option("--vocabulary", arguments->vocabulary,
                   "Tokens in the made-up vocabulary, instead of the shape's own")
      ->check(whole_number(1, 1 << 24));
  command
      ->add_option("--experts", arguments->experts, "Experts per layer, instead of the shape's own")
      ->check(whole_number(1, 4096));
  add_seed_option(*command, arguments->seed,
                  "Of the random weights; -1: one drawn at random, which is printed")
      ->default_str("1");
  command->add_flag("--list", arguments->list,
                    "Print the shapes, their parameters (all, and those a token uses) and sizes");
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
