// ingot tokenize: text to ids, or ids to text.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "ingot/gguf.hpp"
#include "ingot/tokenizer.hpp"
#include "support/files.hpp"
#include "support/load_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

struct TokenizeArguments {
  std::string model;
  std::string file;
  bool no_bos = false;
  bool no_special = false;
  bool no_normalize = false;
  bool decode = false;
};

/// Decimal numbers separated by white space; nothing if the text is anything else.
std::optional<std::vector<TokenId>> parse_ids(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::vector<TokenId> ids;
  while (true) {
    const std::size_t start = text.find_first_not_of(kSpace);
    if (start == std::string_view::npos) return ids;
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

/// The text of ids; the BOS and EOS that encoding adds are taken off again.
std::string text_of(const Tokenizer& tokenizer, std::vector<TokenId> ids, bool added_marks) {
  if (added_marks) {
    if (tokenizer.adds_bos() && !ids.empty() && ids.front() == tokenizer.bos()) {
      ids.erase(ids.begin());
    }
    if (tokenizer.adds_eos() && !ids.empty() && ids.back() == tokenizer.eos()) ids.pop_back();
  }
  return tokenizer.decode(ids);
}

std::string joined(const std::vector<TokenId>& ids) {
  std::string line;
  for (const TokenId id : ids) {
    if (!line.empty()) line += ' ';
    line += std::to_string(id);
  }
  return line + '\n';
}

int run(const TokenizeArguments& arguments) {
  const auto tokenizer = Tokenizer::from_gguf(GgufFile::open(arguments.model));
  const std::string text = read_text(arguments.file);
  if (arguments.decode) {
    if (const auto ids = parse_ids(text)) {
      print(text_of(*tokenizer, *ids, !arguments.no_bos));
      return kSuccess;
    }
    note("'" + arguments.file + "' is text, not ids: it is encoded and decoded again");
  }
  const std::vector<TokenId> ids = tokenizer->encode(text, {.add_special = !arguments.no_bos,
                                                            .parse_special = !arguments.no_special,
                                                            .normalize = !arguments.no_normalize});
  if (!arguments.no_bos && tokenizer->doubles_bos(ids)) {
    warn(
        {"the text begins with BOS, and the model's file asks for one more in front of it: leave "
         "it out of the text, or give --no-bos"});
  }
  print(arguments.decode ? text_of(*tokenizer, ids, !arguments.no_bos) : joined(ids));
  return kSuccess;
}

}  // namespace

Command add_tokenize(CLI::App& app) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* command = app.add_subcommand("tokenize", "Print the ids of a text, or the text of ids");
  add_model_argument(*command, arguments->model);
  command->add_option("--file", arguments->file, "Text, or ids with --decode; - is stdin")
      ->required()
      ->type_name("FILE");
  command->add_flag("--no-bos", arguments->no_bos, "Add no BOS and no EOS");
  command->add_flag("--no-special", arguments->no_special,
                    "Read the text of special tokens as plain text");
  command->add_flag(
      "--no-normalize", arguments->no_normalize,
      "Keep the text's bytes, where the model's tokenizer brings it to form C or reads "
      "U+2581 as a space");
  command->add_flag("--decode", arguments->decode,
                    "FILE has ids separated by white space: print their text (without the BOS and "
                    "EOS that encoding adds). A FILE that is not ids is encoded and decoded again");
  return {command, [arguments] { return run(*arguments); }};
}

}  // namespace ingot::tools
