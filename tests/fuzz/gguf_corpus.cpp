// Writes the seeds of corpus/gguf: small files that between them use every part of the format.
//   ingot_gguf_corpus tests/fuzz/corpus/gguf
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "ingot/gguf_writer.hpp"
#include "support/gguf_bytes.hpp"

namespace {

using ingot::GgufType;
using ingot::test::GgufBytes;

void save(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

/// One tensor of one block in every storage type.
std::vector<std::byte> every_tensor_type() {
  ingot::GgufWriter writer;
  writer.set("general.alignment", std::uint32_t{8});
  for (const ingot::gguf::TensorType& type : ingot::gguf::kTensorTypes) {
    writer.add_tensor(std::string(type.name), type.id, {type.block_size},
                      std::vector<std::byte>(type.block_bytes, std::byte{0x5a}));
  }
  return writer.to_bytes();
}

/// A vocabulary without tensors.
std::vector<std::byte> vocabulary() {
  ingot::GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("tokenizer.ggml.model", "llama");
  writer.set("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "a", "ab"});
  writer.set("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, -1, -2});
  writer.set("tokenizer.ggml.token_type", std::vector<std::int32_t>{2, 3, 3, 1, 1});
  writer.set("tokenizer.ggml.add_bos_token", true);
  return writer.to_bytes();
}

GgufBytes nested_arrays() {
  GgufBytes bytes;
  bytes.header(0, 1).array("deep", GgufType::array, 2);
  for (int i = 0; i < 2; ++i) {
    bytes.u32(static_cast<std::uint32_t>(GgufType::array)).u64(1);
    bytes.u32(static_cast<std::uint32_t>(GgufType::string)).u64(2).text("x").text("");
  }
  return bytes;
}

GgufBytes split_part() {
  GgufBytes bytes;
  bytes.header(1, 3).scalar("split.no", GgufType::uint16, std::uint16_t{0});
  bytes.scalar("split.count", GgufType::uint16, std::uint16_t{2});
  bytes.scalar("split.tensors.count", GgufType::int32, std::int32_t{2});
  return bytes.tensor("t", {2, 2}, 0, 0).pad().data(16);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: ingot_gguf_corpus FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  save(folder / "every_value_type_v2", ingot::test::every_type_file(2));
  save(folder / "every_value_type_v3", ingot::test::every_type_file(3));
  save(folder / "every_tensor_type", every_tensor_type());
  save(folder / "vocabulary", vocabulary());
  save(folder / "nested_arrays", nested_arrays());
  save(folder / "split_part", split_part());
  save(folder / "nothing", GgufBytes().header(0, 0));
  return 0;
}
