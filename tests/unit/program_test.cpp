// The program: shape rules, single assignment, liveness, cost, printing; and the builder's
// refusals.
#include "src/program/program.hpp"

#include <gtest/gtest.h>

#include "src/arch/architecture.hpp"
#include "src/program/liveness.hpp"
#include "tests/support/binary_file.hpp"

namespace ingot::internal {
namespace {

struct Small {
  std::shared_ptr<const GgufFile> file = GgufFile::open(test::test_data("arch/qwen2.gguf"));
  ModelSpec spec = find_architecture(*file).read_spec(*file);
  Program program = build_program(spec, *file, {});
};

TEST(Program, AValueReadBeforeItIsWrittenIsABug) {
  Small small;
  std::swap(small.program.instructions[0], small.program.instructions[1]);
  EXPECT_THROW(check(small.program), Error);
}

TEST(Program, AValueWrittenTwiceIsABug) {
  Small small;
  small.program.instructions.insert(small.program.instructions.begin(),
                                    small.program.instructions[0]);
  EXPECT_THROW(check(small.program), Error);
}

TEST(Program, PartsOutsideATensorAreABug) {
  Small small;
  auto& embed = std::get<ops::EmbedRows>(small.program.instructions[0]);
  embed.table.rows.end += 1;
  EXPECT_THROW(check(small.program), Error);
}

// Every operation's shape rule refuses a wrong shape: without it an executor would read past a
// value.
TEST(Program, EveryInstructionRefusesAValueOfAnotherWidth) {
  const Small small;
  for (std::size_t i = 0; i < small.program.instructions.size(); ++i) {
    for (const ValueId id : operands(small.program.instructions[i]).reads) {
      Program broken = small.program;
      broken.values[static_cast<std::size_t>(id.index)].columns += 1;
      EXPECT_THROW(check(broken), Error) << name_of(small.program.instructions[i]);
    }
  }
}

TEST(Liveness, ValuesThatLiveTogetherNeverShareMemory) {
  const Small small;
  const RowCounts counts{9, 3, 2, small.program.experts_used};
  const ArenaPlan plan = plan_arena(small.program, counts);
  const auto lives = lifetimes(small.program);
  const auto end = [&](std::size_t v) {
    const Value& value = small.program.values[v];
    const auto rows = counts.of(value.rows);
    return plan.offsets[v] + static_cast<std::uint64_t>(rows * value.columns);
  };
  std::uint64_t sum = 0;
  for (std::size_t a = 0; a < lives.size(); ++a) {
    EXPECT_LE(end(a), plan.elements);
    EXPECT_EQ(plan.offsets[a] % 16, 0U);
    sum += end(a) - plan.offsets[a];
    for (std::size_t b = 0; b < a; ++b) {
      const bool together = lives[a].first <= lives[b].last && lives[b].first <= lives[a].last;
      const bool apart = end(a) <= plan.offsets[b] || end(b) <= plan.offsets[a];
      EXPECT_TRUE(!together || apart)
          << small.program.values[a].name << " and " << small.program.values[b].name;
    }
  }
  EXPECT_LT(plan.elements, sum / 2) << "nothing was shared";
}

// The residual stream of all layers is one piece of memory where Add writes in place; what is read
// once more later keeps its own.
TEST(Liveness, ValuesWrittenInPlaceShareMemoryWithWhatTheyReplace) {
  const Small small;
  const auto lives = lifetimes(small.program);
  std::vector<InPlace> in_place;
  for (const Instruction& instruction : small.program.instructions) {
    const Operands used = operands(instruction);
    if (name_of(instruction) == "add") in_place.push_back({used.writes[0], used.reads[0]});
    // The norm's input is read by Add as well.
    if (name_of(instruction) == "norm") in_place.push_back({used.writes[0], used.reads[0]});
  }
  const RowCounts counts{9, 3, 3, small.program.experts_used};
  const ArenaPlan apart = plan_arena(small.program, counts);
  const ArenaPlan plan = plan_arena(small.program, counts, in_place);
  EXPECT_LE(plan.elements, apart.elements);
  const auto at = [](ValueId id) { return static_cast<std::size_t>(id.index); };
  int shared = 0;
  for (const InPlace& pair : in_place) {
    if (lives[at(pair.in)].last != lives[at(pair.out)].first) continue;
    EXPECT_EQ(plan.offsets[at(pair.in)], plan.offsets[at(pair.out)]);
    ++shared;
  }
  EXPECT_GT(shared, 1);
  // Values that live together share memory only at the instruction that replaces one by the other.
  for (std::size_t a = 0; a < lives.size(); ++a) {
    for (std::size_t b = 0; b < lives.size(); ++b) {
      if (a == b || lives[a].first > lives[b].first || lives[b].first >= lives[a].last) continue;
      const auto size = [&](std::size_t v) {
        const Value& value = small.program.values[v];
        const auto rows = counts.of(value.rows);
        return static_cast<std::uint64_t>(rows * value.columns);
      };
      EXPECT_TRUE(plan.offsets[a] + size(a) <= plan.offsets[b] ||
                  plan.offsets[b] + size(b) <= plan.offsets[a])
          << small.program.values[a].name << " and " << small.program.values[b].name;
    }
  }
}

TEST(Cost, IsTheArithmeticOfTheWeightsUsed) {
  const Small small;
  StepShape shape;
  shape.sequences = {{10, 20}};
  shape.outputs = 1;
  shape.key_type = shape.value_type = DType::F16;
  double matrix_elements = 0;
  double output_elements = 0;  // of the head and, in the last layer, what follows attention
  const std::string last = "blk." + std::to_string(small.spec.layer_count - 1) + ".";
  for (const Tensor& tensor : small.program.tensors) {
    if (tensor.rows == 1) continue;
    const auto elements = static_cast<double>(tensor.rows * tensor.columns);
    const bool is_of_outputs = tensor.name == "token_embd.weight" ||
                               tensor.name == last + "attn_output.weight" ||
                               tensor.name.starts_with(last + "ffn_");
    (is_of_outputs ? output_elements : matrix_elements) += elements;
  }
  // Causal pairs: 21 + 22 + ... + 30.
  EXPECT_EQ(shape.attended_pairs(0), 255);
  EXPECT_EQ(shape.attended_pairs(8), 80);
  const auto heads = static_cast<double>(small.spec.head_count * 2 * small.spec.key_size);
  double expected = 2 * (10 * matrix_elements + 1 * output_elements) +
                    2 * 255 * heads * static_cast<double>(small.spec.layer_count);
  const Cost total = cost(small.program, shape);
  EXPECT_GE(total.flops, expected);
  EXPECT_LE(total.flops, 1.05 * expected) << "norms, activations and the like are a few percent";
  shape.outputs = 0;
  EXPECT_LT(cost(small.program, shape).flops, total.flops - 2 * output_elements + 1);
}

TEST(Printer, NamesEveryInstructionItsOperandsAndTypes) {
  const Small small;
  const std::string text = to_string(small.program);
  for (const char* part :
       {"embedding[tokens, ", "embed_rows(token_embd.weight:F32[512, ", "rope(blk.0.query) {neox",
        "@blk.0.kv = state_store(blk.0.key_rotated, blk.0.value)",
        "attention(blk.0.query_rotated, @blk.0.kv)", "glu(blk.0.ffn_gate, blk.0.ffn_up) {silu}",
        "logits[heads, 512] = matmul("}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin\n" << text;
  }
}

// A file with one metadata key or tensor changed must be refused by name, not run.
class RefusalTest : public ::testing::Test {
 protected:
  static void expect_refused(const Small& small, ModelSpec spec, const std::string& part) {
    try {
      build_program(spec, *small.file, {});
      FAIL() << "expected a refusal naming " << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
};

TEST_F(RefusalTest, AMissingTensorIsNamed) {
  const Small small;
  ModelSpec spec = small.spec;
  spec.layer_count += 1;
  expect_refused(small, spec,
                 "blk." + std::to_string(small.spec.layer_count) + ".attn_norm.weight");
}

TEST_F(RefusalTest, AnUnusedTensorIsNamed) {
  const Small small;
  ModelSpec spec = small.spec;
  spec.layer_count -= 1;
  expect_refused(small, spec, "does not use");
}

TEST_F(RefusalTest, AWrongShapeIsToldWithBothShapes) {
  const Small small;
  ModelSpec spec = small.spec;
  spec.feed_forward_size += 32;
  expect_refused(small, spec, "blk.0.ffn_gate.weight is [");
}

}  // namespace
}  // namespace ingot::internal
