// Writes the seeds of corpus/tokenizer: the smallest complete vocabulary of each kind.
//   ingot_tokenizer_corpus tests/fuzz/corpus/tokenizer
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "ingot/gguf_writer.hpp"

namespace {

/// A code point below 2048 as UTF-8.
std::string utf8(unsigned code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0U | code >> 6U), static_cast<char>(0x80U | (code & 0x3fU))};
}

/// GPT-2's spelling of the 256 bytes: printable Latin-1 stands for itself, the others follow from
/// U+0100 on, in order.
std::vector<std::string> spelled_bytes() {
  std::vector<std::string> spelled;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    spelled.push_back(utf8(printable ? byte : next++));
  }
  return spelled;
}

/// Byte-level BPE: 256 bytes, four merges, marks for the end and for filling in the middle.
void save_byte_level(const std::filesystem::path& folder, const std::string& pre_tokenizer) {
  std::vector<std::string> tokens = spelled_bytes();
  std::vector<std::int32_t> types(tokens.size(), 1);
  for (const char* merged : {"re", "tu", "retu", "12"}) {
    tokens.emplace_back(merged);
    types.push_back(1);
  }
  for (const char* mark : {"<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}) {
    tokens.emplace_back(mark);
    types.push_back(3);
  }
  ingot::GgufWriter writer;
  writer.set("general.architecture", "qwen2");
  writer.set("tokenizer.ggml.model", "gpt2");
  writer.set("tokenizer.ggml.pre", pre_tokenizer);
  writer.set("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.token_type", types);
  writer.set("tokenizer.ggml.merges", std::vector<std::string>{"r e", "t u", "re tu", "1 2"});
  writer.set("tokenizer.ggml.eos_token_id", std::uint32_t{260});
  writer.set("tokenizer.ggml.add_bos_token", false);
  writer.write(folder / ("byte_level_" + pre_tokenizer));
}

/// SentencePiece: the marks, 256 byte tokens, a few pieces and their scores.
void save_sentencepiece(const std::filesystem::path& folder) {
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types{2, 3, 3};
  for (unsigned byte = 0; byte < 256; ++byte) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    tokens.push_back({'<', '0', 'x', kDigits[byte >> 4U], kDigits[byte & 15U], '>'});
    types.push_back(6);
  }
  for (const char* piece : {"\xe2\x96\x81", "a", "e", "r", "re", "aa", "\xe2\x96\x81r", "\n"}) {
    tokens.emplace_back(piece);
    types.push_back(1);
  }
  std::vector<float> scores(tokens.size());
  for (std::size_t id = 259; id < scores.size(); ++id) scores[id] = 259.0F - static_cast<float>(id);
  ingot::GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("tokenizer.ggml.model", "llama");
  writer.set("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.scores", scores);
  writer.set("tokenizer.ggml.token_type", types);
  writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  writer.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  writer.set("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
  writer.write(folder / "sentencepiece");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: ingot_tokenizer_corpus FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (const char* name : {"gpt-2", "llama-bpe", "qwen2", "deepseek-coder"}) {
    save_byte_level(folder, name);
  }
  save_sentencepiece(folder);
  return 0;
}
