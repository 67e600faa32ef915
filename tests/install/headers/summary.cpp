// Lists a model's first tensors with their root mean square: what the headers do with nothing
// linked.
#include <cmath>
#include <cstdio>
#include <vector>

#include "ingot/dtype.hpp"
#include "ingot/gguf.hpp"
#include "ingot/gguf_writer.hpp"
#include "ingot/sampler.hpp"

int main(int count, char** arguments) {
  try {
    if (count != 2) ingot::fail(ingot::ErrorCode::invalid_argument, "usage: summary MODEL.gguf");
    const auto file = ingot::GgufFile::open(arguments[1]);
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
