// Layouts of expert tensors that mean the same model. Broken by rows of gate and up exchanged, or
// by a part of a tensor that begins at a wrong place in experts behind the first.
#include "ingot/gguf_writer.hpp"
#include "tests/support/devices.hpp"
#include "tests/support/golden.hpp"

namespace ingot {
namespace {

// The file with ffn_gate_exps and ffn_up_exps as one tensor: in each expert gate's rows, then up's.
std::shared_ptr<const Model> with_fused_gate_up(const std::string& name) {
  const auto file = GgufFile::open(test::test_data("arch/" + name + ".gguf"));
  GgufWriter writer;
  for (const auto& [key, value] : file->metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file->tensors()) {
    const std::size_t at = tensor.name.find("ffn_gate_exps");
    if (tensor.name.find("ffn_up_exps") != std::string::npos) continue;
    if (at == std::string::npos) {
      writer.add_tensor(tensor);
      continue;
    }
    const std::string block = tensor.name.substr(0, at);
    const GgufTensor& up = file->tensor(block + "ffn_up_exps.weight");
    const auto experts = static_cast<std::size_t>(tensor.shape[2]);
    const std::size_t size = tensor.data.size() / experts;
    std::vector<std::byte> both;
    for (std::size_t e = 0; e < experts; ++e) {
      for (const auto& part : {tensor.data, up.data}) {
        const auto rows = part.subspan(e * size, size);
        both.insert(both.end(), rows.begin(), rows.end());
      }
    }
    writer.add_tensor(block + "ffn_gate_up_exps.weight", tensor.type_id,
                      {tensor.shape[0], 2 * tensor.shape[1], tensor.shape[2]}, std::move(both));
  }
  return Model::from_file(GgufFile::from_bytes(writer.to_bytes(), name + " (fused)"));
}

TEST(ExpertLayout, GateAndUpMayLieInOneTensor) {
  for (const std::string name : {"qwen3moe", "mixtral", "qwen2moe"}) {
    for (const std::string& device : test::test_device_names()) {
      Session session(Executable::load(with_fused_gate_up(name), test::options_for(device)));
      const auto logits = test::all_logits(session, session.open(), test::golden_tokens());
      const auto error = test::relative_error(logits, test::golden_logits(name), 512);
      EXPECT_LE(error.worst_row, 1e-4) << name << " on " << device;
    }
  }
}

}  // namespace
}  // namespace ingot
