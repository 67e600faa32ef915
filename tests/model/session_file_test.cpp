// Saved sequences as an attacker or a failing disk would hand them over: every one is refused with
// an Error, or is a sequence that works.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <random>

#include "tests/support/golden.hpp"
#include "tests/support/scratch_folder.hpp"

namespace ingot {
namespace {

using Bytes = std::vector<std::byte>;

// The file's header, as src/session/save.cpp lays it out.
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kKeyTypeAt = 12;
constexpr std::size_t kValueTypeAt = 16;
constexpr std::size_t kPageTokensAt = 20;
constexpr std::size_t kModelAt = 24;
constexpr std::size_t kPositionsAt = 32;
constexpr std::size_t kStateBytesAt = 40;
constexpr std::size_t kIdsAt = 48;

std::uint64_t checksum(std::span<const std::byte> bytes) {
  std::uint64_t value = 0xcbf29ce484222325ULL;
  const auto add = [&](std::span<const std::byte> part) {
    while (!part.empty()) {
      std::uint64_t word = 0;
      const std::size_t count = std::min<std::size_t>(part.size(), sizeof(word));
      std::memcpy(&word, part.data(), count);
      value = (value ^ word) * 0x100000001b3ULL;
      value ^= value >> 32;
      part = part.subspan(count);
    }
  };
  add(bytes);
  return value;
}

class SessionFile : public ::testing::Test {
 protected:
  SessionFile() {
    LoadOptions options = test::options_for("cpu", DType::Q8_0);
    options.max_sequences = 2;
    options.run.context = 128;
    options.compile.threads = 1;
    executable_ = Executable::load(test::small_model("llama"), options);
    session_ = std::make_unique<Session>(executable_);
    tokens_ = test::golden_tokens();
    tokens_.resize(40);  // an even number: ids end on a border of the checksum's words
    sequence_ = session_->open();
    session_->step({{sequence_, tokens_}});
    session_->save(sequence_, path());
    saved_ = test::read_array<std::byte>(path());
  }

  std::filesystem::path path() const { return folder_ / "sequence.ingot"; }

  template <class T>
  static void put(Bytes& bytes, std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof(value));
  }
  /// Makes the checksum right again, so that what is tested lies behind it.
  static void seal(Bytes& bytes) {
    if (bytes.size() < 8) return;
    const std::size_t end = bytes.size() - 8;
    put(bytes, end, checksum(std::span(bytes).first(end)));
  }

  /// Restores the bytes and steps on. True if they were a sequence; an Error must be bad_file.
  bool is_accepted(const Bytes& bytes, std::string* message = nullptr) {
    folder_.file("hostile.ingot", bytes);
    SequenceId restored;
    try {
      restored = session_->restore(folder_ / "hostile.ingot");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_file) << error.what();
      if (message != nullptr) *message = error.what();
      return false;
    }
    for (const TokenId id : session_->tokens(restored)) {
      EXPECT_GE(id, 0);
      EXPECT_LT(id, 512);
    }
    EXPECT_EQ(static_cast<std::size_t>(session_->position(restored)),
              session_->tokens(restored).size());
    const TokenId next = 7;
    if (session_->position(restored) < session_->context()) {
      session_->step({{restored, std::span(&next, 1)}});
    }
    session_->close(restored);
    return true;
  }

  void expect_refused(const Bytes& bytes, const std::string& part) {
    std::string message;
    EXPECT_FALSE(is_accepted(bytes, &message)) << part;
    EXPECT_NE(message.find(part), std::string::npos) << message;
    // Nothing of it is left: the slot is free, and the good file is restored.
    EXPECT_TRUE(is_accepted(saved_));
  }

  test::ScratchFolder folder_;
  std::shared_ptr<const Executable> executable_;
  std::unique_ptr<Session> session_;
  std::vector<TokenId> tokens_;
  SequenceId sequence_;
  Bytes saved_;
};

TEST_F(SessionFile, TheTestKnowsTheFormat) {
  Bytes copy = saved_;
  seal(copy);
  ASSERT_EQ(copy, saved_);
  ASSERT_EQ(std::memcmp(saved_.data() + kIdsAt, tokens_.data(), tokens_.size() * 4), 0);
  EXPECT_TRUE(is_accepted(saved_));
}

TEST_F(SessionFile, IdsOutsideTheVocabularyAreRefused) {
  for (const TokenId id :
       {512, -1, std::numeric_limits<TokenId>::max(), std::numeric_limits<TokenId>::min()}) {
    for (const std::size_t place : {std::size_t{0}, tokens_.size() / 2, tokens_.size() - 1}) {
      Bytes bytes = saved_;
      put(bytes, kIdsAt + place * sizeof(TokenId), id);
      seal(bytes);
      expect_refused(bytes, "id " + std::to_string(id) + " at position " + std::to_string(place));
    }
  }
  Bytes last = saved_;
  put(last, kIdsAt, TokenId{511});
  seal(last);
  EXPECT_TRUE(is_accepted(last)) << "the last id of the vocabulary";
}

TEST_F(SessionFile, EveryOtherFieldIsCheckedBehindARightChecksum) {
  const auto with = [&](std::size_t at, auto value) {
    Bytes bytes = saved_;
    put(bytes, at, value);
    seal(bytes);
    return bytes;
  };
  expect_refused(with(0, 'X'), "it is not one");
  expect_refused(with(kVersionAt, std::uint32_t{99}), "version is 99");
  for (const std::size_t at : {kKeyTypeAt, kValueTypeAt}) {
    for (const std::uint32_t type : {0U, 1U, 999U, ~0U}) {
      expect_refused(with(at, type), "other cache types");
    }
  }
  for (const std::uint32_t count : {0U, 63U, 128U, ~0U}) {
    expect_refused(with(kPageTokensAt, count), "another size");
  }
  expect_refused(with(kModelAt, std::uint64_t{1}), "another model");
  for (const std::uint64_t positions :
       {std::uint64_t{129}, std::uint64_t{1} << 32, std::uint64_t{1} << 62, std::uint64_t{1} << 63,
        ~std::uint64_t{0}}) {
    expect_refused(with(kPositionsAt, positions), "the context is 128");
  }
  for (const std::uint64_t positions : {0, 1, 39, 41, 63, 64, 65, 128}) {
    std::string message;
    EXPECT_FALSE(is_accepted(with(kPositionsAt, positions), &message)) << positions;
  }
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
    expect_refused(with(kStateBytesAt, bytes), "another size");
  }
}

TEST_F(SessionFile, FilesOfAnyOtherLengthAreRefused) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{8}, std::size_t{47},
                                 kIdsAt, kIdsAt + 3, saved_.size() - 8, saved_.size() - 1}) {
    Bytes bytes(saved_.begin(), saved_.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(is_accepted(bytes)) << size;
    seal(bytes);
    EXPECT_FALSE(is_accepted(bytes)) << size;
  }
  Bytes longer = saved_;
  longer.resize(longer.size() + 8);
  seal(longer);
  expect_refused(longer, "bytes instead of");
}

// The cache's own bytes are numbers of whatever value; they must not lead anywhere else.
TEST_F(SessionFile, ArbitraryPagesAreRestoredAndStepped) {
  std::mt19937 random(7);
  for (int round = 0; round < 4; ++round) {
    Bytes bytes = saved_;
    for (std::size_t i = kIdsAt + tokens_.size() * 4; i + 8 < bytes.size(); ++i) {
      bytes[i] = round == 0 ? std::byte{0xff} : static_cast<std::byte>(random());
    }
    seal(bytes);
    EXPECT_TRUE(is_accepted(bytes));
  }
}

TEST_F(SessionFile, MutatedFilesAreRefusedOrWork) {
  std::mt19937 random(21);
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    Bytes bytes = saved_;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) {
      // Mostly the header and the ids: that is where meaning lies.
      const std::size_t range = random() % 4 != 0 ? kIdsAt + tokens_.size() * 4 : bytes.size();
      const std::size_t at = random() % range;
      switch (random() % 3) {
        case 0: bytes[at] = static_cast<std::byte>(random()); break;
        case 1: bytes[at] ^= static_cast<std::byte>(1U << (random() % 8)); break;
        default: bytes[at] = random() % 2 != 0 ? std::byte{0xff} : std::byte{0}; break;
      }
    }
    if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 64));
    const bool sealed = random() % 4 != 0;
    if (sealed) seal(bytes);
    const bool good = is_accepted(bytes);
    (good ? accepted : refused) += 1;
    if (!sealed && bytes != saved_) {
      EXPECT_FALSE(good) << "the checksum says nothing";
    }
  }
  EXPECT_GT(accepted, 50);
  EXPECT_GT(refused, 500);
  EXPECT_TRUE(is_accepted(saved_));
  EXPECT_EQ(session_->position(sequence_), 40) << "the open sequence is untouched";
}

TEST_F(SessionFile, WhatIsNoFileIsRefusedAtOnce) {
  const auto refused = [&](const std::filesystem::path& where, ErrorCode code) {
    try {
      session_->restore(where);
      ADD_FAILURE() << where;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
    }
  };
  refused(folder_.path(), ErrorCode::bad_file);
  refused(folder_ / "absent", ErrorCode::io);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  refused(folder_ / "pipe", ErrorCode::bad_file);  // nobody writes: opening it would wait for ever
  refused("/dev/zero", ErrorCode::bad_file);
}

// The model is mapped and its name still means it: saving there would lose it for good.
TEST_F(SessionFile, IsNeverWrittenOverTheModel) {
  const std::filesystem::path model = folder_ / "model.gguf";
  std::filesystem::copy_file(test::test_data("arch/llama.gguf"), model);
  std::filesystem::create_hard_link(model, folder_ / "hard");
  std::filesystem::create_symlink("model.gguf", folder_ / "soft");
  Session session(Executable::load(Model::open(model), test::options_for("cpu")));
  const auto before = test::read_array<std::byte>(model);
  const SequenceId sequence = session.open();
  for (const char* name : {"model.gguf", "hard", "soft", "./model.gguf"}) {
    try {
      session.save(sequence, folder_ / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
    }
  }
  EXPECT_EQ(test::read_array<std::byte>(model), before);
  session.save(sequence, folder_ / "other");
}

}  // namespace
}  // namespace ingot
