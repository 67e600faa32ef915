// What the ingot program does not let happen: an input replaced by its own output, damaged weights
// passed on as results, memory taken that was not granted.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "ingot/gguf_writer.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

namespace fs = std::filesystem;
using test::ProgramResult;
using test::read_array;
using test::run_ingot;
using test::ScratchFolder;
using Arguments = std::vector<std::string>;

std::string arch(const std::string& name) {
  return test::test_data("arch/" + name).string();
}

void expect_refused(const Arguments& arguments, int code, const std::string& part) {
  const ProgramResult result = run_ingot(arguments);
  const std::string shown = ::testing::PrintToString(arguments);
  EXPECT_EQ(result.exit_code, code) << shown << ": " << result.err;
  EXPECT_EQ(result.error_lines(), 1U) << shown << ": " << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << shown << ": " << result.err;
}

// ---- outputs that are inputs --------------------------------------------------------------------

class CliSameFile : public ::testing::Test {
 protected:
  CliSameFile() {
    copy("llama.gguf", "model.gguf");
    copy("tokens.i32", "tokens.i32");
    for (const std::string name : {"model.gguf", "tokens.i32"}) {
      fs::create_hard_link(folder_ / name, folder_ / ("hard-" + name));
      fs::create_symlink(name, folder_ / ("soft-" + name));
    }
    fs::create_directory(folder_ / "sub");
  }
  void copy(const std::string& from, const std::string& to) {
    fs::copy_file(arch(from), folder_ / to);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  /// The names by which `file` can be written to.
  std::vector<std::string> names_of(const std::string& file) const {
    return {at(file),           at("./" + file),    at("sub/../" + file),
            at("hard-" + file), at("soft-" + file), fs::relative(folder_ / file).string()};
  }
  void expect_refused_for(const std::string& file,
                          const std::function<Arguments(const std::string& out)>& command) {
    const auto before = read_array<std::byte>(folder_ / file);
    for (const std::string& name : names_of(file)) {
      expect_refused(command(name), 2, "same file");
      EXPECT_EQ(read_array<std::byte>(folder_ / file), before) << name;
    }
  }
  ScratchFolder folder_;
};

TEST_F(CliSameFile, LogitsReplaceNeitherModelNorTokens) {
  const auto command = [&](const std::string& out) {
    return Arguments{"logits", at("model.gguf"), "--tokens", at("tokens.i32"), "--out", out};
  };
  expect_refused_for("model.gguf", command);
  expect_refused_for("tokens.i32", command);
  // The second pair is looked at as well, also against the first pair's tokens.
  expect_refused_for("tokens.i32", [&](const std::string& out) {
    return Arguments{"logits",   at("model.gguf"), "--tokens",         at("tokens.i32"), "--out",
                     at("free"), "--tokens",       arch("tokens.i32"), "--out",          out};
  });
  EXPECT_FALSE(fs::exists(folder_ / "free"));
  EXPECT_EQ(run_ingot(command(at("new.f32"))).exit_code, 0);
  EXPECT_EQ(run_ingot(command(at("new.f32"))).exit_code, 0) << "results may be replaced";
}

TEST_F(CliSameFile, TwoOutputsAreNotOneFile) {
  const std::string tokens = at("tokens.i32");
  fs::create_symlink("target.f32", folder_ / "link.f32");
  for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
           {at("a"), at("a")}, {at("a"), at("./a")}, {at("link.f32"), at("target.f32")}}) {
    expect_refused({"logits", at("model.gguf"), "--tokens", tokens, "--out", a, "--tokens", tokens,
                    "--out", b},
                   2, "same file");
  }
}

TEST_F(CliSameFile, StandardInputIsAFileToo) {
  const auto before = read_array<std::byte>(folder_ / "tokens.i32");
  const std::string command = test::ingot_program().string() + " logits " + at("model.gguf") +
                              " --tokens - --out " + at("tokens.i32") + " < " + at("tokens.i32") +
                              " 2> " + at("message");
  EXPECT_NE(std::system(command.c_str()), 0);
  EXPECT_EQ(read_array<std::byte>(folder_ / "tokens.i32"), before);
}

TEST_F(CliSameFile, DequantizeAndQuantizeKeepTheirModel) {
  expect_refused_for("model.gguf", [&](const std::string& out) {
    return Arguments{"dequantize",         at("model.gguf"), "--tensor",
                     "output_norm.weight", "--out",          out};
  });
  expect_refused_for("model.gguf", [&](const std::string& out) {
    return Arguments{"quantize", at("model.gguf"), out, "--type", "Q8_0"};
  });
  expect_refused_for("model.gguf", [&](const std::string& out) {
    return Arguments{"quantize", at("soft-model.gguf"), out, "--type", "Q8_0"};
  });
}

// Every part of a split model is the model.
TEST_F(CliSameFile, PartsOfASplitModelAreKept) {
  const auto whole = GgufFile::open(arch("llama.gguf"));
  const std::size_t count = whole->tensors().size();
  for (std::uint16_t part = 0; part < 3; ++part) {
    GgufWriter writer;
    if (part == 0) {
      for (const auto& [key, value] : whole->metadata()) writer.set(key, value);
    }
    writer.set("split.no", part);
    writer.set("split.count", std::uint16_t{3});
    writer.set("split.tensors.count", static_cast<std::int32_t>(count));
    for (std::size_t i = part * count / 3; i < (part + 1U) * count / 3; ++i) {
      writer.add_tensor(whole->tensors()[i]);
    }
    writer.write(folder_ / ("split-0000" + std::to_string(part + 1) + "-of-00003.gguf"));
  }
  const std::string first = at("split-00001-of-00003.gguf");
  for (const std::string part :
       {"split-00001-of-00003.gguf", "split-00002-of-00003.gguf", "split-00003-of-00003.gguf"}) {
    fs::create_hard_link(folder_ / part, folder_ / ("hard-" + part));
    fs::create_symlink(part, folder_ / ("soft-" + part));
    expect_refused_for(part, [&](const std::string& out) {
      return Arguments{"quantize", first, out, "--type", "Q8_0"};
    });
    expect_refused_for(part, [&](const std::string& out) {
      return Arguments{"logits", first, "--tokens", at("tokens.i32"), "--out", out};
    });
    expect_refused_for(part, [&](const std::string& out) {
      return Arguments{"dequantize", first, "--tensor", "output_norm.weight", "--out", out};
    });
  }
  EXPECT_EQ(run_ingot({"quantize", first, at("whole.gguf"), "--type", "Q8_0"}).exit_code, 0);
}

// ---- damaged weights ----------------------------------------------------------------------------

/// The small llama with some elements of a tensor replaced.
std::string damaged_model(const ScratchFolder& folder, const std::string& tensor_name,
                          const std::vector<std::pair<std::size_t, float>>& elements) {
  const auto file = GgufFile::open(arch("llama.gguf"));
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file->tensors()) {
    if (tensor.name != tensor_name) {
      writer.add_tensor(tensor);
      continue;
    }
    std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
    dequantize(*tensor.dtype(), tensor.data, values);
    for (const auto& [place, value] : elements) values[place] = value;
    const auto bytes = std::as_bytes(std::span(values));
    writer.add_tensor(tensor.name, DType::F32, tensor.shape,
                      std::vector<std::byte>(bytes.begin(), bytes.end()));
  }
  const fs::path path = folder / "damaged.gguf";
  writer.write(path);
  return path.string();
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(CliNonFinite, QuantizeNamesTensorAndPosition) {
  const ScratchFolder folder;
  const std::string out = (folder / "out.gguf").string();
  const std::string matrix = "blk.0.attn_k.weight";
  const auto columns =
      static_cast<std::size_t>(GgufFile::open(arch("llama.gguf"))->tensor(matrix).columns());
  for (const std::string type : {"F16", "BF16", "Q8_0", "Q4_0", "MXFP4", "Q4_K"}) {
    for (const auto& [value, word] : std::vector<std::pair<float, std::string>>{
             {kNaN, "NaN"}, {kInf, "has infinity"}, {-kInf, "-infinity"}}) {
      const std::string model = damaged_model(folder, matrix, {{columns * 2 + 3, value}});
      const ProgramResult result = run_ingot({"quantize", model, out, "--type", type});
      EXPECT_EQ(result.exit_code, 1);
      for (const std::string& part :
           {matrix, word, std::string("row 2, column 3"), std::string("--allow-nonfinite")}) {
        EXPECT_NE(result.err.find(part), std::string::npos) << part << " in " << result.err;
      }
      EXPECT_FALSE(fs::exists(out));
    }
  }
  // Also in what is not converted: a norm, or a matrix that has the type already.
  expect_refused(
      {"quantize", damaged_model(folder, "output_norm.weight", {{5, kNaN}}), out, "--type", "Q8_0"},
      1, "'output_norm.weight'");
}

TEST(CliNonFinite, AllowedOnesAreReplacedAndCounted) {
  const ScratchFolder folder;
  const std::string out = (folder / "out.gguf").string();
  const std::string matrix = "blk.0.attn_k.weight";
  const std::string model =
      damaged_model(folder, matrix, {{0, kNaN}, {1, kInf}, {70, -kInf}, {200, kNaN}});
  for (const std::string type : {"F16", "BF16", "Q8_0", "Q4_0"}) {
    const ProgramResult result =
        run_ingot({"quantize", model, out, "--type", type, "--allow-nonfinite"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.err.find("replaced 4 elements"), std::string::npos) << result.err;
    const auto file = GgufFile::open(out);
    const GgufTensor& tensor = file->tensor(matrix);
    std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
    dequantize(*tensor.dtype(), tensor.data, values);
    for (const std::size_t place : {0, 1, 70, 200}) EXPECT_EQ(values[place], 0.0F) << type;
    for (const float value : values) ASSERT_TRUE(std::isfinite(value));
  }
  const std::string sound = arch("llama.gguf");
  const ProgramResult plain = run_ingot({"quantize", sound, out, "--type", "Q8_0"});
  EXPECT_EQ(plain.err.find("replaced"), std::string::npos);
  const auto without = read_array<std::byte>(out);
  EXPECT_EQ(run_ingot({"quantize", sound, out, "--type", "Q8_0", "--allow-nonfinite"}).exit_code,
            0);
  EXPECT_EQ(read_array<std::byte>(out), without) << "sound weights come out the same";
}

// A kept tensor of a quantized type: the blocks without damage stay bit for bit.
TEST(CliNonFinite, KeptBlocksStayAsTheyAre) {
  const ScratchFolder folder;
  const std::string once = (folder / "once.gguf").string();
  const std::string broken = (folder / "broken.gguf").string();
  const std::string out = (folder / "out.gguf").string();
  ASSERT_EQ(run_ingot({"quantize", arch("llama.gguf"), once, "--type", "Q8_0"}).exit_code, 0);
  const auto file = GgufFile::open(once);
  const std::string matrix = "blk.0.attn_k.weight";
  const auto good = file->tensor(matrix).data;
  std::vector<std::byte> bad(good.begin(), good.end());
  bad[34 * 3] = std::byte{0x00};  // the scale of block 3, an f16: NaN
  bad[34 * 3 + 1] = std::byte{0x7e};
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file->tensors()) {
    if (tensor.name == matrix) {
      writer.add_tensor(tensor.name, tensor.type_id, tensor.shape, std::span(bad));
    } else {
      writer.add_tensor(tensor);
    }
  }
  writer.write(broken);
  expect_refused({"quantize", broken, out, "--type", "Q8_0"}, 1, "at element 96 ");
  const ProgramResult result =
      run_ingot({"quantize", broken, out, "--type", "Q8_0", "--allow-nonfinite"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("replaced 32 elements"), std::string::npos) << result.err;
  const auto repaired = GgufFile::open(out);
  const auto now = repaired->tensor(matrix).data;
  ASSERT_EQ(now.size(), good.size());
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (i / 34 == 3) continue;
    ASSERT_EQ(now[i], good[i]) << i;
  }
}

// A finite weight that the type has no number for would be written as some other one.
TEST(CliNonFinite, WhatATypeCannotHoldIsDamageToo) {
  const ScratchFolder folder;
  const std::string out = (folder / "out.gguf").string();
  const std::string matrix = "blk.0.attn_k.weight";
  struct Case {
    std::string type;
    float holds;
    float beyond;
  };
  const std::vector<Case> cases = {{"F16", 65504.0F, 200000.0F},
                                   {"Q8_0", 65504.0F * 127, 1e8F},
                                   {"Q4_0", 65504.0F * 8, 2e6F},
                                   {"BF16", 3.38e38F, 3.4e38F}};
  for (const Case& wanted : cases) {
    const std::string good = damaged_model(folder, matrix, {{64, wanted.holds}});
    const ProgramResult fine = run_ingot({"quantize", good, out, "--type", wanted.type});
    EXPECT_EQ(fine.exit_code, 0) << wanted.type << " " << fine.err;
    fs::remove(out);
    const std::string bad = damaged_model(folder, matrix, {{64, -wanted.beyond}});
    expect_refused({"quantize", bad, out, "--type", wanted.type}, 1, "beyond what " + wanted.type);
    EXPECT_FALSE(fs::exists(out));
    const ProgramResult allowed =
        run_ingot({"quantize", bad, out, "--type", wanted.type, "--allow-nonfinite"});
    ASSERT_EQ(allowed.exit_code, 0) << allowed.err;
    EXPECT_NE(allowed.err.find("replaced 1 elements beyond"), std::string::npos) << allowed.err;
    const auto file = GgufFile::open(out);
    std::vector<float> values(static_cast<std::size_t>(file->tensor(matrix).element_count()));
    dequantize(*file->tensor(matrix).dtype(), file->tensor(matrix).data, values);
    EXPECT_TRUE(std::isfinite(values[64]));
    EXPECT_LE(values[64], -wanted.holds / 2);
    fs::remove(out);
  }
}

TEST(CliNonFinite, LogitsAndPerplexitySaySo) {
  const ScratchFolder folder;
  const std::string text = (folder / "text").string();
  std::ofstream(text) << std::string(4000, 'x');
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, float>>{{"output_norm.weight", kNaN},
                                                  {"output_norm.weight", kInf},
                                                  {"blk.1.ffn_down.weight", kNaN}}) {
    const std::string model = damaged_model(folder, name, {{0, value}});
    for (const std::string device : {"cpu", "reference"}) {
      const std::string out = (folder / "out.f32").string();
      expect_refused(
          {"logits", model, "--tokens", arch("tokens.i32"), "--out", out, "--device", device}, 1,
          "at position 0");
      EXPECT_FALSE(fs::exists(out));
    }
  }
  const auto nano = fs::path(INGOT_SOURCE_DIR) / "models/nano/ingot-nano-code-q8_0.gguf";
  const auto file = GgufFile::open(nano);
  GgufWriter writer;
  for (const auto& [key, entry] : file->metadata()) writer.set(key, entry);
  for (const GgufTensor& tensor : file->tensors()) {
    if (tensor.name != "output_norm.weight") {
      writer.add_tensor(tensor);
      continue;
    }
    std::vector<std::byte> bytes(tensor.data.begin(), tensor.data.end());
    std::memcpy(bytes.data(), &kNaN, sizeof(kNaN));
    writer.add_tensor(tensor.name, tensor.type_id, tensor.shape, std::move(bytes));
  }
  writer.write(folder / "nano.gguf");
  const std::string model = (folder / "nano.gguf").string();
  const ProgramResult perplexity =
      run_ingot({"perplexity", model, "--file", text, "--ctx", "64", "--windows", "1"});
  EXPECT_EQ(perplexity.exit_code, 1);
  EXPECT_EQ(perplexity.out, "");
  EXPECT_NE(perplexity.err.find("gives NaN at position 32"), std::string::npos) << perplexity.err;
  const ProgramResult run = run_ingot({"run", model, "-p", "x", "-n", "4"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.err.find("NaN"), std::string::npos) << run.err;
}

// ---- memory -------------------------------------------------------------------------------------

TEST(CliMemory, TheLimitIsTheUsers) {
  const std::string model = arch("llama.gguf");
  const ScratchFolder folder;
  const std::string out = (folder / "out").string();
  const Arguments logits = {"logits", model, "--tokens", arch("tokens.i32"), "--out", out};
  const auto with = [&](const std::string& size) {
    Arguments arguments = logits;
    arguments.insert(arguments.end(), {"--memory", size});
    return arguments;
  };
  for (const std::string size : {"1GiB", "1G", "1g", "1 GiB", "1gb", "1073741824", "0.5GiB",
                                 "512MiB", "512M", "900000KiB", "1TiB", "1000000000B", ".5G"}) {
    EXPECT_EQ(run_ingot(with(size)).exit_code, 0) << size;
  }
  // The plan says what was granted: the unit was understood.
  for (const auto& [size, shown] :
       std::vector<std::pair<std::string, std::string>>{{"100000", "97.66 KiB available"},
                                                        {"64K", "64.00 KiB available"},
                                                        {"64KiB", "64.00 KiB available"},
                                                        {"64kb", "62.50 KiB available"},
                                                        {"0.25MiB", "256.00 KiB available"},
                                                        {"1", "0.00 KiB available"}}) {
    expect_refused(with(size), 1, shown);
  }
  for (const std::string size : {"", "0", "-1", "many", "1.2.3G", "1Q", "1GiBB", "GiB", ".", "1e9",
                                 "17179869184G", "99999999999999999999", "1G 2", "0x10"}) {
    expect_refused(with(size), 2, "--memory");
  }
  // Every command that loads a model has it.
  for (const std::string command : {"run", "logits", "diff", "perplexity", "bench"}) {
    const ProgramResult help = run_ingot({command, "--help"});
    EXPECT_NE(help.out.find("--memory SIZE"), std::string::npos) << command;
  }
  expect_refused({"bench", model, "-p", "8", "-n", "0", "-r", "1", "--memory", "64K"}, 1,
                 "64.00 KiB available");
}

}  // namespace
}  // namespace ingot
