// Any bytes at all: reading them throws an ingot::Error, or gives a file that can be walked to its
// last byte and whose copy by GgufWriter says the same.
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "ingot/gguf.hpp"
#include "ingot/gguf_writer.hpp"
#include "support/gguf_bytes.hpp"

namespace {

std::vector<std::byte> copy(const ingot::GgufFile& file) {
  ingot::GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.set(key, value);
  for (const ingot::GgufTensor& tensor : file.tensors()) writer.add_tensor(tensor);
  return writer.to_bytes();
}

/// Any exception that leaves this function ends the program: a finding.
void check(std::span<const std::byte> bytes) {
  std::shared_ptr<const ingot::GgufFile> file;
  try {
    file = ingot::GgufFile::from_bytes(bytes, "fuzz");
  } catch (const ingot::Error&) {
    return;
  }
  const std::uint64_t sum = ingot::test::touch(*file);
  const std::vector<std::byte> copied = copy(*file);
  const auto again = ingot::GgufFile::from_bytes(copied, "fuzz");
  if (copy(*again) != copied) throw std::logic_error("a copy of a copy differs");
  // The walk sums every byte it reads, and two figures that a copy may change.
  const auto contents = [](std::uint64_t total, const ingot::GgufFile& walked) {
    return total - walked.version() - walked.total_bytes();
  };
  if (contents(sum, *file) != contents(ingot::test::touch(*again), *again)) {
    throw std::logic_error("a copy differs from its original");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check(std::as_bytes(std::span(data, size)));
  return 0;
}
