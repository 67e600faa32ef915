// Attention on the CPU: one token and a block of a prompt at several depths, for the cache types.
//   bench_attention --benchmark_filter='f16'
// 32 query heads on 8 KV heads of 128, 4 layers. `cache` is the rate at which cache bytes are read.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "cpu/backend.hpp"
#include "ingot/gguf_writer.hpp"
#include "src/device/run_step.hpp"
#include "src/program/program.hpp"

namespace {

using namespace ingot::internal;
using namespace ingot;

constexpr std::int64_t kHeads = 32;
constexpr std::int64_t kKvHeads = 8;
constexpr std::int64_t kHeadSize = 128;
constexpr std::int64_t kLayers = 4;
constexpr std::int64_t kContext = 16384 + 512;

struct Layers {
  Layers() {
    program->architecture = "benchmark";
    program->context = kContext;
    GgufWriter writer;
    const auto embed = [&](std::int64_t columns) {
      const std::string name = "t" + std::to_string(program->tensors.size());
      program->tensors.push_back({name, DType::F32, columns, 1, 1});
      std::vector<std::byte> bytes(static_cast<std::size_t>(columns) * 4);
      std::vector<float> row(static_cast<std::size_t>(columns));
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = static_cast<float>(i * 2654435761U % 1000) / 1000.0F - 0.5F;
      }
      quantize(DType::F32, row, bytes);
      writer.add_tensor(name, DType::F32, {columns, 1}, std::move(bytes));
      const ValueId out = add_value(columns);
      program->instructions.push_back(ops::EmbedRows{
          {{static_cast<std::int32_t>(program->tensors.size()) - 1}, {0, 1}, {0, columns}, {0, 1}},
          out});
      return out;
    };
    const ValueId query = embed(kHeads * kHeadSize);
    const ValueId key = embed(kKvHeads * kHeadSize);
    for (std::int32_t layer = 0; layer < kLayers; ++layer) {
      program->states.push_back({"s" + std::to_string(layer), kKvHeads, kHeadSize, kHeadSize});
      program->instructions.push_back(ops::StateStore{key, key, {layer}});
      ops::Attention attention;
      attention.query = query;
      attention.out = add_value(kHeads * kHeadSize);
      attention.state = {layer};
      attention.head_count = kHeads;
      attention.scale = 0.088;
      program->instructions.push_back(attention);
      program->logits = attention.out;
    }
    const auto file = GgufFile::from_bytes(writer.to_bytes(), "benchmark");
    executable = compile(*make_cpu_device(), program, std::make_shared<Weights>(file, *program),
                         CompileOptions{});
  }
  ValueId add_value(std::int64_t columns) {
    program->values.push_back(
        {"v" + std::to_string(program->values.size()), Rows::tokens, columns});
    return {static_cast<std::int32_t>(program->values.size()) - 1};
  }

  std::shared_ptr<Program> program = std::make_shared<Program>();
  std::shared_ptr<const CompiledProgram> executable;
};

void run(benchmark::State& state, DType type) {
  static const Layers layers;
  const std::int64_t rows = state.range(0);
  const std::int64_t cached = state.range(1);
  const std::int64_t pages = (cached + rows + kPageTokens - 1) / kPageTokens;
  const auto runner = layers.executable->new_runner({rows, rows, rows, 1, kContext}, {type, type},
                                                    std::vector<std::int64_t>{pages});
  // The cache's content does not matter for speed, but zero pages would not be read from memory.
  std::vector<std::byte> page(runner->states().page_bytes(0), std::byte{0x21});
  StepInput input;
  for (std::int32_t p = 0; p < pages; ++p) {
    runner->states().write_page(0, p, page);
    input.page_table.push_back(p);
  }
  input.ids.assign(static_cast<std::size_t>(rows), 0);
  input.positions.assign(static_cast<std::size_t>(rows), cached);
  input.sequences.push_back(
      {0, static_cast<std::int32_t>(rows), cached, 0, static_cast<std::int32_t>(pages)});
  for (auto _ : state) benchmark::DoNotOptimize(run_step(*runner, input).data());
  StepShape shape;
  shape.sequences = {{rows, cached}};
  shape.key_type = shape.value_type = type;
  const Cost total = cost(*layers.program, shape);
  const auto steps = static_cast<double>(state.iterations());
  state.counters["cache"] = benchmark::Counter(
      total.state_bytes * steps, benchmark::Counter::kIsRate, benchmark::Counter::kIs1024);
  state.counters["flops"] = benchmark::Counter(total.flops * steps, benchmark::Counter::kIsRate);
}

}  // namespace

int main(int argc, char** argv) {
  for (const ingot::DType type : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0}) {
    benchmark::RegisterBenchmark(std::string(ingot::to_string(type)).c_str(),
                                 [type](benchmark::State& state) { run(state, type); })
        ->ArgNames({"rows", "cached"})
        ->ArgsProduct({{1, 512}, {0, 4096, 16384}})
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
