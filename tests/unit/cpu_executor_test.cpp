// The CPU executor around its kernels: targets, threads, work space, taps.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>

#include "cpu/backend.hpp"
#include "cpu/dispatch/dispatch.hpp"
#include "cpu/runner.hpp"
#include "ingot/gguf_writer.hpp"
#include "src/device/run_step.hpp"
#include "tests/support/environment.hpp"

namespace ingot::internal {
namespace {

using test::Environment;

/// Two matrices and an attention layer: kernels of one task and of many.
struct SmallModel {
  static constexpr std::int64_t kVocabulary = 300;
  static constexpr std::int64_t kHidden = 64;

  SmallModel() {
    program = std::make_shared<Program>();
    program->architecture = "small";
    program->context = 600;
    const TensorId table = tensor("table", DType::F32, kVocabulary);
    const TensorId matrix = tensor("matrix", DType::Q8_0, kHidden);
    const TensorId head = tensor("head", DType::Q4_0, kVocabulary);
    program->states.push_back({"state", 1, kHidden, kHidden});
    const ValueId x = value("x");
    const ValueId k = value("k");
    const ValueId a = value("a");
    const ValueId y = value("y", Rows::tokens);
    const ValueId out = value("out", Rows::outputs);
    const ValueId logits = value("logits", Rows::outputs, kVocabulary);
    program->instructions = {
        ops::EmbedRows{whole(table), x},
        ops::MatMul{x, {{whole(matrix), std::nullopt, k}}},
        ops::StateStore{k, k, {0}},
        ops::Attention{k, a, {0}, 1, 0.125, 0.0, 0, std::nullopt},
        ops::Add{a, x, y},
        ops::SelectRows{y, out},
        ops::MatMul{out, {{whole(head), std::nullopt, logits}}},
    };
    program->logits = logits;
    check(*program);
    weights =
        std::make_shared<Weights>(GgufFile::from_bytes(writer_.to_bytes(), "small"), *program);
  }

  ValueId value(const std::string& name, Rows rows = Rows::tokens, std::int64_t columns = kHidden) {
    program->values.push_back({name, rows, columns});
    return {static_cast<std::int32_t>(program->values.size()) - 1};
  }
  TensorId tensor(const std::string& name, DType type, std::int64_t rows) {
    program->tensors.push_back({name, type, kHidden, rows, 1});
    std::vector<float> values(static_cast<std::size_t>(rows * kHidden));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i * 2654435761U % 1000) / 1000.0F - 0.5F;
    }
    std::vector<std::byte> bytes(program->tensors.back().bytes());
    quantize(type, values, bytes);
    writer_.add_tensor(name, type, {kHidden, rows}, std::move(bytes));
    return {static_cast<std::int32_t>(program->tensors.size()) - 1};
  }
  WeightOperand whole(TensorId id) const {
    return {id, {0, program->tensor(id).rows}, {0, kHidden}, {0, 1}};
  }

  static StepInput step(std::int64_t rows, std::int64_t cached = 0) {
    StepInput input;
    for (std::int64_t r = 0; r < rows; ++r) {
      input.ids.push_back(static_cast<std::int32_t>((cached + r) * 7 % kVocabulary));
      input.positions.push_back(cached + r);
    }
    input.sequences.push_back({0, static_cast<std::int32_t>(rows), cached, 0, 10});
    for (std::int32_t p = 0; p < 10; ++p) input.page_table.push_back(p);
    input.output_rows = {static_cast<std::int32_t>(rows - 1)};
    return input;
  }

  std::shared_ptr<Program> program;
  std::shared_ptr<const Weights> weights;

 private:
  GgufWriter writer_;
};

constexpr StepLimits kLimits{100, 4, 4, 2, 640};
constexpr std::array<std::int64_t, 1> kPages = {10};

std::vector<float> logits_of(Runner& runner) {
  std::vector<float> all;
  for (const auto& input :
       {SmallModel::step(100), SmallModel::step(20, 100), SmallModel::step(1, 120)}) {
    const auto logits = run_step(runner, input);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

CompileOptions with_threads(int threads) {
  CompileOptions options;
  options.threads = threads;
  return options;
}

std::vector<float> logits_with(const CompileOptions& options) {
  const SmallModel model;
  const auto compiled =
      internal::compile(*make_cpu_device(), model.program, model.weights, options);
  return logits_of(*compiled->new_runner(kLimits, {}, kPages));
}

// ---- targets

TEST(CpuTargetTest, UnknownOneIsRefusedWithTheNamesOfThoseThereAre) {
  const Environment isa("INGOT_CPU_ISA", "itanium");
  try {
    (void)make_cpu_device();
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("itanium"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("scalar"), std::string::npos);
  }
}

TEST(CpuTargetTest, ForcedOneIsTheOneThatRuns) {
  const SmallModel model;
  for (const cpu::KernelTable* target : cpu::available_targets()) {
    const std::string name(target->name);
    const Environment isa("INGOT_CPU_ISA", name.c_str());
    const auto device = make_cpu_device();
    EXPECT_NE(device->info().description.find(name), std::string::npos);
    auto executable = std::make_shared<cpu::Executable>(model.program, model.weights,
                                                        cpu::select_target(), CompileOptions{});
    cpu::CpuRunner runner(executable, kLimits, {}, kPages);
    EXPECT_EQ(runner.ran_on(), "");
    (void)logits_of(runner);
    EXPECT_EQ(runner.ran_on(), name);
    EXPECT_EQ(target->running(), name);
  }
}

// ---- threads

TEST(CpuExecutorTest, GivesTheSameBitsWithAnyNumberOfThreads) {
  const auto one = logits_with(with_threads(1));
  for (const int threads : {2, 3, 7}) {
    CompileOptions options;
    options.threads = threads;
    EXPECT_EQ(logits_with(options), one) << threads;
  }
  CompileOptions pinned;
  pinned.threads = 2;
  pinned.pin_threads = true;
  EXPECT_EQ(logits_with(pinned), one);
}

TEST(CpuExecutorTest, RefusesSenselessThreadCounts) {
  for (const int threads : {-1, 1000000}) {
    CompileOptions options;
    options.threads = threads;
    EXPECT_THROW((void)logits_with(options), Error) << threads;
  }
}

/// Counts what it is asked for, and runs it in threads of its own, last index first.
class CountingHost final : public HostExecutor {
 public:
  int concurrency() const override { return 3; }
  void parallel(int count, const std::function<void(int)>& body) override {
    EXPECT_FALSE(busy_.exchange(true)) << "nested call";
    EXPECT_GE(count, 1);
    EXPECT_LE(count, 3);
    callers_.insert(std::this_thread::get_id());
    ++calls_;
    std::vector<std::thread> threads;
    for (int i = count - 1; i >= 0; --i) threads.emplace_back([&body, i] { body(i); });
    for (std::thread& thread : threads) thread.join();
    busy_ = false;
  }
  int calls() const { return calls_; }
  const std::set<std::thread::id>& callers() const { return callers_; }

 private:
  std::atomic<bool> busy_{false};
  int calls_ = 0;
  std::set<std::thread::id> callers_;
};

/// Runs one after the other: any barrier inside a kernel would wait for ever.
class SerialHost final : public HostExecutor {
 public:
  int concurrency() const override { return 4; }
  void parallel(int count, const std::function<void(int)>& body) override {
    for (int i = 0; i < count; ++i) body(i);
  }
};

TEST(CpuExecutorTest, UsesTheHostsThreadsFromTheThreadThatSteps) {
  CountingHost host;
  CompileOptions options;
  options.host_executor = &host;
  EXPECT_EQ(logits_with(options), logits_with(with_threads(1)));
  EXPECT_GT(host.calls(), 10);
  EXPECT_EQ(host.callers(), std::set<std::thread::id>{std::this_thread::get_id()});

  SerialHost serial;
  options.host_executor = &serial;
  EXPECT_EQ(logits_with(options), logits_with(with_threads(1)));
}

TEST(CpuExecutorTest, PassesOnWhatTheHostsExecutorThrows) {
  class Failing final : public HostExecutor {
   public:
    int concurrency() const override { return 2; }
    void parallel(int, const std::function<void(int)>&) override {
      throw std::runtime_error("no threads today");
    }
  } host;
  CompileOptions options;
  options.host_executor = &host;
  EXPECT_THROW((void)logits_with(options), std::runtime_error);
}

TEST(CpuExecutorTest, ServesSeveralSessionsFromSeveralThreads) {
  const SmallModel model;
  CompileOptions options;
  options.threads = 3;
  const auto compiled =
      internal::compile(*make_cpu_device(), model.program, model.weights, options);
  const auto expected = logits_of(*compiled->new_runner(kLimits, {}, kPages));
  std::vector<std::thread> threads;
  std::atomic<int> equal{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto runner = compiled->new_runner(kLimits, {}, kPages);
      for (int round = 0; round < 5; ++round) equal += logits_of(*runner) == expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal.load(), 20);
}

// ---- work space

TEST(CpuExecutorTest, AllocatesExactlyTheScratchItPromised) {
  const SmallModel model;
  for (const int threads : {1, 4}) {
    for (const StepLimits& limits : {StepLimits{1, 1, 1, 1, 640}, StepLimits{8, 2, 2, 2, 640},
                                     kLimits, StepLimits{512, 512, 512, 8, 640}}) {
      CompileOptions options;
      options.threads = threads;
      const auto device = make_cpu_device();
      auto executable = std::make_shared<cpu::Executable>(model.program, model.weights,
                                                          cpu::select_target(), options);
      const cpu::CpuRunner runner(executable, limits, {}, kPages);
      const auto lowered = device->lower(model.program, all_instructions(*model.program), options);
      EXPECT_EQ(lowered->memory(limits, {}).host.scratch, runner.scratch_bytes());
    }
  }
}

TEST(CpuExecutorTest, UsesWeightsWhereTheyLieInTheFile) {
  const SmallModel model;
  const auto compiled = internal::compile(*make_cpu_device(), model.program, model.weights, {});
  std::uint64_t bytes = 0;
  for (const Tensor& tensor : model.program->tensors) bytes += tensor.bytes();
  EXPECT_EQ(compiled->pack_report().mapped_bytes + compiled->pack_report().packed_bytes, bytes);
}

// ---- steps

TEST(CpuExecutorTest, TakesStepsWithoutOutputs) {
  const SmallModel model;
  const auto compiled = internal::compile(*make_cpu_device(), model.program, model.weights, {});
  const auto runner = compiled->new_runner(kLimits, {}, kPages);
  StepInput input = SmallModel::step(100);
  input.output_rows.clear();
  EXPECT_EQ(run_step(*runner, input).size(), 0U);
  int events = 0;
  (void)run_step(*runner, SmallModel::step(20, 100), [&](const TapEvent&) { ++events; });
  EXPECT_EQ(events, 6);  // every instruction but StateStore writes a value
}

TEST(CpuExecutorTest, RefusesStepsBeyondItsLimits) {
  const SmallModel model;
  const auto compiled = internal::compile(*make_cpu_device(), model.program, model.weights, {});
  const auto runner = compiled->new_runner({10, 1, 1, 1, 640}, {}, kPages);
  EXPECT_THROW((void)run_step(*runner, SmallModel::step(11), {}), Error);
  EXPECT_THROW((void)run_step(*runner, SmallModel::step(0), {}), Error);
}

// ---- taps

class TapTest : public ::testing::TestWithParam<bool> {
 protected:
  TapTest() {
    options_.threads = 3;
    if (GetParam()) options_.host_executor = &host_;
    compiled_ = internal::compile(*make_cpu_device(), model_.program, model_.weights, options_);
    runner_ = compiled_->new_runner(kLimits, {}, kPages);
  }
  SmallModel model_;
  SerialHost host_;
  CompileOptions options_;
  std::shared_ptr<const CompiledProgram> compiled_;
  std::unique_ptr<Runner> runner_;
};

TEST_P(TapTest, SeesEveryValueInOrderOnTheThreadThatSteps) {
  std::vector<std::string> names;
  (void)run_step(*runner_, SmallModel::step(9), [&](const TapEvent& event) {
    names.emplace_back(event.name);
    EXPECT_EQ(event.rows, event.instruction >= 5 ? 1 : 9);
    EXPECT_EQ(event.data.size(), static_cast<std::size_t>(event.rows * event.columns));
  });
  EXPECT_EQ(names, (std::vector<std::string>{"x", "k", "a", "y", "out", "logits"}));
}

TEST_P(TapTest, CanSeeWhatRunsWithoutItsData) {
  std::vector<int> ended;
  (void)run_step(
      *runner_, SmallModel::step(9),
      [&](const TapEvent& event) {
        ended.push_back(event.instruction);
        EXPECT_TRUE(event.data.empty());
      },
      TapDetail::as_run);
  EXPECT_EQ(ended, (std::vector<int>{0, 1, 2, 3, 4, 5, 6}));
}

TEST_P(TapTest, MayChangeWhatItSees) {
  const auto plain = run_step(*runner_, SmallModel::step(9), {});
  const std::vector<float> before(plain.begin(), plain.end());
  const auto changed = run_step(*runner_, SmallModel::step(9), [](const TapEvent& event) {
    if (event.name == "out") std::fill(event.data.begin(), event.data.end(), 0.0F);
  });
  EXPECT_EQ(std::vector<float>(changed.begin(), changed.end()),
            std::vector<float>(before.size(), 0.0F));
}

TEST_P(TapTest, EndsTheStepWithWhatItThrows) {
  for (const char* name : {"x", "a", "logits"}) {
    try {
      (void)run_step(*runner_, SmallModel::step(9), [&](const TapEvent& event) {
        if (event.name == name) throw std::runtime_error(name);
      });
      FAIL() << "returned";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), name);
    }
    EXPECT_EQ(run_step(*runner_, SmallModel::step(9)).size(), 300U);  // and the next one runs
  }
}

TEST_P(TapTest, MayNotStepTheSameModel) {
  EXPECT_THROW(
      (void)run_step(*runner_, SmallModel::step(9),
                     [&](const TapEvent&) { (void)run_step(*runner_, SmallModel::step(9), {}); }),
      Error);
  EXPECT_EQ(run_step(*runner_, SmallModel::step(9)).size(), 300U);
}

INSTANTIATE_TEST_SUITE_P(Threads, TapTest, ::testing::Values(false, true),
                         [](const ::testing::TestParamInfo<bool>& parameter) {
                           return std::string(parameter.param ? "host" : "own");
                         });

}  // namespace
}  // namespace ingot::internal
