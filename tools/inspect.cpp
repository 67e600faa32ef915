// ingot inspect: what a model file holds, for people (a summary) and scripts (--json).
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "ingot/printable.hpp"
#include "ingot/session.hpp"
#include "support/inspect_json.hpp"
#include "support/load_options.hpp"
#include "support/rope_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct InspectArguments {
  std::string model;
  bool json = false;
  bool program = false;
  std::string device;
  RopeArguments rope;
};

/// What can be said of a file; a vocabulary or an architecture this build does not run leaves gaps,
/// each with its reason.
struct Findings {
  std::shared_ptr<const GgufFile> file;
  std::shared_ptr<const Model> model;
  std::string model_problem;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string tokenizer_problem;
  std::vector<std::pair<DType, std::uint64_t>> cache_bytes_per_token;
};

Findings examine(const std::string& path) {
  Findings findings;
  findings.file = GgufFile::open(path);
  try {
    findings.model = Model::from_file(findings.file);
    LoadOptions options;
    options.device = device_names().front();  // cache sizes are the format's
    findings.cache_bytes_per_token = plan_memory(*findings.model, options).cache_alternatives;
  } catch (const Error& error) {
    findings.model_problem = error.what();
  }
  try {
    findings.tokenizer = Tokenizer::from_gguf(findings.file);
  } catch (const Error& error) {
    findings.tokenizer_problem = error.what();
  }
  return findings;
}

/// A line of the summary: a title in a column, then the text, in which names of the file may be.
std::string line(const std::string& title, const std::string& text) {
  constexpr std::size_t kColumn = 14;
  std::string start = title;
  start.resize(std::max(kColumn, title.size() + 1), ' ');
  return start + printable(text) + '\n';
}

/// `text` with spaces in front up to `width`.
std::string right(const std::string& text, std::size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

std::string human_count(std::uint64_t count) {
  if (count >= 1000000000) return fixed(static_cast<double>(count) * 1e-9, 2) + " B";
  if (count >= 1000000) return fixed(static_cast<double>(count) * 1e-6, 2) + " M";
  return std::to_string(count);
}

std::string describe_spec(const ModelSpec& spec) {
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  // A size that some layers have smaller.
  const auto size = [&](std::int64_t largest, const std::vector<std::int64_t>& layers) {
    if (layers.empty()) return number(largest);
    return number(*std::min_element(layers.begin(), layers.end())) + " to " + number(largest);
  };
  std::string text = line(
      "size", number(spec.layer_count) + " layers, hidden " + number(spec.hidden_size) +
                  ", feed-forward " + size(spec.feed_forward_size, spec.layer_feed_forward_sizes) +
                  ", " + size(spec.head_count, spec.layer_head_counts) + " heads, " +
                  size(spec.kv_head_count, spec.layer_kv_head_counts) + " kv heads, head size " +
                  number(spec.key_size));
  std::string rope =
      "base " + fixed(spec.rope_base, 0) + ", " + number(spec.rotary_size) + " columns of a head";
  const RopeScaling& scaling = spec.rope_scaling;
  if (scaling.kind == RopeScaling::Kind::linear)
    rope += ", linear scaling " + fixed(scaling.factor, 2);
  if (scaling.kind == RopeScaling::Kind::longrope) {
    rope += ", longrope scaling from " + number(scaling.original_context);
  }
  if (scaling.kind == RopeScaling::Kind::yarn) {
    rope +=
        ", YaRN scaling " + fixed(scaling.factor, 2) + " from " + number(scaling.original_context);
  }
  text += line("rope", rope);
  if (spec.expert_count > 0) {
    text += line("experts",
                 number(spec.expert_count) + " per layer, feed-forward " +
                     size(spec.expert_feed_forward_size, spec.layer_expert_feed_forward_sizes) +
                     ", each token uses " + number(spec.expert_used_count));
  }
  text += line("context", number(spec.context_length) + " tokens");
  return text;
}

std::string describe_tokenizer(const Tokenizer& tokenizer) {
  std::string text = line("vocabulary", std::to_string(tokenizer.vocabulary_size()) + " tokens, " +
                                            std::string(tokenizer.model()) + ", pre-tokenizer " +
                                            std::string(tokenizer.pre_tokenizer()) +
                                            (tokenizer.adds_bos() ? ", adds BOS" : "") +
                                            (tokenizer.adds_eos() ? ", adds EOS" : ""));
  std::string special;
  const auto add = [&](const char* name, const std::optional<TokenId>& id) {
    if (!id) return;
    special += (special.empty() ? "" : ", ") + std::string(name) + " " + std::to_string(*id) + " " +
               std::string(tokenizer.raw_text(*id));
  };
  add("bos", tokenizer.bos());
  add("eos", tokenizer.eos());
  add("eot", tokenizer.eot());
  add("eom", tokenizer.eom());
  add("pad", tokenizer.pad());
  const FimTokens& fim = tokenizer.fim();
  add("fim prefix", fim.prefix);
  add("fim suffix", fim.suffix);
  add("fim middle", fim.middle);
  add("fim pad", fim.pad);
  add("repository", fim.repository);
  add("file separator", fim.separator);
  text += line("special", special.empty() ? "none" : special);
  std::string ends;
  for (const TokenId id : tokenizer.end_of_generation()) {
    ends +=
        (ends.empty() ? "" : ", ") + std::to_string(id) + " " + std::string(tokenizer.raw_text(id));
  }
  text += line("generation ends at", ends.empty() ? "no token" : ends);
  return text;
}

std::string describe_tensors(const GgufFile& file) {
  struct Share {
    std::uint64_t tensors = 0;
    std::uint64_t elements = 0;
    std::uint64_t bytes = 0;
  };
  std::map<std::string, Share> shares;
  Share all;
  for (const GgufTensor& tensor : file.tensors()) {
    for (Share* share : {&shares[type_name(tensor)], &all}) {
      ++share->tensors;
      share->elements += static_cast<std::uint64_t>(tensor.element_count());
      share->bytes += tensor.data.size();
    }
  }
  if (shares.empty()) return line("tensors", "none: a vocabulary-only file");
  std::vector<std::pair<std::string, Share>> rows(shares.begin(), shares.end());
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  rows.emplace_back("all", all);
  std::string text = line("type", " tensors      elements         bytes   share  bits each");
  for (const auto& [name, share] : rows) {
    const auto bytes = static_cast<double>(share.bytes);
    text += line(name, right(std::to_string(share.tensors), 8) +
                           right(human_count(share.elements), 14) +
                           right(human_bytes(share.bytes), 14) +
                           right(fixed(100 * bytes / static_cast<double>(all.bytes), 1) + "%", 8) +
                           right(fixed(8 * bytes / static_cast<double>(share.elements), 2), 11));
  }
  return text;
}

/// One sentence for somebody who only wants to know what the file is good for.
std::string in_short(const Findings& findings) {
  const GgufFile& file = *findings.file;
  const ModelSpec& spec = findings.model->spec();
  std::map<std::string, std::uint64_t> bytes_of;
  std::uint64_t bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    bytes_of[type_name(tensor)] += tensor.data.size();
    bytes += tensor.data.size();
  }
  const auto most = std::max_element(bytes_of.begin(), bytes_of.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  std::string text =
      "a " + spec.family + " model of " + human_count(spec.parameter_count) + " parameters";
  if (spec.expert_count > 0) {
    text += ", " + human_count(spec.active_parameter_count) + " active per token";
  }
  if (most != bytes_of.end()) {
    text += ", mostly " + most->first + " (" +
            fixed(8 * static_cast<double>(bytes) / static_cast<double>(spec.parameter_count), 2) +
            " bits each)";
  }
  text += ", for " + std::to_string(spec.context_length) + " tokens of context";
  if (findings.tokenizer) {
    const FimTokens& fim = findings.tokenizer->fim();
    text += fim.prefix && fim.suffix ? ", fills in the middle" : ", cannot fill in the middle";
  }
  const bool chats = file.find("tokenizer.chat_template") != nullptr;
  return text + (chats ? ", has a chat template" : ", has no chat template");
}

std::string summary(const Findings& findings) {
  const GgufFile& file = *findings.file;
  std::string text = line("file", file.path() + ", GGUF version " + std::to_string(file.version()) +
                                      ", " + human_bytes(file.total_bytes()));
  const auto name = file.get_or("general.name", "");
  if (!name.empty()) text += line("name", name);
  text += line("architecture", file.get_or("general.architecture", "not named"));
  if (findings.model) text += line("in short", in_short(findings));
  std::uint64_t parameters = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    parameters += static_cast<std::uint64_t>(tensor.element_count());
  }
  if (parameters != 0) {
    std::string count = human_count(parameters);
    if (findings.model && findings.model->spec().expert_count > 0) {
      count +=
          ", of which a token uses " + human_count(findings.model->spec().active_parameter_count);
    }
    text += line("parameters", count);
  }
  if (findings.model) text += describe_spec(findings.model->spec());
  if (!findings.cache_bytes_per_token.empty()) {
    std::string cache;
    for (const auto& [type, bytes] : findings.cache_bytes_per_token) {
      cache += (cache.empty() ? "" : ", ") + option_name(type) + " " + human_bytes(bytes);
    }
    text += line("cache", cache + " per token");
  }
  if (!findings.model_problem.empty()) text += line("not runnable", findings.model_problem);
  text += findings.tokenizer ? describe_tokenizer(*findings.tokenizer)
                             : line("no tokenizer", findings.tokenizer_problem);
  if (findings.model) {
    for (const std::string& warning : findings.model->warnings()) text += line("warning", warning);
  }
  return text + describe_tensors(file);
}

nlohmann::ordered_json json(const Findings& findings) {
  nlohmann::ordered_json result = to_json(*findings.file);
  if (findings.model) {
    const ModelSpec& spec = findings.model->spec();
    result["model"] = {{"architecture", spec.architecture},
                       {"name", spec.name},
                       {"layer_count", spec.layer_count},
                       {"hidden_size", spec.hidden_size},
                       {"feed_forward_size", spec.feed_forward_size},
                       {"head_count", spec.head_count},
                       {"kv_head_count", spec.kv_head_count},
                       {"key_size", spec.key_size},
                       {"value_size", spec.value_size},
                       {"vocabulary_size", spec.vocabulary_size},
                       {"logit_count", spec.logit_count},
                       {"token_count", spec.token_count},
                       {"context_length", spec.context_length},
                       {"norm_epsilon", spec.norm_epsilon},
                       {"rope_base", spec.rope_base},
                       {"rotary_size", spec.rotary_size},
                       {"family", spec.family},
                       {"expert_count", spec.expert_count},
                       {"expert_used_count", spec.expert_used_count},
                       {"expert_feed_forward_size", spec.expert_feed_forward_size},
                       {"parameter_count", spec.parameter_count},
                       {"active_parameter_count", spec.active_parameter_count}};
    for (const auto& [name, sizes] :
         {std::pair("layer_head_counts", &spec.layer_head_counts),
          std::pair("layer_kv_head_counts", &spec.layer_kv_head_counts),
          std::pair("layer_feed_forward_sizes", &spec.layer_feed_forward_sizes),
          std::pair("layer_expert_feed_forward_sizes", &spec.layer_expert_feed_forward_sizes)}) {
      if (!sizes->empty()) result["model"][name] = *sizes;
    }
    if (!findings.model->warnings().empty()) result["warnings"] = findings.model->warnings();
  }
  if (!findings.cache_bytes_per_token.empty()) {
    nlohmann::ordered_json& cache = result["cache_bytes_per_token"];
    for (const auto& [type, bytes] : findings.cache_bytes_per_token) {
      cache[option_name(type)] = bytes;
    }
  }
  if (!findings.model_problem.empty()) result["not_runnable"] = findings.model_problem;
  return result;
}

int run(const InspectArguments& arguments) {
  if (arguments.json && arguments.program) {
    throw UsageError("--json and --program are two different outputs; give one");
  }
  if (!arguments.device.empty() && !arguments.program) {
    throw UsageError("--device says where the instructions of --program run; give both");
  }
  if (arguments.rope.given() && !arguments.program) {
    throw UsageError("the --rope options change the program that --program prints; give both");
  }
  if (arguments.program) {
    const auto model = Model::open(arguments.model);
    RunOptions options;
    apply(arguments.rope, *model, options);
    std::string text = model->program_text(options, arguments.device);
    if (!text.empty() && text.back() != '\n') text += '\n';
    print(printable_lines(text));
    return kSuccess;
  }
  const Findings findings = examine(arguments.model);
  if (arguments.json) {
    print(json_text(json(findings)));
  } else {
    print(summary(findings));
  }
  return kSuccess;
}

}  // namespace

Command add_inspect(CLI::App& app) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Describe a model file: sizes, types, tokens, memory; or a vocabulary-only file");
  add_model_argument(*command, arguments->model);
  command->add_flag("--json", arguments->json,
                    "All metadata and tensors as JSON; arrays of more than 16 elements are cut and "
                    "their length given");
  command->add_flag("--program", arguments->program,
                    "The instructions that compute the model's logits");
  command
      ->add_option("--device", arguments->device,
                   "With --program: which of them this device runs as one")
      ->check(device_name())
      ->type_name("NAME");
  add_rope_options(*command, arguments->rope);
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
