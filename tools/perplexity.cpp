// ingot perplexity: how well a model predicts a text, counted as llama-perplexity counts it.
//
// The text is cut into windows of --ctx ids that do not overlap; what remains at the end is
// dropped. Each window is a sequence of its own, its first id replaced by BOS if the file asks for
// one. Ids ctx/2 + 1 to ctx - 1 are scored, each predicted from all before it in the window: ctx -
// ctx/2 - 1 scores per window. perplexity = exp(mean of -log p); the number behind +/- is its
// standard error, the scores taken as independent.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "ingot/sampler/log_probability.hpp"
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

struct PerplexityArguments {
  std::string model;
  std::string file;
  std::int64_t window = 512;
  std::int64_t window_limit = 0;
  LoadOptions load;
  RopeArguments rope;
};

/// Logits held at a time: the scored half of a long window is stepped in parts.
constexpr std::int64_t kLogitsBytes = std::int64_t{256} << 20;

struct Scores {
  double sum = 0;         ///< of -log p
  double square_sum = 0;  ///< of (log p)^2
  std::int64_t count = 0;

  void add(double log_probability) {
    sum -= log_probability;
    square_sum += log_probability * log_probability;
    ++count;
  }
  double perplexity() const { return std::exp(sum / static_cast<double>(count)); }
  double standard_error() const {
    if (count < 2) return 0;
    const double mean = sum / static_cast<double>(count);
    const double variance = std::max(0.0, square_sum / static_cast<double>(count) - mean * mean);
    return perplexity() * std::sqrt(variance / static_cast<double>(count - 1));
  }
};

std::vector<TokenId> read_tokens(const PerplexityArguments& arguments, const Tokenizer& tokenizer) {
  std::vector<TokenId> ids =
      tokenizer.encode(read_text(arguments.file), {.add_special = true, .parse_special = false});
  if (tokenizer.adds_eos() && !ids.empty() && ids.back() == tokenizer.eos()) ids.pop_back();
  return ids;
}

void score_window(Session& session, SequenceId sequence, std::span<const TokenId> window,
                  const std::string& model, const Interrupt& interrupt, Scores& scores) {
  session.rewind(sequence, 0);
  const std::size_t first = window.size() / 2;
  const StepOptions options{.cancel = interrupt.cancel()};
  session.step({{sequence, window.first(first), Outputs::none()}}, options);
  const std::int64_t row = static_cast<std::int64_t>(sizeof(float)) *
                           session.executable().model()->spec().vocabulary_size;
  const auto part = static_cast<std::size_t>(std::max<std::int64_t>(1, kLogitsBytes / row));
  // The last id is predicted but predicts nothing.
  for (std::size_t start = first; start + 1 < window.size(); start += part) {
    const std::size_t count = std::min(part, window.size() - 1 - start);
    const StepResult result =
        session.step({{sequence, window.subspan(start, count), Outputs::all()}}, options);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const float> logits = result.logits(static_cast<std::int64_t>(i));
      require_finite(logits, start + i, model);
      const TokenId next = window[start + i + 1];
      scores.add(log_probabilities(logits, next).chosen.log_probability);
    }
  }
}

int run(const PerplexityArguments& arguments) {
  const Interrupt interrupt;
  const auto model = open_model(arguments.model, arguments.load);
  const auto tokenizer = model->tokenizer();
  std::vector<TokenId> ids = read_tokens(arguments, *tokenizer);
  const auto window = static_cast<std::size_t>(arguments.window);
  std::size_t count = ids.size() / window;
  if (count == 0) {
    fail(ErrorCode::invalid_argument, "'", arguments.file, "' has ", ids.size(),
         " tokens, fewer than one window of ", window, "; give a longer text or a smaller --ctx");
  }
  if (arguments.window_limit > 0) {
    count = std::min(count, static_cast<std::size_t>(arguments.window_limit));
  }

  LoadOptions options = arguments.load;
  apply(arguments.rope, *model, options.run);
  options.run.context = arguments.window;
  const auto executable = load(model, options, interrupt);
  note("load        " + plan_line(executable->plan()));
  Session session(executable);
  const SequenceId sequence = session.open();
  const auto start = std::chrono::steady_clock::now();
  Scores scores;
  ProgressBar bar;
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<TokenId> part = std::span(ids).subspan(i * window, window);
    if (tokenizer->adds_bos() && tokenizer->bos()) part.front() = *tokenizer->bos();
    score_window(session, sequence, part, arguments.model, interrupt, scores);
    bar.update("perplexity " + fixed(scores.perplexity(), 4), i + 1, count);
  }
  bar.clear();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  note("evaluate    " + std::to_string(count * window) + " tokens, " + fixed(seconds, 3) + " s, " +
       fixed(static_cast<double>(count * window) / seconds, 1) + " tokens/s");
  print("perplexity " + fixed(scores.perplexity(), 4) + " +/- " +
        fixed(scores.standard_error(), 4) + " (" + std::to_string(count) + " windows of " +
        std::to_string(window) + ", " + std::to_string(scores.count) + " tokens scored of " +
        std::to_string(ids.size()) + ")\n");
  return kSuccess;
}

}  // namespace

Command add_perplexity(CLI::App& app) {
  auto arguments = std::make_shared<PerplexityArguments>();
  CLI::App* command =
      app.add_subcommand("perplexity", "Perplexity of a text, counted as llama-perplexity counts");
  command->footer(
      "Prints one line: perplexity P +/- E (W windows of C, S tokens scored of T).\nWindows of C "
      "tokens do not overlap, the tail is dropped, the second half of each is scored;\nE is the "
      "standard error.");
  add_model_argument(*command, arguments->model);
  command->add_option("--file", arguments->file, "The text; - is stdin")
      ->required()
      ->type_name("TEXT");
  command->add_option("--ctx", arguments->window, "Tokens of a window")
      ->check(whole_number(4, std::int64_t{1} << 30))
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--windows", arguments->window_limit, "Only the first N windows; default: all")
      ->check(whole_number(1, std::int64_t{1} << 40))
      ->type_name("N");
  add_device_options(*command, arguments->load);
  add_cache_options(*command, arguments->load.cache);
  add_rope_options(*command, arguments->rope);
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
