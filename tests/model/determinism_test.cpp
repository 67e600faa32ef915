// LoadOptions::deterministic: the bits of a token's logits do not depend on what is computed beside
// it, on how its prompt is cut into steps, on where what is before it came from, or on the number
// of threads. Broken by a path, a split or an order of sums that is chosen by anything but the
// token's own position.
#include <cstring>
#include <string>
#include <vector>

#include "ingot/gguf_writer.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

struct Case {
  friend void PrintTo(const Case& value, std::ostream* out) { *out << value.name(); }
  std::string name() const {
    std::string text = model + "_" + std::string(to_string(weights)) + "_" +
                       std::string(to_string(cache.key)) + "_" + device;
    if (precision == Precision::f32) text += "_f32";
    for (char& c : text) {
      if (c == '-') c = '_';
    }
    return text;
  }

  std::string model;  // of tests/data/arch, or "nano": the bundled one
  DType weights = DType::F32;
  CacheTypes cache = {DType::F16, DType::F16};
  std::string device = "cpu";
  std::size_t tokens = 540;  // more than a split of the cache
  Precision precision = Precision::fast;
};

// The most sequences that share a step.
constexpr std::int64_t kMostSequences = 16;

std::filesystem::path path_of(const std::string& model) {
  if (model != "nano") return test::test_data("arch/" + model + ".gguf");
  return std::filesystem::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf";
}

// The model with its matrices in another type, where its blocks divide their rows; routers and
// what is small stay.
std::shared_ptr<const GgufFile> encoded(const std::filesystem::path& path, DType type) {
  const auto file = GgufFile::open(path);
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file->tensors()) {
    const bool is_router = tensor.name.find("ffn_gate_inp") != std::string::npos;
    if (tensor.shape.size() < 2 || is_router || tensor.shape[0] % block_size(type) != 0) {
      writer.add_tensor(tensor);
      continue;
    }
    std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
    dequantize(*tensor.dtype(), tensor.data, values);
    std::vector<std::byte> bytes(static_cast<std::size_t>(row_bytes(type, tensor.element_count())));
    quantize(type, values, bytes);
    writer.add_tensor(tensor.name, type, tensor.shape, std::move(bytes));
  }
  return GgufFile::from_bytes(writer.to_bytes(), "encoded");
}

std::vector<TokenId> text(std::size_t count, unsigned seed) {
  std::vector<TokenId> out(count);
  unsigned state = seed;
  for (TokenId& id : out) {
    state = state * 1664525U + 1013904223U;
    id = static_cast<TokenId>(state >> 16U & 511U);
  }
  return out;
}

/// A token of a sequence that takes part in a step.
struct Share {
  SequenceId sequence;
  std::span<const TokenId> tokens;
};

class DeterminismTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const auto path = path_of(GetParam().model);
    model_ = GetParam().weights == DType::F32 ? Model::open(path)
                                              : Model::from_file(encoded(path, GetParam().weights));
    tokens_ = text(GetParam().tokens, 1);
    one_thread_ = load(1);
    Session session(one_thread_);
    // In one step, or as few as can be.
    expected_ = advance(session, session.open(), tokens_);
    columns_ = expected_.size() / tokens_.size();
  }

  std::shared_ptr<const Executable> load(int threads) const {
    LoadOptions options = test::options_for(GetParam().device);
    options.cache = GetParam().cache;
    options.run.context = static_cast<std::int64_t>(tokens_.size());
    options.max_sequences = kMostSequences;
    options.deterministic = true;
    options.compile.threads = threads;
    options.compile.precision = GetParam().precision;
    return Executable::load(model_, options);
  }

  // The session's interface, as far as these tests know it.
  static std::vector<float> advance(Session& session, SequenceId sequence,
                                    std::span<const TokenId> tokens) {
    return test::values_of(session.step({{sequence, tokens, Outputs::all()}}));
  }
  // The logits of the first share's tokens.
  static std::vector<float> advance_together(Session& session, const std::vector<Share>& shares) {
    std::vector<StepRequest> requests;
    for (const Share& share : shares) {
      requests.push_back({share.sequence, share.tokens, Outputs::all()});
    }
    // Ours are in the middle of the step.
    const std::size_t place = shares.size() / 2;
    std::swap(requests.front(), requests[place]);
    const StepResult result = session.step(requests);
    const std::vector<float> logits = test::values_of(result);
    const auto columns = static_cast<std::size_t>(result.vocabulary_size());
    const auto first = static_cast<std::size_t>(result.first_row(place)) * columns;
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(first);
    return {begin, begin + static_cast<std::ptrdiff_t>(shares.front().tokens.size() * columns)};
  }

  // `logits` of the tokens from `first` on are those that the sequence has alone.
  void expect_same(const std::vector<float>& logits, std::size_t first, const std::string& what) {
    ASSERT_EQ(logits.size() % columns_, 0U);
    for (std::size_t r = 0; r < logits.size() / columns_; ++r) {
      if (std::memcmp(logits.data() + r * columns_, expected_.data() + (first + r) * columns_,
                      columns_ * sizeof(float)) == 0) {
        continue;
      }
      const auto error = test::relative_error(
          std::span(logits).subspan(r * columns_, columns_),
          std::span(expected_).subspan((first + r) * columns_, columns_), columns_);
      ADD_FAILURE() << what << ": position " << first + r << " has other bits, " << error.whole
                    << " away";
      return;
    }
  }

  void expect_same_in_chunks(const std::shared_ptr<const Executable>& executable,
                             std::size_t chunk) {
    Session session(executable);
    const SequenceId sequence = session.open();
    std::vector<float> logits;
    for (std::size_t i = 0; i < tokens_.size(); i += chunk) {
      const auto part = advance(session, sequence,
                                std::span(tokens_).subspan(i, std::min(chunk, tokens_.size() - i)));
      logits.insert(logits.end(), part.begin(), part.end());
    }
    expect_same(logits, 0, "chunks of " + std::to_string(chunk));
  }

  test::ScratchFolder folder_;
  std::shared_ptr<const Model> model_;
  std::vector<TokenId> tokens_;
  std::shared_ptr<const Executable> one_thread_;
  std::vector<float> expected_;
  std::size_t columns_ = 0;
};

TEST_P(DeterminismTest, ALoneSequenceDoesNotShowHowItWasCut) {
  for (const std::size_t chunk : {1, 7, 64, 512}) expect_same_in_chunks(one_thread_, chunk);
}

TEST_P(DeterminismTest, ThreadsDoNotShow) {
  const auto executable = load(3);
  for (const std::size_t chunk : {5, 300}) expect_same_in_chunks(executable, chunk);
}

// Others decode, or read their prompts, in the same steps.
TEST_P(DeterminismTest, NeighboursDoNotShow) {
  const std::size_t begin = tokens_.size() - 40;
  const auto other = text(tokens_.size(), 2);
  for (const std::size_t count : {2, 3, 5, 8, 9, 16}) {
    Session session(one_thread_);
    std::vector<Share> shares = {{session.open(), {}}};
    const auto prompt = std::span(tokens_).first(begin);
    expect_same(advance(session, shares[0].sequence, prompt), 0, "prompt");
    while (shares.size() < count) shares.push_back({session.open(), {}});
    std::size_t at = begin;
    std::size_t at_other = 0;
    // Rows of ours and of each other's in a step.
    for (const auto& [rows, rows_of_other] : std::vector<std::pair<std::size_t, std::size_t>>{
             {1, 1}, {1, 1}, {1, 9}, {2, 1}, {11, 2}, {20, 1}, {1, 3}}) {
      shares[0].tokens = std::span(tokens_).subspan(at, rows);
      for (std::size_t s = 1; s < count; ++s) {
        shares[s].tokens = std::span(other).subspan(at_other + s, rows_of_other);
      }
      expect_same(advance_together(session, shares), at,
                  std::to_string(rows) + " rows beside " + std::to_string(count - 1) + " times " +
                      std::to_string(rows_of_other));
      at += rows;
      at_other += rows_of_other;
    }
  }
}

TEST_P(DeterminismTest, APrefixThatIsReusedDoesNotShow) {
  Session session(one_thread_);
  const SequenceId first = session.open();
  const std::size_t begin = tokens_.size() - 30;  // within a page
  advance(session, first, std::span(tokens_).first(begin));
  const auto tail = std::span(tokens_).subspan(begin);
  const SequenceId second = session.fork(first);
  expect_same(advance(session, second, tail), begin, "a fork");
  session.save(first, folder_ / "sequence");
  const SequenceId third = session.restore(folder_ / "sequence");
  expect_same(advance(session, third, tail.first(3)), begin, "a restored sequence");
  expect_same(advance(session, third, tail.subspan(3)), begin + 3, "a restored sequence");
  advance(session, first, text(20, 3));
  ASSERT_EQ(session.rewind(first, static_cast<std::int64_t>(begin)),
            static_cast<std::int64_t>(begin));
  expect_same(advance(session, first, tail), begin, "a sequence that went back");
  Session other(one_thread_);
  const SequenceId elsewhere = other.restore(folder_ / "sequence");
  expect_same(advance(other, elsewhere, tail), begin, "another session");
}

const std::vector<Case> kCases = {
    // Dense, all kinds of weights; rows of the bundled model hold blocks of 256.
    {.model = "llama"},
    {.model = "llama", .cache = {DType::F32, DType::F32}},
    {.model = "llama", .weights = DType::F16, .cache = {DType::BF16, DType::BF16}},
    {.model = "llama", .weights = DType::Q8_0, .cache = {DType::Q8_0, DType::Q8_0}},
    {.model = "llama", .weights = DType::Q4_0, .cache = {DType::Q4_0, DType::Q4_0}},
    {.model = "llama", .weights = DType::Q4_0, .precision = Precision::f32},
    {.model = "nano", .weights = DType::Q4_K, .tokens = 200},
    {.model = "nano", .weights = DType::Q6_K, .cache = {DType::Q8_0, DType::F16}, .tokens = 100},
    // Experts.
    {.model = "qwen3moe"},
    {.model = "qwen3moe", .weights = DType::Q5_1, .cache = {DType::Q8_0, DType::Q8_0}},
    {.model = "mixtral", .weights = DType::IQ4_NL, .tokens = 120},
    // Latents.
    {.model = "deepseek2-lite"},
    {.model = "deepseek2-lite", .weights = DType::Q8_0, .tokens = 150},
    {.model = "deepseek3", .weights = DType::Q8_0, .cache = {DType::F32, DType::F32}},
    // Windows, with sinks and without.
    {.model = "gpt-oss"},
    {.model = "gpt-oss", .weights = DType::MXFP4, .cache = {DType::Q8_0, DType::Q8_0}},
    {.model = "gemma3", .tokens = 400},
    {.model = "starcoder2-window", .weights = DType::Q8_0},
    // The reference executor.
    {.model = "llama", .device = "reference", .tokens = 90},
    {.model = "qwen3moe", .device = "reference", .tokens = 90},
    {.model = "deepseek3", .device = "reference", .tokens = 90},
};

INSTANTIATE_TEST_SUITE_P(All, DeterminismTest, ::testing::ValuesIn(kCases),
                         [](const auto& parameter) { return parameter.param.name(); });

}  // namespace
}  // namespace ingot
