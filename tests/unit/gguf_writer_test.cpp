// What is written reads back the same, byte for byte where another tool wrote it first, and a write
// that fails leaves nothing behind.
#include "ingot/gguf_writer.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "ingot/gguf.hpp"
#include "support/binary_file.hpp"
#include "support/fixtures.hpp"
#include "support/gguf_bytes.hpp"
#include "support/scratch_folder.hpp"

namespace ingot {
namespace {

using test::ScratchFolder;

std::vector<std::byte> pattern(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 3);
  return bytes;
}

GgufWriter copy_of(const GgufFile& file) {
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.set(key, value);
  for (const GgufTensor& tensor : file.tensors()) writer.add_tensor(tensor);
  return writer;
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// What `write` throws must be this Error.
template <class Write>
::testing::AssertionResult refused(ErrorCode code, std::string_view because, Write write) {
  try {
    write();
    return ::testing::AssertionFailure() << "no error";
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.code() == code && message.find(because) != std::string::npos) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << to_string(error.code()) << ": " << message;
  }
}

// Broken: a value type is written as another, or its edge values change.
TEST(GgufWriter, EveryValueTypeReadsBack) {
  GgufWriter writer;
  const auto edges = [&](const std::string& name, auto kind) {
    using T = decltype(kind);
    writer.set(name + ".low", std::numeric_limits<T>::lowest());
    writer.set(name + ".high", std::numeric_limits<T>::max());
    writer.set(name + ".list", std::vector<T>{T{0}, std::numeric_limits<T>::max()});
  };
  edges("u8", std::uint8_t{});
  edges("i8", std::int8_t{});
  edges("u16", std::uint16_t{});
  edges("i16", std::int16_t{});
  edges("u32", std::uint32_t{});
  edges("i32", std::int32_t{});
  edges("u64", std::uint64_t{});
  edges("i64", std::int64_t{});
  edges("f32", float{});
  edges("f64", double{});
  writer.set("bool", true);
  writer.set("bools", std::vector<bool>{false, true, true});
  writer.set("literal", "text");
  writer.set("view", std::string_view("with\0zero", 9));
  writer.set("strings", std::vector<std::string>{"a", "", "\xff"});
  writer.set("views", std::vector<std::string_view>{"x"});
  writer.set("none", std::vector<float>{});
  writer.set("nested", std::vector<std::vector<std::string>>{{"a", "b"}, {}});

  const auto file = GgufFile::from_bytes(writer.to_bytes(), "round trip");
  EXPECT_EQ(file->version(), 3U);
  const auto check = [&](const std::string& name, auto kind, GgufType type) {
    using T = decltype(kind);
    SCOPED_TRACE(name);
    EXPECT_EQ(file->find(name + ".low")->type(), type);
    EXPECT_EQ(file->find(name + ".list")->element_type(), type);
    EXPECT_EQ(file->get<T>(name + ".low"), std::numeric_limits<T>::lowest());
    EXPECT_EQ(file->get<T>(name + ".high"), std::numeric_limits<T>::max());
    EXPECT_EQ(file->get<std::vector<T>>(name + ".list"),
              (std::vector<T>{T{0}, std::numeric_limits<T>::max()}));
  };
  check("u8", std::uint8_t{}, GgufType::uint8);
  check("i8", std::int8_t{}, GgufType::int8);
  check("u16", std::uint16_t{}, GgufType::uint16);
  check("i16", std::int16_t{}, GgufType::int16);
  check("u32", std::uint32_t{}, GgufType::uint32);
  check("i32", std::int32_t{}, GgufType::int32);
  check("u64", std::uint64_t{}, GgufType::uint64);
  check("i64", std::int64_t{}, GgufType::int64);
  check("f32", float{}, GgufType::float32);
  check("f64", double{}, GgufType::float64);
  EXPECT_TRUE(file->get<bool>("bool"));
  EXPECT_EQ(file->get<std::vector<bool>>("bools"), (std::vector<bool>{false, true, true}));
  EXPECT_EQ(file->get<std::string>("literal"), "text");
  EXPECT_EQ(file->get<std::string>("view"), std::string("with\0zero", 9));
  EXPECT_EQ(file->get<std::vector<std::string>>("strings"),
            (std::vector<std::string>{"a", "", "\xff"}));
  EXPECT_EQ(file->get<std::vector<std::string>>("views"), std::vector<std::string>{"x"});
  EXPECT_EQ(file->find("none")->element_type(), GgufType::float32);
  EXPECT_EQ(file->get<std::vector<std::vector<std::string>>>("nested"),
            (std::vector<std::vector<std::string>>{{"a", "b"}, {}}));
  EXPECT_NO_THROW(test::touch(*file));
}

// Broken: a file copied key by key and tensor by tensor differs from what another tool wrote.
TEST(GgufWriter, CopiesOfFixturesAreTheSameBytes) {
  const std::filesystem::path folder = test::fixtures();
  INGOT_NEED_FIXTURE(std::filesystem::exists(folder), folder);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().string());
    const auto file = GgufFile::open(entry.path());
    const std::vector<std::byte> copy = copy_of(*file).to_bytes();
    std::vector<std::byte> original = test::read_array<std::byte>(entry.path());
    // Without tensors some tools pad the end of the file and some do not; we do not.
    if (file->tensors().empty() && original.size() > copy.size()) {
      ASSERT_EQ(original.size(), gguf::align_up(copy.size(), gguf::kDefaultAlignment));
      EXPECT_TRUE(std::all_of(original.begin() + static_cast<std::ptrdiff_t>(copy.size()),
                              original.end(), [](std::byte byte) { return byte == std::byte{0}; }));
      original.resize(copy.size());
    }
    EXPECT_TRUE(copy == original);
  }
}

// Broken: tensors borrowed, owned and streamed in pieces come out different, or misaligned.
TEST(GgufWriter, TensorsReadBackHoweverTheyAreGiven) {
  for (const std::uint32_t alignment : {8U, 32U, 4096U}) {
    SCOPED_TRACE(alignment);
    const std::vector<std::byte> row = pattern(3 * 34);
    const std::vector<std::byte> large = pattern(1000003);
    GgufWriter writer;
    writer.set("general.alignment", alignment);
    writer.add_tensor("borrowed", DType::Q8_0, {32, 3}, row);
    writer.add_tensor("owned", DType::F32, {5}, pattern(20));
    writer.add_tensor("streamed", 24, {1000003}, [&](const GgufWriter::Sink& sink) {
      for (std::size_t at = 0; at < large.size(); at += 4099) {
        sink(std::span(large).subspan(at, std::min<std::size_t>(4099, large.size() - at)));
      }
    });
    writer.add_tensor("after", std::uint32_t{27}, {1, 1, 1, 2}, pattern(16));

    const ScratchFolder folder;
    const auto path = folder / "model.gguf";
    writer.write(path);
    EXPECT_EQ(files_in(folder.path()), 1U) << "a temporary file is left behind";
    EXPECT_TRUE(test::read_array<std::byte>(path) == writer.to_bytes());
    const auto file = GgufFile::open(path);
    EXPECT_NO_THROW(test::touch(*file));
    const auto same = [](std::span<const std::byte> a, const std::vector<std::byte>& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    EXPECT_TRUE(same(file->tensor("borrowed").data, row));
    EXPECT_TRUE(same(file->tensor("owned").data, pattern(20)));
    EXPECT_TRUE(same(file->tensor("streamed").data, large));
    EXPECT_TRUE(same(file->tensor("after").data, pattern(16)));
    EXPECT_EQ(file->tensor("after").shape, (std::vector<std::int64_t>{1, 1, 1, 2}));
    for (const GgufTensor& tensor : file->tensors()) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data.data()) % alignment, 0U)
          << tensor.name;
    }
  }
}

// Broken: setting a key again appends a duplicate, which the reader refuses.
TEST(GgufWriter, SettingAgainReplacesInPlace) {
  GgufWriter writer;
  writer.set("a", 1);
  writer.set("b", 2);
  writer.set("a", "three");
  EXPECT_TRUE(writer.erase("b"));
  EXPECT_FALSE(writer.erase("b"));
  writer.set("c", 4.0F);
  const auto file = GgufFile::from_bytes(writer.to_bytes(), "replaced");
  ASSERT_EQ(file->metadata().size(), 2U);
  EXPECT_EQ(file->metadata()[0].first, "a");
  EXPECT_EQ(file->get<std::string>("a"), "three");
}

// Broken: the writer makes a file that the reader refuses.
TEST(GgufWriter, RefusesWhatTheReaderWouldRefuse) {
  const std::vector<std::byte> bytes = pattern(4);
  GgufWriter writer;
  writer.add_tensor("t", DType::F32, {1}, bytes);
  const auto adding = [&](const std::string& name, GgufWriter::StorageType type,
                          std::vector<std::int64_t> shape) {
    return [&writer, &bytes, name, type, shape] { writer.add_tensor(name, type, shape, bytes); };
  };
  constexpr auto kCode = ErrorCode::invalid_argument;
  EXPECT_TRUE(refused(kCode, "added before", adding("t", DType::F32, {1})));
  EXPECT_TRUE(refused(kCode, "1024", adding("", DType::F32, {1})));
  EXPECT_TRUE(refused(kCode, "1025", adding(std::string(1025, 'n'), DType::F32, {1})));
  EXPECT_TRUE(refused(kCode, "unknown type 99", adding("n", 99U, {1})));
  EXPECT_TRUE(refused(kCode, "dimensions", adding("n", DType::F32, {})));
  EXPECT_TRUE(refused(kCode, "dimensions", adding("n", DType::F32, {1, 1, 1, 1, 1})));
  EXPECT_TRUE(refused(kCode, "below 1", adding("n", DType::F32, {1, 0})));
  EXPECT_TRUE(refused(kCode, "below 1", adding("n", DType::F32, {-1, -1})));
  EXPECT_TRUE(refused(kCode, "block of 256", adding("n", DType::Q4_K, {128, 2})));
  EXPECT_TRUE(refused(kCode, "addressed",
                      adding("n", DType::F32, {std::numeric_limits<std::int64_t>::max(), 2})));
  EXPECT_TRUE(refused(kCode, "needs 8 bytes, but 4", adding("n", DType::F32, {2})));
  EXPECT_TRUE(refused(kCode, "metadata key", [&] { writer.set("", 1); }));
  EXPECT_TRUE(refused(kCode, "metadata key", [&] { writer.set(std::string(65536, 'k'), 1); }));
  for (const int alignment : {0, 4, 48, -32}) {
    EXPECT_TRUE(
        refused(kCode, "power of two", [&] { writer.set("general.alignment", alignment); }));
  }
  EXPECT_TRUE(refused(kCode, "power of two", [&] { writer.set("general.alignment", "32"); }));
  EXPECT_EQ(GgufFile::from_bytes(writer.to_bytes(), "left")->tensors().size(), 1U);
}

// Broken: a write that fails half way damages the file that was there, or leaves a part of one.
TEST(GgufWriter, AFailedWriteLeavesEverythingAsItWas) {
  const ScratchFolder folder;
  const auto path = folder / "model.gguf";
  GgufWriter old_model;
  old_model.set("general.name", "old");
  old_model.write(path);

  const auto still_old = [&] {
    return files_in(folder.path()) == 1 &&
           GgufFile::open(path)->get<std::string>("general.name") == "old";
  };
  const auto streaming = [](GgufWriter::Source source) {
    GgufWriter writer;
    writer.add_tensor("t", DType::F32, {2}, std::move(source));
    return writer;
  };
  const std::vector<std::byte> four = pattern(4);
  const GgufWriter few = streaming([&](const GgufWriter::Sink& sink) { sink(four); });
  EXPECT_TRUE(
      refused(ErrorCode::invalid_argument, "needs 8 bytes, but 4", [&] { few.write(path); }));
  EXPECT_TRUE(still_old());
  const GgufWriter many = streaming([&](const GgufWriter::Sink& sink) {
    for (;;) sink(four);  // would fill the disk
  });
  EXPECT_TRUE(
      refused(ErrorCode::invalid_argument, "needs 8 bytes, but 12", [&] { many.write(path); }));
  EXPECT_TRUE(still_old());
  const GgufWriter throwing =
      streaming([](const GgufWriter::Sink&) { throw std::runtime_error("no more weights"); });
  EXPECT_THROW(throwing.write(path), std::runtime_error);
  EXPECT_TRUE(still_old());
  EXPECT_TRUE(refused(ErrorCode::io, "absent", [&] { few.write(folder / "absent/model.gguf"); }));
}

// Broken: a full disk goes unnoticed. A limit on file sizes stands in for it.
// As root, a rename would replace the device itself.
TEST(GgufWriter, ADeviceIsNeverReplaced) {
  GgufWriter writer;
  EXPECT_TRUE(refused(ErrorCode::io, "not a regular file", [&] { writer.write("/dev/null"); }));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(GgufWriter, AFullDiskIsAnError) {
  const ScratchFolder folder;
  GgufWriter writer;
  writer.add_tensor("t", 24, {1 << 20}, pattern(1 << 20));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 300000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto outcome =
      refused(ErrorCode::io, "free space", [&] { writer.write(folder / "model.gguf"); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(outcome);
  EXPECT_EQ(files_in(folder.path()), 0U);
}

}  // namespace
}  // namespace ingot
