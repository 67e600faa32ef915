// The contract of ingot bench: rows that scripts can read, in llama-bench's terms, and shares of a
// limit that can be one. How fast anything is, is no test's business.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "ingot/cost.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/run_program.hpp"

namespace ingot {
namespace {

using nlohmann::json;
using Arguments = std::vector<std::string>;

std::string llama() {
  return test::test_data("arch/llama.gguf").string();
}

json bench(Arguments arguments) {
  arguments.insert(arguments.begin(), {"bench", llama()});
  arguments.push_back("--json");
  const test::ProgramResult result = test::run_ingot(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");  // progress belongs on a terminal
  return json::parse(result.out, nullptr, false);
}

std::vector<std::string> test_names(const json& rows) {
  std::vector<std::string> names;
  for (const json& row : rows) names.push_back(row.at("test"));
  return names;
}

TEST(CliBench, RowsHaveTheFieldsThatScriptsRead) {
  const json rows = bench({"-p", "12", "-n", "3", "-r", "3", "-t", "1"});
  ASSERT_TRUE(rows.is_array());
  ASSERT_EQ(test_names(rows), (std::vector<std::string>{"pp12", "tg3"}));
  for (const json& row : rows) {
    const std::string rate = row.at("test") == "tg3" ? "bytes_per_second" : "flops_per_second";
    for (const std::string& field :
         {std::string("tokens_per_second"), rate, std::string("limit"),
          std::string("share_of_limit"), std::string("limit_tokens_per_second")}) {
      EXPECT_GT(row.at(field).get<double>(), 0) << field;
      EXPECT_TRUE(std::isfinite(row.at(field).get<double>())) << field;
    }
    EXPECT_GE(row.at("spread").get<double>(), 0);
    // Far above one, the limit would not be what the work is limited by, or the work miscounted.
    EXPECT_LT(row.at("share_of_limit").get<double>(), 1.5);
    EXPECT_EQ(row.at("repetitions"), 3);
    EXPECT_EQ(row.at("samples").size(), 3U);
    EXPECT_EQ(row.at("limit_samples").size(), 3U);
    EXPECT_EQ(row.at("threads"), 1);
    EXPECT_EQ(row.at("device"), "cpu");
    EXPECT_EQ(row.at("architecture"), "llama");
    EXPECT_EQ(row.at("weight_types"), json::array({"F32"}));
    EXPECT_EQ(row.at("type_k"), "f16");
    EXPECT_FALSE(row.contains("profile"));
    const std::string isa = row.at("isa");
    EXPECT_TRUE(isa == "scalar" || isa == "avx2" || isa == "avx512" || isa == "amx") << isa;
    // The share of a prompt is one of the units that multiply it.
    const std::string kind = row.at("test") == "tg3" ? "read bandwidth"
                             : isa == "amx"          ? "amx bf16"
                                                     : "f32 vector";
    EXPECT_EQ(row.at("limit_kind"), kind);
  }
}

TEST(CliBench, ListsMakeTestsNamedAsLlamaBenchNamesThem) {
  const json rows = bench({"-p", "4,6", "-p", "8", "-n", "0", "-d", "0,5", "-r", "1"});
  EXPECT_EQ(test_names(rows),
            (std::vector<std::string>{"pp4", "pp6", "pp8", "pp4 @ d5", "pp6 @ d5", "pp8 @ d5"}));
}

TEST(CliBench, BatchSizesSequencesAndCacheTypesReachTheRun) {
  const json rows = bench({"-p", "10", "-n", "2", "-r", "1", "-b", "8", "-ub", "4", "--sequences",
                           "3", "-ctk", "q8_0", "-ctv", "f32", "-d", "2"});
  ASSERT_EQ(rows.size(), 2U);
  for (const json& row : rows) {
    EXPECT_EQ(row.at("n_batch"), 8);
    EXPECT_EQ(row.at("n_ubatch"), 4);
    EXPECT_EQ(row.at("sequences"), 3);
    EXPECT_EQ(row.at("n_depth"), 2);
    EXPECT_EQ(row.at("type_k"), "q8_0");
    EXPECT_EQ(row.at("type_v"), "f32");
  }
}

TEST(CliBench, GeneratingAtDepthReadsTheWeightsOnceAndTheCachePerSequence) {
  const auto bytes_per_step = [](const Arguments& more) {
    Arguments arguments = {"-p", "0", "-n", "1", "-r", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const json row = bench(arguments).at(0);
    // With one repetition, rate / (tokens/s) is the bytes of a token, whatever the time was.
    return row.at("bytes_per_second").get<double>() / row.at("tokens_per_second").get<double>() *
           row.at("sequences").get<double>();
  };
  const double one = bytes_per_step({});
  const double deep = bytes_per_step({"-d", "40"});
  const double four_deep = bytes_per_step({"-d", "40", "--sequences", "4"});
  const auto executable = Executable::load(Model::open(llama()), {});
  const auto cache = static_cast<double>(executable->plan().cache_bytes_per_token);
  const auto weights = static_cast<double>(executable->plan().weights_bytes);
  EXPECT_NEAR(deep - one, 40 * cache, 1);
  // Three more sequences: as many caches of 41 positions read and one written, and rows of the
  // embedding table, but not the matrices again.
  EXPECT_GT(four_deep - deep, 3 * 42 * cache - 1);
  EXPECT_LT(four_deep - deep, 3 * 42 * cache + 0.1 * weights);
}

TEST(CliBench, ProfileAccountsForTheStepByKindAndFormat) {
  const json rows = bench({"-p", "8", "-n", "2", "-r", "1", "--profile"});
  for (const json& row : rows) {
    const json& profile = row.at("profile");
    double seconds = 0;
    double share = 0;
    double flops = 0;
    bool has_matmul = false;
    for (const json& part : profile.at("rows")) {
      EXPECT_GE(part.at("seconds").get<double>(), 0);
      EXPECT_GE(part.at("share_of_limit").get<double>(), 0);
      seconds += part.at("seconds").get<double>();
      share += part.at("share_of_time").get<double>();
      flops += part.at("flops").get<double>();
      has_matmul = has_matmul || (part.at("operation") == "matmul" && part.at("formats") == "f32");
    }
    EXPECT_TRUE(has_matmul);
    EXPECT_NEAR(seconds, profile.at("seconds").get<double>(), 1e-9 + 1e-6 * seconds);
    EXPECT_NEAR(share, 1, 1e-6);
    if (row.at("test") == "pp8") {
      // Every instruction of the step is in exactly one row: what they add up to is the step's.
      const double step =
          row.at("flops_per_second").get<double>() / row.at("tokens_per_second").get<double>() * 8;
      EXPECT_NEAR(flops, step, 1e-6 * step);
    }
  }
}

TEST(CliBench, TheTableShowsEachTest) {
  const test::ProgramResult result =
      test::run_ingot({"bench", llama(), "-p", "4", "-n", "2", "-r", "1", "--profile"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const std::string part : {"tokens/s", "share", "the limit of pp is the", "\npp4 ", "\ntg2 ",
                                 "profile of tg2", "matmul"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " in\n" << result.out;
  }
}

TEST(CliBench, MeaninglessOptionsAreBadUsage) {
  const std::vector<Arguments> wrong = {{"-p", "0", "-n", "0"},
                                        {"-p", "-1"},
                                        {"-p", "12x"},
                                        {"-n", "1,,2"},
                                        {"-b", "0"},
                                        {"-ub", "0"},
                                        {"-r", "0"},
                                        {"-t", "many"},
                                        {"--sequences", "0"},
                                        {"-d", ""},
                                        {"--sequences", "9", "-ub", "8"},
                                        {"-ctk", "q9"},
                                        {"--device", "abacus"}};
  for (Arguments arguments : wrong) {
    const std::string shown = ::testing::PrintToString(arguments);
    arguments.insert(arguments.begin(), {"bench", llama()});
    const test::ProgramResult result = test::run_ingot(arguments);
    EXPECT_EQ(result.exit_code, 2) << shown << result.err;
    EXPECT_EQ(result.error_lines(), 1U) << shown << result.err;
    EXPECT_EQ(result.out, "") << shown;
  }
  EXPECT_EQ(test::run_ingot({"bench"}).exit_code, 2);
  // A context that the model does not have is a request that fails, not a wrong command line.
  EXPECT_EQ(test::run_ingot({"bench", llama(), "-d", "1000000"}).exit_code, 1);
}

TEST(StepCost, RefusesShapesThatCannotBe) {
  const auto executable = Executable::load(Model::open(llama()), {});
  const StepOutline one{{{1, 0}}, 1};
  EXPECT_FALSE(step_cost(*executable, one).empty());
  for (const StepOutline& wrong : {StepOutline{{{-1, 0}}, 0}, StepOutline{{{1, -1}}, 0},
                                   StepOutline{{{1, 0}}, -1}, StepOutline{{{1, 0}}, 2}}) {
    EXPECT_THROW(step_cost(*executable, wrong), Error);
  }
}

}  // namespace
}  // namespace ingot
