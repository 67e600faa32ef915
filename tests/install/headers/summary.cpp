// Lists a model's first tensors with their root mean square: what the headers do with nothing
// linked. The program reads the file; the headers see bytes.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <ios>
#include <span>
#include <vector>

#include "ingot/dtype.hpp"
#include "ingot/gguf.hpp"
#include "ingot/gguf_writer.hpp"
#include "ingot/sampler.hpp"

namespace {

std::vector<char> read_file(const char* path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  std::vector<char> bytes(static_cast<std::size_t>(in ? std::streamoff(in.tellg()) : 0));
  in.seekg(0);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!in) ingot::fail(ingot::ErrorCode::io, "cannot read '", path, "'");
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count != 2) ingot::fail(ingot::ErrorCode::invalid_argument, "usage: summary MODEL.gguf");
    const auto file = ingot::GgufFile::from_bytes(
        std::as_bytes(std::span<const char>(read_file(arguments[1]))), arguments[1]);
    std::printf("%s\n", file->get<std::string>("general.architecture").c_str());
    for (const ingot::GgufTensor& tensor : file->tensors()) {
      const auto type = tensor.dtype();
      if (!type) continue;
      std::vector<float> row(static_cast<std::size_t>(tensor.columns()));
      double sum = 0;
      ingot::dequantize(*type, tensor.data.first(ingot::row_bytes(*type, tensor.columns())), row);
      for (const float value : row) sum += static_cast<double>(value) * static_cast<double>(value);
      std::printf("%s %s %.6f\n", tensor.name.c_str(), ingot::to_string(*type).data(),
                  std::sqrt(sum / static_cast<double>(row.size())));
    }
    // Written and read again in memory, all is as it was.
    ingot::GgufWriter writer;
    for (const auto& [key, value] : file->metadata()) writer.set(key, value);
    for (const ingot::GgufTensor& tensor : file->tensors()) writer.add_tensor(tensor);
    const auto copy = ingot::GgufFile::from_bytes(writer.to_bytes(), "the copy");
    if (copy->tensors().size() != file->tensors().size() ||
        copy->metadata().size() != file->metadata().size()) {
      ingot::fail(ingot::ErrorCode::internal, "the copy is not the file");
    }

    ingot::SamplerOptions greedy;
    greedy.temperature = 0;
    ingot::SamplerChain sampler(greedy);
    const std::vector<float> logits = {0.5f, 3.0f, -1.0f};
    if (sampler.sample(logits) != 1) ingot::fail(ingot::ErrorCode::internal, "greedy drew another");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "summary: %s\n", error.what());
    return 1;
  }
}
