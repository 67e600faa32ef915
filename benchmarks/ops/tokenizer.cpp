// Encoding speed: source code through every vocabulary of the fixtures, and a megabyte of one
// repeated character, which must not be slower than n log n.
//   ./dev bench tokenizer
// INGOT_BENCH_TEXT names a text to use instead of this project's sources; INGOT_FIXTURES the golden
// data. The text is cut to 8 MB: longer ones measure the memory for the ids.
#include "ingot/tokenizer.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr ingot::EncodeOptions kPlain{.add_special = false, .parse_special = true};
constexpr std::size_t kMostBytes = 8'000'000;

fs::path project() {
  return fs::path(__FILE__).parent_path().parent_path().parent_path();
}

fs::path vocabularies() {
  const char* moved = std::getenv("INGOT_FIXTURES");
  return (moved != nullptr ? fs::path(moved) : project() / ".." / "shared" / "fixtures") /
         "tokenizers";
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::string& source_code() {
  static const std::string text = [] {
    if (const char* path = std::getenv("INGOT_BENCH_TEXT")) return read(path).substr(0, kMostBytes);
    std::vector<fs::path> paths;
    for (const char* folder : {"include", "quant", "src", "cpu", "tests", "tools", "benchmarks"}) {
      std::error_code ignored;
      for (const auto& entry : fs::recursive_directory_iterator(project() / folder, ignored)) {
        const auto ending = entry.path().extension();
        if (ending == ".cpp" || ending == ".hpp" || ending == ".py") paths.push_back(entry.path());
      }
    }
    std::sort(paths.begin(), paths.end());
    std::string all;
    for (const fs::path& path : paths) all += read(path);
    return all.substr(0, kMostBytes);
  }();
  return text;
}

void encode(benchmark::State& state, const std::shared_ptr<const ingot::Tokenizer>& tokenizer,
            const std::string& text) {
  std::size_t ids = 0;
  for (auto _ : state) {
    const auto result = tokenizer->encode(text, kPlain);
    ids = result.size();
    benchmark::DoNotOptimize(result.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
  state.counters["bytes_per_id"] = static_cast<double>(text.size()) / static_cast<double>(ids);
}

void load(benchmark::State& state, const std::shared_ptr<const ingot::GgufFile>& file) {
  for (auto _ : state) benchmark::DoNotOptimize(ingot::Tokenizer::from_gguf(file));
}

void register_vocabulary(const fs::path& path) {
  const auto file = ingot::GgufFile::open(path);
  const auto tokenizer = ingot::Tokenizer::from_gguf(file);
  const std::string name = path.stem().string();
  using benchmark::RegisterBenchmark;
  const auto add = [&](const std::string& title, const std::string& text) {
    RegisterBenchmark((title + "/" + name).c_str(), [tokenizer, text](benchmark::State& state) {
      encode(state, tokenizer, text);
    })->Unit(benchmark::kMillisecond);
  };
  add("source_code", source_code());
  add("megabyte_of_a", std::string(1'000'000, 'a'));
  add("megabyte_of_space", std::string(1'000'000, ' '));
  RegisterBenchmark(("load/" + name).c_str(), [file](benchmark::State& state) {
    load(state, file);
  })->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(vocabularies(), ignored)) {
    if (entry.path().extension() == ".gguf") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  if (paths.empty()) {
    std::fprintf(stderr, "no vocabularies in %s; set INGOT_FIXTURES\n", vocabularies().c_str());
    return 1;
  }
  try {
    for (const fs::path& path : paths) register_vocabulary(path);
  } catch (const ingot::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
