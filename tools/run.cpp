// ingot run: text from a prompt, streamed.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ingot/generate.hpp"
#include "support/files.hpp"
#include "support/interrupt.hpp"
#include "support/load_options.hpp"
#include "support/numbers.hpp"
#include "support/rope_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct RunArguments {
  std::string model;
  std::optional<std::string> prompt;
  std::string prompt_file;
  std::string fim_prefix_file;
  std::string fim_suffix_file;
  FimOrder fim_order = FimOrder::automatic;
  bool fim_trim = false;
  bool no_special = false;
  std::int64_t max_tokens = 256;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
  // Low temperature and a nucleus of 0.95: the setting that code models are evaluated with for one
  // answer (Chen et al. 2021, arXiv:2107.03374, section 2.1; also used for StarCoder, CodeLlama).
  SamplerOptions sampler{.temperature = 0.2, .top_k = 40, .top_p = 0.95, .min_p = 0};
  LoadOptions load;
  RopeArguments rope;
};

bool fills_in(const RunArguments& arguments) {
  return !arguments.fim_prefix_file.empty() || !arguments.fim_suffix_file.empty();
}

void check(const RunArguments& arguments) {
  const bool fim = fills_in(arguments);
  if (fim && (arguments.fim_prefix_file.empty() || arguments.fim_suffix_file.empty())) {
    throw UsageError("--fim-prefix and --fim-suffix are needed together");
  }
  const int prompts = (arguments.prompt ? 1 : 0) + (arguments.prompt_file.empty() ? 0 : 1) + fim;
  if (prompts != 1) {
    throw UsageError("give one prompt: -p TEXT, -f FILE, or --fim-prefix FILE --fim-suffix FILE");
  }
  if (arguments.fim_prefix_file == "-" && arguments.fim_suffix_file == "-") {
    throw UsageError("only one of --fim-prefix and --fim-suffix can be standard input");
  }
  for (const std::string& stop : arguments.stop) {
    if (stop.empty()) throw UsageError("--stop needs a text that is not empty");
  }
  try {
    SamplerChain::make_parts(arguments.sampler);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

/// The prompt, the limits and the sampler, but for what depends on the loaded model.
GenerateRequest read_request(const RunArguments& arguments) {
  GenerateRequest request;
  if (arguments.prompt) request.prompt = *arguments.prompt;
  if (!arguments.prompt_file.empty()) request.prompt = read_text(arguments.prompt_file);
  request.parse_special = !arguments.no_special;
  if (arguments.max_tokens >= 0) request.max_tokens = arguments.max_tokens;
  request.sampler = arguments.sampler;
  request.sampler.seed = arguments.seed;
  request.stop = arguments.stop;
  return request;
}

void ask_for_middle(const RunArguments& arguments, const Session& session,
                    GenerateRequest& request) {
  FimOptions options;
  options.order = arguments.fim_order;
  options.trim = arguments.fim_trim;
  options.token_limit = session.context();
  // What must be trimmed anyway leaves space to answer in.
  options.trim_reserve = arguments.max_tokens >= 0 ? arguments.max_tokens : 256;
  const auto tokenizer = session.executable().model()->tokenizer();
  FimPrompt prompt = build_fim_prompt(*tokenizer, read_text(arguments.fim_prefix_file),
                                      read_text(arguments.fim_suffix_file), options);
  if (prompt.prefix_tokens_dropped + prompt.suffix_tokens_dropped > 0) {
    note("trimmed   " + std::to_string(prompt.prefix_tokens_dropped) + " tokens of the prefix, " +
         std::to_string(prompt.suffix_tokens_dropped) + " of the suffix");
  }
  request.prompt_ids = std::move(prompt.ids);
  request.stop_ids = std::move(prompt.stop_ids);
}

void report(const GenerateResult& result) {
  warn(result.warnings);
  const GenerateTimings& timings = result.timings;
  note("prompt    " + std::to_string(timings.prompt_tokens) + " tokens, " +
       fixed(timings.prompt_seconds, 3) + " s, " + fixed(timings.prompt_tokens_per_second(), 1) +
       " tokens/s");
  note("generate  " + std::to_string(timings.generated_tokens) + " tokens, " +
       fixed(timings.generate_seconds, 3) + " s, " +
       fixed(timings.generated_tokens_per_second(), 1) + " tokens/s (" +
       std::string(to_string(result.finish_reason)) + ", seed " + std::to_string(result.seed) +
       ")");
}

int run(const RunArguments& arguments) {
  check(arguments);
  const Interrupt interrupt;
  GenerateRequest request = read_request(arguments);
  double load_seconds = 0;
  const auto model = open_model(arguments.model, arguments.load);
  LoadOptions options = arguments.load;
  apply(arguments.rope, *model, options.run);
  const auto executable = load(model, options, interrupt, &load_seconds);
  Session session(executable);
  note("load      " + fixed(load_seconds, 3) + " s, " + plan_line(executable->plan()));
  if (fills_in(arguments)) ask_for_middle(arguments, session, request);

  ProgressBar bar;
  LineEnd line_end;
  GenerateCallbacks callbacks;
  callbacks.cancel = interrupt.cancel();
  callbacks.progress = [&](std::string_view what, std::uint64_t done, std::uint64_t total) {
    bar.update(what, done, total);
  };
  callbacks.on_text = [&](std::string_view text) {
    bar.clear();
    print(text);
    line_end.saw(text);
    return true;
  };
  const GenerateResult result = generate(session, request, callbacks);
  bar.clear();
  line_end.finish();
  report(result);
  return interrupt.requested() ? interrupted_exit_code() : kSuccess;
}

}  // namespace

Command add_run(CLI::App& app) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = app.add_subcommand(
      "run", "Continue a prompt, or fill in the middle; text on stdout, timings on stderr");
  add_model_argument(*command, arguments->model);

  command->add_option("-p,--prompt", arguments->prompt, "Text to continue")->type_name("TEXT");
  command->add_option("-f,--file", arguments->prompt_file, "File to continue; - is stdin")
      ->type_name("FILE");
  command
      ->add_option("--fim-prefix", arguments->fim_prefix_file,
                   "Fill in between this file and that of --fim-suffix")
      ->type_name("FILE");
  command->add_option("--fim-suffix", arguments->fim_suffix_file, "What follows the gap")
      ->type_name("FILE");
  command
      ->add_option("--fim-order", arguments->fim_order,
                   "psm: prefix first; spm: suffix first; auto: as the model has marks for")
      ->transform(CLI::CheckedTransformer(
                      std::vector<std::pair<std::string, FimOrder>>{
                          {"auto", FimOrder::automatic},
                          {"psm", FimOrder::prefix_suffix_middle},
                          {"spm", FimOrder::suffix_prefix_middle}},
                      CLI::ignore_case)
                      .description(""))
      ->type_name("auto|psm|spm");
  command->add_flag(
      "--fim-trim", arguments->fim_trim,
      "Drop the far ends of prefix and suffix when they exceed the context; then room "
      "for -n tokens, at most half the context, stays free for the answer");
  command->add_flag("--no-special", arguments->no_special,
                    "Read the text of special tokens in the prompt as plain text");

  command
      ->add_option("-n,--max-tokens", arguments->max_tokens,
                   "Most tokens to generate; -1: until the model ends or the context is full")
      ->check(whole_number(-1, std::int64_t{1} << 40))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--stop", arguments->stop, "End before this text; may be repeated")
      ->type_name("TEXT")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);

  SamplerOptions& sampler = arguments->sampler;
  const std::string group =
      "Sampling (applied in this order: penalties, top-k, top-p, min-p, temperature)";
  // The ranges are those of SamplerOptions, which check() asks once more.
  const auto number = [&](const std::string& name, auto& value, const CLI::Validator& range,
                          const std::string& help) {
    command->add_option(name, value, help)
        ->group(group)
        ->check(range)
        ->type_name("X")
        ->capture_default_str();
  };
  number("--temp", sampler.temperature, real_number(0, 1e6),
         "Temperature; 0: always the most probable token");
  number("--top-k", sampler.top_k, whole_number(0), "Draw from the K most probable tokens; 0: all");
  number("--top-p", sampler.top_p, real_number(0, 1),
         "Draw from the fewest tokens with this probability; 1: all");
  number("--min-p", sampler.min_p, real_number(0, 1),
         "Drop tokens less probable than this share of the best; 0: none");
  number("--repeat-penalty", sampler.repetition_penalty, real_number(1e-3, 1e3),
         "Penalty on tokens seen; 1: none");
  number("--frequency-penalty", sampler.frequency_penalty, real_number(-1e3, 1e3),
         "Subtracted per occurrence; 0: none");
  number("--presence-penalty", sampler.presence_penalty, real_number(-1e3, 1e3),
         "Subtracted once; 0: none");
  number("--repeat-last-n", sampler.penalty_window, whole_number(-1),
         "Tokens the penalties look back; -1: all");
  add_seed_option(*command, arguments->seed,
                  "Makes the draws repeatable; default, and -1: a random one (the timings name it)")
      ->group(group);

  command
      ->add_option("--ctx", arguments->load.run.context,
                   "Context in tokens; default: the smaller of the model's, 8192 and what fits")
      ->check(whole_number(1, std::int64_t{1} << 40))
      ->type_name("N");
  add_device_options(*command, arguments->load);
  add_cache_options(*command, arguments->load.cache);
  add_rope_options(*command, arguments->rope);
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
