// ingot logits: the logits of every position, for comparing with other engines.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ingot/session.hpp"
#include "support/files.hpp"
#include "support/finite.hpp"
#include "support/interrupt.hpp"
#include "support/load_options.hpp"
#include "support/numbers.hpp"
#include "support/rope_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct LogitsArguments {
  std::string model;
  std::vector<std::string> token_files;
  std::vector<std::string> out_files;
  std::int64_t chunk = 0;
  LoadOptions load;
  RopeArguments rope;
};

/// Without --chunk, a step yields at most so many bytes of logits; they are written before the
/// next.
constexpr std::int64_t kLogitsBytes = std::int64_t{256} << 20;

/// A sequence of the batch on its way from ids to rows of its file.
struct Stream {
  std::vector<TokenId> ids;
  std::size_t done = 0;
  SequenceId sequence;
  FloatFile file;
};

std::vector<std::vector<TokenId>> read_all_ids(const LogitsArguments& arguments,
                                               std::int64_t vocabulary_size) {
  std::vector<std::vector<TokenId>> all;
  for (const std::string& path : arguments.token_files) {
    all.push_back(read_ids(path, vocabulary_size));
  }
  return all;
}

void check(const LogitsArguments& arguments) {
  if (arguments.token_files.size() != arguments.out_files.size()) {
    throw UsageError("--tokens is given " + std::to_string(arguments.token_files.size()) +
                     " times and --out " + std::to_string(arguments.out_files.size()) +
                     "; they go in pairs");
  }
  const std::vector<std::string>& outs = arguments.out_files;
  for (std::size_t i = 0; i < outs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (outs[i] == outs[j] || (!is_stream(outs[i]) && is_same_file(outs[i], outs[j]))) {
        throw UsageError("two --out are the same file, '" + outs[j] + "' and '" + outs[i] + "'");
      }
    }
  }
}

void check_files(const LogitsArguments& arguments, const GgufFile& model) {
  std::vector<InputFile> inputs = model_files(model);
  for (const std::string& path : arguments.token_files) inputs.push_back({"--tokens", path});
  for (const std::string& path : arguments.out_files) require_other_file("--out", path, inputs);
}

int run(const LogitsArguments& arguments) {
  check(arguments);
  const Interrupt interrupt;
  const auto model = open_model(arguments.model, arguments.load);
  check_files(arguments, model->file());
  const std::int64_t vocabulary_size = model->spec().vocabulary_size;
  std::vector<std::vector<TokenId>> all_ids = read_all_ids(arguments, vocabulary_size);

  std::size_t longest = 0;
  std::uint64_t total = 0;
  for (const auto& ids : all_ids) {
    longest = std::max(longest, ids.size());
    total += ids.size();
  }
  const auto count = static_cast<std::int64_t>(all_ids.size());
  LoadOptions options = arguments.load;
  apply(arguments.rope, *model, options.run);
  options.run.context = static_cast<std::int64_t>(longest);
  options.max_sequences = count;
  std::int64_t chunk = arguments.chunk;
  if (chunk == 0) {
    const auto row = static_cast<std::int64_t>(sizeof(float)) * vocabulary_size;
    chunk = std::max<std::int64_t>(1, kLogitsBytes / row / count);
  }
  chunk = std::min(chunk, static_cast<std::int64_t>(longest));
  // A chunk that was asked for is computed together, not split once more.
  if (arguments.chunk != 0)
    options.max_step_tokens = std::max(options.max_step_tokens, chunk * count);
  const auto executable = load(model, options, interrupt);
  Session session(executable);

  std::vector<Stream> streams;
  for (std::size_t i = 0; i < all_ids.size(); ++i) {
    streams.push_back(
        {std::move(all_ids[i]), 0, session.open(), FloatFile(arguments.out_files[i])});
  }
  ProgressBar bar;
  std::uint64_t done = 0;
  while (done < total) {
    std::vector<StepRequest> requests;
    std::vector<Stream*> stepped;
    for (Stream& stream : streams) {
      const auto rest = std::span<const TokenId>(stream.ids).subspan(stream.done);
      if (rest.empty()) continue;
      const auto part = rest.first(std::min(rest.size(), static_cast<std::size_t>(chunk)));
      requests.push_back({stream.sequence, part, Outputs::all()});
      stepped.push_back(&stream);
    }
    const StepResult result = session.step(requests, {.cancel = interrupt.cancel()});
    for (std::size_t i = 0; i < stepped.size(); ++i) {
      const std::size_t rows = requests[i].tokens.size();
      const auto width = static_cast<std::size_t>(result.vocabulary_size());
      const auto first = static_cast<std::size_t>(result.first_row(i));
      for (std::size_t row = 0; row < rows; ++row) {
        require_finite(result.logits(static_cast<std::int64_t>(first + row)),
                       stepped[i]->done + row, arguments.model);
      }
      stepped[i]->file.write(result.values().subspan(first * width, rows * width));
      stepped[i]->done += rows;
      done += rows;
    }
    bar.update("logits", done, total);
  }
  for (Stream& stream : streams) stream.file.commit();
  return kSuccess;
}

}  // namespace

Command add_logits(CLI::App& app) {
  auto arguments = std::make_shared<LogitsArguments>();
  // The accuracy tool: nothing is rounded that need not be.
  arguments->load.cache = {DType::F32, DType::F32};
  CLI::App* command = app.add_subcommand(
      "logits", "Write the logits of each position of token ids, [n, vocabulary] float32");
  add_model_argument(*command, arguments->model);
  const auto files = [&](const std::string& name, std::vector<std::string>& paths,
                         const std::string& help) {
    command->add_option(name, paths, help)
        ->required()
        ->type_name("FILE")
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  files("--tokens", arguments->token_files,
        "int32 ids of a sequence; repeat in pairs with --out: all are stepped as one batch");
  files("--out", arguments->out_files, "Where its logits go");
  command->add_option("--chunk", arguments->chunk, "Step so many tokens of a sequence at a time")
      ->check(whole_number(1, std::int64_t{1} << 30))
      ->type_name("N");
  add_device_options(*command, arguments->load);
  add_cache_options(*command, arguments->load.cache);
  add_rope_options(*command, arguments->rope);
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
