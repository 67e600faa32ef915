// Ways to write one and the same model into a file: per-layer arrays, dimensions of 1, norms of 16
// bits, a tensor per expert. Broken by a layout that is refused, or read into the wrong place.
#include "tests/support/changed_model.hpp"
#include "tests/support/devices.hpp"
#include "tests/support/fixtures.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::add_values;
using test::changed_model;
using test::ModelChanges;
using test::values_of;

constexpr std::size_t kVocabulary = 512;

std::vector<float> logits_of(const std::shared_ptr<const Model>& model, const std::string& device) {
  LoadOptions options = test::options_for(device);
  options.compile.threads = 1;  // more would only wait for each other over such small models
  Session session(Executable::load(model, options));
  return test::all_logits(session, session.open(), test::golden_tokens());
}

std::vector<float> logits_of(const std::string& name, const ModelChanges& changes,
                             const std::string& device) {
  return logits_of(Model::from_file(changed_model(name, changes)), device);
}

/// Of a worst row, as for the golden models.
double bound_of(const std::string& device) {
  return device == "reference" ? 1e-5 : 1e-4;
}

/// Both files give the same bits on every device.
void expect_equal(const std::string& name, const ModelChanges& changes,
                  const ModelChanges& others = {}) {
  for (const std::string& device : test::test_device_names()) {
    EXPECT_TRUE(logits_of(name, changes, device) == logits_of(name, others, device))
        << name << " on " << device;
  }
}

std::string refusal(const std::string& name, const ModelChanges& changes) {
  try {
    Model::from_file(changed_model(name, changes))->program_text();
  } catch (const Error& error) {
    return error.what();
  }
  return "not refused";
}

template <class T>
ModelChanges with(const std::string& key, T value) {
  return {.metadata = [=](GgufWriter& writer) { writer.set(key, value); }};
}

/// The number `key` of the file, once for each of `layers`.
void repeat(GgufWriter& writer, const GgufFile& file, const std::string& key, std::size_t layers) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return;
  if (value->type() == GgufType::boolean) {
    writer.set(key, std::vector<bool>(layers, value->as<bool>()));
  } else if (value->type() == GgufType::float32) {
    writer.set(key, std::vector<float>(layers, value->as<float>()));
  } else {
    writer.set(key, std::vector<std::uint32_t>(layers, value->as<std::uint32_t>()));
  }
}

TEST(PerLayerArrays, EqualEntriesAreOneNumber) {
  for (const std::string name : {"llama", "llama-linear-rope", "qwen3moe", "gpt-oss", "deepseek3",
                                 "granite", "gemma3", "olmo3", "starcoder2-window", "phi3"}) {
    const auto file = GgufFile::open(test::test_data("arch/" + name + ".gguf"));
    const auto arch = file->get<std::string>("general.architecture") + ".";
    const auto layers = file->get<std::size_t>(arch + "block_count");
    const ModelChanges arrays = {.metadata = [&](GgufWriter& writer) {
      for (const auto& [key, value] : file->metadata()) {
        if (key.rfind(arch, 0) != 0 || key == arch + "block_count" || value.is_array() ||
            value.is_string() || key == arch + "attention.sliding_window_pattern") {
          continue;
        }
        repeat(writer, *file, key, layers);
      }
    }};
    expect_equal(name, arrays);
  }
}

TEST(PerLayerArrays, OfTheWrongLengthOrKindAreNamed) {
  const std::string key = "llama.attention.head_count_kv";
  using Sizes = std::vector<std::uint32_t>;
  EXPECT_NE(refusal("llama", with(key, Sizes{2, 2})).find(key + " has 2 entries for 3 layers"),
            std::string::npos);
  EXPECT_NE(refusal("llama", with(key, Sizes{})).find(key), std::string::npos);
  EXPECT_NE(refusal("llama", with(key, Sizes{2, 2, 0})).find(key + " is 0"), std::string::npos);
  EXPECT_NE(refusal("llama", with(key, Sizes{2, 3, 2})).find("layer 1"), std::string::npos);
  EXPECT_NE(refusal("llama", with(key, std::vector<std::string>{"2", "2", "2"})).find(key),
            std::string::npos);
  // What the arrays say and what the tensors are must agree.
  EXPECT_NE(refusal("llama", with("llama.attention.head_count", Sizes{4, 8, 4}))
                .find("blk.1.attn_q.weight"),
            std::string::npos);
  EXPECT_NE(refusal("llama", with("llama.feed_forward_length", Sizes{96, 96, 128}))
                .find("blk.2.ffn_gate.weight"),
            std::string::npos);
}

TEST(PerLayerArrays, WhatAnArchitectureHasOnceIsRefusedByName) {
  const auto layers = [](std::size_t count) {
    std::vector<std::uint32_t> values(count, 2);
    values.back() = 4;
    return values;
  };
  for (const char* key : {"llama.rope.dimension_count", "llama.attention.key_length",
                          "llama.embedding_length", "llama.context_length"}) {
    const std::string text = refusal("llama", with(key, layers(3)));
    EXPECT_NE(text.find(key), std::string::npos) << text;
    EXPECT_NE(text.find("different layers"), std::string::npos) << text;
  }
  for (const char* key : {"deepseek2.attention.head_count", "deepseek2.feed_forward_length",
                          "deepseek2.expert_used_count", "deepseek2.attention.kv_lora_rank"}) {
    const std::string text = refusal("deepseek3", with(key, layers(4)));
    EXPECT_NE(text.find(key), std::string::npos) << text;
    EXPECT_NE(text.find("different layers"), std::string::npos) << text;
  }
}

std::vector<float> twice(const std::vector<float>& values) {
  std::vector<float> both = values;
  both.insert(both.end(), values.begin(), values.end());
  return both;
}

/// A matrix with columns added behind each row.
std::vector<float> with_columns(const std::vector<float>& values, std::size_t columns,
                                const std::function<float(float*, std::size_t)>& added,
                                std::size_t count) {
  std::vector<float> out;
  for (std::size_t row = 0; row < values.size() / columns; ++row) {
    std::vector<float> line(values.begin() + static_cast<std::ptrdiff_t>(row * columns),
                            values.begin() + static_cast<std::ptrdiff_t>((row + 1) * columns));
    std::vector<float> more(count);
    for (std::size_t i = 0; i < count; ++i) more[i] = added(line.data(), i);
    out.insert(out.end(), line.begin(), line.end());
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

// The llama fixture (4 heads of 16, 2 KV heads, feed-forward 96, hidden 64) with layers that are
// larger and compute the same: in layer 0 each KV head is there twice, for one query head less; in
// layer 1 all heads are there twice, each giving half; in layer 2 the feed-forward block has 32
// more columns that nothing is made of.
TEST(PerLayerArrays, LayersMayDifferInHeadsAndFeedForward) {
  const auto grow = [](GgufWriter& writer, const GgufTensor& tensor) {
    const std::vector<float> values = values_of(tensor);
    const std::string& name = tensor.name;
    if (name == "blk.0.attn_k.weight" || name == "blk.0.attn_v.weight") {
      std::vector<float> out;
      for (std::size_t head = 0; head < 2; ++head) {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(head * 16 * 64);
        const auto rows = twice({begin, begin + 16 * 64});
        out.insert(out.end(), rows.begin(), rows.end());
      }
      add_values(writer, name, {64, 64}, out);
    } else if (name == "blk.1.attn_q.weight") {
      add_values(writer, name, {64, 128}, twice(values));
    } else if (name == "blk.1.attn_k.weight" || name == "blk.1.attn_v.weight") {
      add_values(writer, name, {64, 64}, twice(values));
    } else if (name == "blk.1.attn_output.weight") {
      const auto halve = [](float* row, std::size_t i) { return row[i] *= 0.5F; };
      add_values(writer, name, {128, 64}, with_columns(values, 64, halve, 64));
    } else if (name == "blk.2.ffn_gate.weight" || name == "blk.2.ffn_up.weight") {
      std::vector<float> out = values;
      out.insert(out.end(), values.begin(), values.begin() + 32 * 64);
      add_values(writer, name, {64, 128}, out);
    } else if (name == "blk.2.ffn_down.weight") {
      const auto zero = [](float*, std::size_t) { return 0.0F; };
      add_values(writer, name, {128, 64}, with_columns(values, 96, zero, 32));
    } else {
      return false;
    }
    return true;
  };
  const auto sizes = [](GgufWriter& writer) {
    writer.set("llama.attention.head_count", std::vector<std::uint32_t>{4, 8, 4});
    writer.set("llama.attention.head_count_kv", std::vector<std::int32_t>{4, 4, 2});
    writer.set("llama.feed_forward_length", std::vector<std::uint64_t>{96, 96, 128});
  };
  const auto model = Model::from_file(changed_model("llama", {.metadata = sizes, .tensor = grow}));
  EXPECT_EQ(model->spec().head_count, 8);
  EXPECT_EQ(model->spec().heads_of(0), 4);
  EXPECT_EQ(model->spec().kv_heads_of(2), 2);
  EXPECT_EQ(model->spec().feed_forward_of(2), 128);
  for (const std::string& device : test::test_device_names()) {
    const double bound = bound_of(device);
    const auto golden = test::golden_logits("llama");
    const auto error = test::relative_error(logits_of(model, device), golden, kVocabulary);
    EXPECT_LE(error.worst_row, bound) << device;
    const MemoryPlan plan = plan_memory(*model, test::options_for(device));
    EXPECT_EQ(plan.cache_bytes_per_token, (4U + 4U + 2U) * (16U + 16U) * sizeof(float));
  }
  // Saved and restored, forked and rewound: pages of layers with different numbers of heads.
  const auto executable = Executable::load(model, test::options_for("cpu"));
  const auto tokens = test::golden_tokens();
  Session session(executable);
  const SequenceId first = session.open();
  session.step({{first, std::span(tokens).first(30)}});
  const test::ScratchFolder folder;
  session.save(first, folder.path() / "sequence");
  Session other(executable);
  const SequenceId restored = other.restore(folder.path() / "sequence");
  const auto rest = std::span<const TokenId>(tokens).subspan(30);
  EXPECT_TRUE(test::values_of(other.step({{restored, rest}})) ==
              test::values_of(session.step({{first, rest}})));
}

// Experts of 32 columns in layers 0 and 2, of 64 in layer 1, whose second half counts nothing.
TEST(PerLayerArrays, LayersMayDifferInTheSizeOfExperts) {
  const auto grow = [](GgufWriter& writer, const GgufTensor& tensor) {
    if (tensor.name.rfind("blk.1.", 0) != 0 || tensor.shape.size() != 3) return false;
    const std::vector<float> values = values_of(tensor);
    const auto zero = [](float*, std::size_t) { return 0.0F; };
    if (tensor.name == "blk.1.ffn_down_exps.weight") {
      add_values(writer, tensor.name, {64, 48, 8}, with_columns(values, 32, zero, 32));
    } else {
      const auto copy = [](float* row, std::size_t i) { return row[i]; };
      add_values(writer, tensor.name, {48, 64, 8},
                 with_columns(values, 32 * 48, copy, 32 * 48));  // per expert, its rows again
    }
    return true;
  };
  for (const char* key : {"llama.feed_forward_length", "llama.expert_feed_forward_length"}) {
    const auto sizes = [key](GgufWriter& writer) {
      writer.set(key, std::vector<std::uint32_t>{32, 64, 32});
    };
    const auto model =
        Model::from_file(changed_model("mixtral", {.metadata = sizes, .tensor = grow}));
    EXPECT_EQ(model->spec().expert_feed_forward_of(1), 64);
    for (const std::string& device : test::test_device_names()) {
      const double bound = bound_of(device);
      const auto golden = test::golden_logits("mixtral");
      const auto error = test::relative_error(logits_of(model, device), golden, kVocabulary);
      EXPECT_LE(error.worst_row, bound) << key << " on " << device;
    }
  }
}

TEST(WindowPattern, FilesThatStateItAreBelieved) {
  for (const auto& [name, period] : {std::pair("olmo3", 4), std::pair("gpt-oss", 2)}) {
    const auto file = GgufFile::open(test::test_data("arch/" + std::string(name) + ".gguf"));
    const auto arch = file->get<std::string>("general.architecture");
    const std::string key = arch + ".attention.sliding_window_pattern";
    std::vector<bool> pattern;
    for (int i = 0; i < file->get<int>(arch + ".block_count"); ++i) {
      pattern.push_back(i % period != period - 1);
    }
    expect_equal(name, with(key, pattern));
    expect_equal(name, with(key, static_cast<std::uint32_t>(period)));
    pattern.flip();
    EXPECT_FALSE(logits_of(name, with(key, pattern), "cpu") == logits_of(name, {}, "cpu")) << name;
  }
}

TEST(Dimensions, OfOneAtTheEndChangeNothing) {
  for (const std::string name : {"llama", "qwen2", "mixtral", "qwen2moe", "gpt-oss", "deepseek3",
                                 "deepseek3-split", "phi3", "llama3-rope-factors"}) {
    for (const std::size_t wanted : {3, 4}) {
      const ModelChanges more = {.tensor = [=](GgufWriter& writer, const GgufTensor& tensor) {
        std::vector<std::int64_t> shape = tensor.shape;
        while (shape.size() < wanted) shape.push_back(1);
        writer.add_tensor(tensor.name, tensor.type_id, shape, tensor.data);
        return true;
      }};
      expect_equal(name, more);
    }
  }
}

TEST(Dimensions, VectorsMayStandUpright) {
  const ModelChanges upright = {.tensor = [](GgufWriter& writer, const GgufTensor& tensor) {
    if (tensor.shape.size() != 1) return false;
    writer.add_tensor(tensor.name, tensor.type_id, {1, tensor.shape[0]}, tensor.data);
    return true;
  }};
  for (const std::string name : {"llama", "starcoder2", "gpt-oss"}) expect_equal(name, upright);
}

TEST(Dimensions, ThatAreWrongAreStillRefused) {
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{32, 128}, {64, 32, 2}, {64, 64, 1, 2}, {4096}, {1, 64, 64}}) {
    const ModelChanges other = {.tensor = [&](GgufWriter& writer, const GgufTensor& tensor) {
      if (tensor.name != "blk.0.attn_q.weight") return false;
      const std::int64_t count = shape.size() == 4 ? 2 : 1;
      std::vector<float> values = values_of(tensor);
      if (count == 2) values = twice(values);
      add_values(writer, tensor.name, shape, values);
      return true;
    }};
    EXPECT_NE(refusal("llama", other).find("blk.0.attn_q.weight is ["), std::string::npos);
  }
}

/// Norms, biases, sinks and factors: what is added or multiplied element by element.
bool is_values(const GgufTensor& tensor) {
  const std::string bias = ".bias";
  const bool ends_in_bias =
      tensor.name.size() > bias.size() &&
      tensor.name.compare(tensor.name.size() - bias.size(), bias.size(), bias) == 0;
  return tensor.shape.size() == 1 || ends_in_bias;
}

TEST(StoredValues, NormsAndBiasesMayHaveAnyTypeThatIsComputedWith) {
  for (const std::string name :
       {"llama", "llama3-rope-factors", "qwen2", "qwen3", "starcoder2", "olmo2", "gpt-oss",
        "deepseek3", "phi3", "qwen2moe", "gemma3", "granite"}) {
    for (const DType type : {DType::F16, DType::BF16, DType::Q8_0}) {
      const auto encoded = [type](const GgufTensor& tensor) {
        std::vector<float> values = values_of(tensor);
        std::vector<std::byte> bytes(row_bytes(type, tensor.element_count()));
        quantize(type, values, bytes);
        return bytes;
      };
      const auto fits = [type](const GgufTensor& tensor) {
        return is_values(tensor) && (type != DType::Q8_0 || tensor.columns() % 32 == 0);
      };
      const ModelChanges stored = {.tensor = [&](GgufWriter& writer, const GgufTensor& tensor) {
        if (!fits(tensor)) return false;
        writer.add_tensor(tensor.name, type, tensor.shape, encoded(tensor));
        return true;
      }};
      // The same numbers in F32.
      const ModelChanges rounded = {.tensor = [&](GgufWriter& writer, const GgufTensor& tensor) {
        if (!fits(tensor)) return false;
        std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
        dequantize(type, encoded(tensor), values);
        add_values(writer, tensor.name, tensor.shape, values);
        return true;
      }};
      expect_equal(name, stored, rounded);
    }
  }
}

TEST(StoredValues, ThePlanCountsThemAsTheyAreHeld) {
  const ModelChanges half = {.tensor = [](GgufWriter& writer, const GgufTensor& tensor) {
    if (!is_values(tensor)) return false;
    add_values(writer, tensor.name, tensor.shape, values_of(tensor), DType::F16);
    return true;
  }};
  for (const std::string& device : test::test_device_names()) {
    const auto model = Model::from_file(changed_model("qwen2", half));
    const auto plain = Model::from_file(changed_model("qwen2", {}));
    const LoadOptions options = test::options_for(device);
    EXPECT_EQ(plan_memory(*model, options).weights_bytes,
              plan_memory(*plain, options).weights_bytes);
    const PackReport report = Executable::load(model, options)->pack_report();
    EXPECT_EQ(report.packed_bytes + report.mapped_bytes,
              plan_memory(*model, options).weights_bytes);
  }
}

/// Expert matrices in `type`, as one tensor or as one per expert.
ModelChanges experts(DType type, bool split) {
  return {.tensor = [=](GgufWriter& writer, const GgufTensor& tensor) {
    const std::size_t at = tensor.name.find("_exps.weight");
    if (at == std::string::npos) return false;
    const std::vector<float> values = values_of(tensor);
    if (!split) {
      add_values(writer, tensor.name, tensor.shape, values, type);
      return true;
    }
    const auto size = static_cast<std::ptrdiff_t>(tensor.shape[0] * tensor.shape[1]);
    for (std::int64_t e = 0; e < tensor.shape[2]; ++e) {
      const auto begin = values.begin() + e * size;
      add_values(writer, tensor.name.substr(0, at) + "." + std::to_string(e) + ".weight",
                 {tensor.shape[0], tensor.shape[1]}, {begin, begin + size}, type);
    }
    return true;
  }};
}

TEST(TensorPerExpert, IsTheSameModel) {
  // qwen3moe's matrices have whole blocks and whole groups of 16 rows, so they are interleaved.
  for (const std::string name : {"mixtral", "qwen3moe", "gpt-oss"}) {
    for (const DType type : {DType::F32, DType::F16, DType::Q8_0, DType::Q4_0}) {
      const bool blocks = block_size(type) > 1;
      if (blocks && name == "mixtral") continue;  // 48 columns
      expect_equal(name, experts(type, true), experts(type, false));
    }
  }
}

TEST(TensorPerExpert, TakesTheMemoryThatWasPlanned) {
  for (const DType type : {DType::F32, DType::Q8_0}) {
    for (const std::string& device : test::test_device_names()) {
      const auto split = Model::from_file(changed_model("qwen3moe", experts(type, true)));
      const auto whole = Model::from_file(changed_model("qwen3moe", experts(type, false)));
      const LoadOptions options = test::options_for(device);
      const MemoryPlan plan = plan_memory(*split, options);
      EXPECT_EQ(plan.weights_bytes, plan_memory(*whole, options).weights_bytes);
      const PackReport report = Executable::load(split, options)->pack_report();
      EXPECT_EQ(report.packed_bytes + report.mapped_bytes, plan.weights_bytes);
      EXPECT_EQ(split->spec().parameter_count, whole->spec().parameter_count);
      EXPECT_EQ(split->spec().active_parameter_count, whole->spec().active_parameter_count);
    }
  }
}

TEST(TensorPerExpert, MissingOddAndLeftOverExpertsAreNamed) {
  ModelChanges changes = experts(DType::F32, true);
  const auto write = changes.tensor;
  const auto expect_named = [&](const std::string& name, const std::string& part) {
    const std::string text = refusal("mixtral", changes);
    EXPECT_NE(text.find(name), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  changes.metadata = [](GgufWriter& writer) { writer.set("llama.expert_count", std::uint32_t{9}); };
  changes.without_tensors = {"blk.0.ffn_gate_inp.weight"};
  changes.tensor = [&](GgufWriter& writer, const GgufTensor& tensor) {
    if (tensor.name == "blk.1.ffn_norm.weight") {
      add_values(writer, "blk.0.ffn_gate_inp.weight", {48, 9}, std::vector<float>(48 * 9));
    }
    return write(writer, tensor);
  };
  expect_named("blk.0.ffn_gate.8.weight", "missing");

  changes = experts(DType::F32, true);
  changes.tensor = [&](GgufWriter& writer, const GgufTensor& tensor) {
    if (tensor.name != "blk.2.ffn_norm.weight") return write(writer, tensor);
    add_values(writer, "blk.2.ffn_up.8.weight", {48, 32}, std::vector<float>(48 * 32));
    return false;
  };
  expect_named("blk.2.ffn_up.8.weight", "not");

  // One expert of another type, one of another shape.
  for (const bool odd_type : {true, false}) {
    changes.tensor = [&](GgufWriter& writer, const GgufTensor& tensor) {
      if (tensor.name != "blk.1.ffn_down_exps.weight") return write(writer, tensor);
      for (int e = 0; e < 8; ++e) {
        const bool odd = e == 5;
        const std::int64_t rows = odd && !odd_type ? 47 : 48;
        add_values(writer, "blk.1.ffn_down." + std::to_string(e) + ".weight", {32, rows},
                   std::vector<float>(static_cast<std::size_t>(32 * rows)),
                   odd && odd_type ? DType::F16 : DType::F32);
      }
      return true;
    };
    expect_named("blk.1.ffn_down.5.weight", odd_type ? "one type" : "[47, 32]");
  }
}

/// Files that once showed a fault, beside the model they are.
class FaultFile : public ::testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path path(const std::string& name) {
    return test::fixtures() / "faults" / (name + ".gguf");
  }
};

TEST_P(FaultFile, IsTheModelItIsMadeFrom) {
  INGOT_NEED_FIXTURE(std::filesystem::exists(path(GetParam())), path(GetParam()));
  const auto model = Model::open(path(GetParam()));
  for (const std::string& device : test::test_device_names()) {
    const double bound = bound_of(device);
    const std::vector<float> logits = logits_of(model, device);
    if (GetParam() == "mixold") {
      EXPECT_TRUE(logits == logits_of(Model::open(path("mixnew")), device)) << device;
    } else {
      // norm_f16 rounds the weights of one norm to 11 bits.
      const double rounding = GetParam() == "norm_f16" ? 0x1p-11 : 0;
      const auto golden = test::golden_logits("llama");
      const auto error = test::relative_error(logits, golden, kVocabulary);
      EXPECT_LE(error.worst_row, bound + rounding) << device;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FaultFile,
                         ::testing::Values("mixold", "hkv_array", "dims3", "norm_f16"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace ingot
