// MatMul on the CPU: every format, few and many rows, on all threads the executor would take.
//   bench_matmul --benchmark_filter='Q4_K/rows:1/'
// Weights are INGOT_BENCH_MIB mebibytes (default 256, several times most caches), as a stack of
// matrices that share one input. `weights` is the rate at which packed weight bytes are read,
// `flops` counts two per weight and row.
#include <benchmark/benchmark.h>

#include <cstdlib>
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

constexpr std::int64_t kHidden = 4096;

std::int64_t weight_bytes() {
  const char* mebibytes = std::getenv("INGOT_BENCH_MIB");
  return (mebibytes == nullptr ? 256 : std::atoll(mebibytes)) * 1024 * 1024;
}

// x = embedding, then one matmul after the other on x.
struct Stack {
  explicit Stack(DType type) {
    program->architecture = "benchmark";
    program->context = 1;
    const auto bytes_per_matrix = static_cast<std::int64_t>(row_bytes(type, kHidden)) * kHidden;
    const std::int64_t count = std::max<std::int64_t>(1, weight_bytes() / bytes_per_matrix);
    GgufWriter writer;
    const auto add_tensor = [&](DType of, std::int64_t rows) {
      const std::string name = "t" + std::to_string(program->tensors.size());
      program->tensors.push_back({name, of, kHidden, rows, 1});
      std::vector<float> row(kHidden);
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = static_cast<float>(i * 2654435761U % 1000) / 1000.0F - 0.5F;
      }
      std::vector<std::byte> encoded(row_bytes(of, kHidden));
      quantize(of, row, encoded);
      std::vector<std::byte> all;
      for (std::int64_t r = 0; r < rows; ++r) all.insert(all.end(), encoded.begin(), encoded.end());
      writer.add_tensor(name, of, {kHidden, rows}, std::move(all));
      return WeightOperand{{static_cast<std::int32_t>(program->tensors.size()) - 1},
                           {0, rows},
                           {0, kHidden},
                           {0, 1}};
    };
    const auto add_value = [&] {
      program->values.push_back(
          {"v" + std::to_string(program->values.size()), Rows::tokens, kHidden});
      return ValueId{static_cast<std::int32_t>(program->values.size()) - 1};
    };
    const ValueId x = add_value();
    program->instructions.push_back(ops::EmbedRows{add_tensor(DType::F32, 1), x});
    for (std::int64_t i = 0; i < count; ++i) {
      const ValueId out = add_value();
      program->instructions.push_back(
          ops::MatMul{x, {{add_tensor(type, kHidden), std::nullopt, out}}});
      program->logits = out;
    }
    bytes = static_cast<double>(count * bytes_per_matrix);
    weights = static_cast<double>(count * kHidden * kHidden);
    const auto file = GgufFile::from_bytes(writer.to_bytes(), "benchmark");
    executable = compile(*make_cpu_device(), program, std::make_shared<Weights>(file, *program),
                         CompileOptions{});
  }

  std::shared_ptr<Program> program = std::make_shared<Program>();
  std::shared_ptr<const CompiledProgram> executable;
  double bytes = 0;
  double weights = 0;
};

void run(benchmark::State& state, const std::shared_ptr<Stack>& stack) {
  const std::int64_t rows = state.range(0);
  const auto runner =
      stack->executable->new_runner({rows, rows, rows, 1, rows}, {}, std::vector<std::int64_t>{1});
  StepInput input;
  input.ids.assign(static_cast<std::size_t>(rows), 0);
  input.positions.assign(static_cast<std::size_t>(rows), 0);
  input.sequences.push_back({0, static_cast<std::int32_t>(rows), 0, 0, 1});
  input.page_table = {0};
  for (auto _ : state) benchmark::DoNotOptimize(run_step(*runner, input).data());
  const auto steps = static_cast<double>(state.iterations());
  state.counters["weights"] = benchmark::Counter(stack->bytes * steps, benchmark::Counter::kIsRate,
                                                 benchmark::Counter::kIs1024);
  state.counters["flops"] = benchmark::Counter(
      2.0 * stack->weights * static_cast<double>(rows) * steps, benchmark::Counter::kIsRate);
}

}  // namespace

int main(int argc, char** argv) {
  for (const auto& format : ingot::quant::kFormats) {
    // Made when first run and shared by the row counts that follow: one stack in memory at a time.
    for (const std::int64_t rows : {1, 4, 8, 9, 64, 512}) {
      const DType type = format.id;
      benchmark::RegisterBenchmark(std::string(format.name).c_str(),
                                   [type](benchmark::State& state) {
                                     static std::pair<DType, std::shared_ptr<Stack>> current;
                                     if (current.second == nullptr || current.first != type) {
                                       current.second.reset();
                                       current = {type, std::make_shared<Stack>(type)};
                                     }
                                     run(state, current.second);
                                   })
          ->ArgName("rows")
          ->Arg(rows)
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
