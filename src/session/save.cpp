// A sequence in a file: header, ids, pages, checksum; little-endian.
//
//   "INGOTSEQ"  u32 version  u32 key type  u32 value type  u32 positions per page
//   u64 model   u64 positions   u64 bytes of all pages
//   i32 ids [positions]   pages   u64 checksum of all before
//
// Pages are those that the next row can see, per state group of the program in its order: all
// ceil(positions / positions per page), or the last of them where a window limits what is seen.
#include <algorithm>
#include <cstring>
#include <fstream>

#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "ingot/gguf/output_file.hpp"
#include "src/session/session_impl.hpp"

namespace ingot {

using namespace internal;

namespace {

constexpr char kMagic[8] = {'I', 'N', 'G', 'O', 'T', 'S', 'E', 'Q'};
constexpr std::uint32_t kVersion = 3;  // 2: quantized rows are stored rotated; 3: state groups

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t key_type;
  std::uint32_t value_type;
  std::uint32_t page_tokens;
  std::uint64_t model;
  std::uint64_t positions;
  std::uint64_t state_bytes;
};
static_assert(sizeof(Header) == 48);

// FNV-1a over words of eight bytes: detects a cut or damaged file, not an adversary.
class Checksum {
 public:
  void add(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      std::uint64_t word = 0;
      const std::size_t count = std::min<std::size_t>(bytes.size(), sizeof(word));
      std::memcpy(&word, bytes.data(), count);
      value_ = (value_ ^ word) * 0x100000001b3ULL;
      value_ ^= value_ >> 32;  // multiplication alone carries nothing downwards
      bytes = bytes.subspan(count);
    }
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }
  template <class T>
  void add_value(const T& value) {
    add(std::as_bytes(std::span(&value, 1)));
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

// What must be equal for a cache to mean the same: the program (names, shapes, types, angles) and
// the first bytes of each weight, which tell fine-tunes of one architecture apart.
std::uint64_t fingerprint(const Executable::Impl& loaded) {
  Checksum sum;
  sum.add(loaded.program().architecture);
  for (std::size_t i = 0; i < loaded.program().tensors.size(); ++i) {
    const Tensor& tensor = loaded.program().tensors[i];
    sum.add(tensor.name);
    sum.add_value(tensor.type);
    sum.add_value(tensor.columns);
    sum.add_value(tensor.rows);
    sum.add_value(tensor.experts);
    const auto bytes = loaded.weights->pieces({static_cast<std::int32_t>(i)}).front();
    sum.add(bytes.first(std::min<std::size_t>(bytes.size(), 64)));
  }
  for (const StateGroup& group : loaded.program().state_groups) sum.add_value(group.window);
  for (const RopeTable& table : loaded.program().rope_tables) {
    for (const double f : table.inverse_frequencies) sum.add_value(f);
    sum.add_value(table.magnitude);
  }
  return sum.value();
}

// A page that is saved: its place in the sequence, in a state group.
struct SavedPage {
  std::int32_t group = 0;
  std::int64_t index = 0;
  std::int64_t positions = 0;  // of the sequence that it holds
};

// Everything that a row behind `positions` can see, in the file's order.
std::vector<SavedPage> saved_pages(const GroupedStates& states, std::int64_t positions) {
  std::vector<SavedPage> pages;
  for (std::int32_t g = 0; g < states.group_count(); ++g) {
    const Range visible = states.group(g).visible_pages(positions);
    for (std::int64_t i = visible.begin; i < visible.end; ++i) {
      pages.push_back({g, i, std::min(kPageTokens, positions - i * kPageTokens)});
    }
  }
  return pages;
}

std::uint64_t bytes_of(const std::vector<SavedPage>& pages, const StatePool& pool) {
  std::uint64_t bytes = 0;
  for (const SavedPage& page : pages) bytes += pool.page_bytes(page.group);
  return bytes;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) {
    // A pipe would be waited for without end.
    std::error_code unknown;
    const auto status = std::filesystem::status(path, unknown);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      refuse("it is not a regular file");
    }
    in_.open(path, std::ios::binary);
    if (!in_) fail(ErrorCode::io, path.string(), ": cannot open");
  }
  void read(std::span<std::byte> out) {
    in_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
    if (!in_) refuse("it ends too early");
    sum_.add(out);
  }
  template <class T>
  T value() {
    T out;
    read(std::as_writable_bytes(std::span(&out, 1)));
    return out;
  }
  std::uint64_t checksum() const { return sum_.value(); }
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(ErrorCode::bad_file, path_.string(), ": cannot restore this sequence: ", parts...);
  }

 private:
  std::filesystem::path path_;
  std::ifstream in_;
  Checksum sum_;
};

}  // namespace

void Session::save(SequenceId sequence, const std::filesystem::path& path) const try {
  const Impl::Sequence& found = impl_->find(sequence);
  const Executable::Impl& loaded = impl_->loaded();
  if (loaded.model->file().is_part(path)) {
    fail(ErrorCode::invalid_argument, "cannot save a sequence to '", path.string(),
         "': it is a file of the model itself; give another name");
  }
  StatePool& pool = impl_->runner->states();
  const GroupedStates& states = impl_->states;
  const std::vector<SavedPage> pages = saved_pages(states, states.position(found.state));

  gguf::OutputFile out(path);
  Checksum sum;
  const auto write = [&](std::span<const std::byte> bytes) {
    out.write(bytes);
    sum.add(bytes);
  };
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.key_type = static_cast<std::uint32_t>(loaded.plan().cache.key);
  header.value_type = static_cast<std::uint32_t>(loaded.plan().cache.value);
  header.page_tokens = kPageTokens;
  header.model = fingerprint(loaded);
  header.positions = found.tokens.size();
  header.state_bytes = bytes_of(pages, pool);
  write(std::as_bytes(std::span(&header, 1)));
  write(std::as_bytes(std::span(found.tokens)));
  std::vector<std::byte> buffer;
  for (const SavedPage& page : pages) {
    buffer.resize(pool.page_bytes(page.group));
    const auto numbers = states.group(page.group).pages(found.state);
    pool.read_page(page.group, numbers[static_cast<std::size_t>(page.index)], page.positions,
                   buffer);
    write(buffer);
  }
  const std::uint64_t checksum = sum.value();
  out.write(std::as_bytes(std::span(&checksum, 1)));
  out.commit();
} catch (...) {
  detail::rethrow_at_border("Session::save");
}

SequenceId Session::restore(const std::filesystem::path& path) try {
  impl_->require_free_slot();
  const Executable::Impl& loaded = impl_->loaded();
  StatePool& pool = impl_->runner->states();
  const std::int64_t vocabulary = loaded.program().value(loaded.program().logits).columns;

  Reader in(path);
  const auto header = in.value<Header>();
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) in.refuse("it is not one");
  if (header.version != kVersion) in.refuse("its version is ", header.version);
  if (header.key_type != static_cast<std::uint32_t>(loaded.plan().cache.key) ||
      header.value_type != static_cast<std::uint32_t>(loaded.plan().cache.value)) {
    in.refuse("it was saved with other cache types than ", to_string(loaded.plan().cache.key),
              " and ", to_string(loaded.plan().cache.value));
  }
  if (header.model != fingerprint(loaded)) in.refuse("it was saved from another model");
  if (header.positions > static_cast<std::uint64_t>(context())) {
    in.refuse("it has ", header.positions, " positions, the context is ", context());
  }
  const auto positions = static_cast<std::int64_t>(header.positions);
  const std::vector<SavedPage> pages = saved_pages(impl_->states, positions);
  if (header.page_tokens != kPageTokens || header.state_bytes != bytes_of(pages, pool)) {
    in.refuse("its pages have another size");
  }
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  const std::uint64_t expected =
      sizeof(Header) + header.positions * sizeof(TokenId) + header.state_bytes + 8;
  if (error || size != expected) in.refuse("it has ", size, " bytes instead of ", expected);

  Impl::Sequence sequence{-1, std::vector<TokenId>(header.positions)};
  sequence.state = impl_->states.open_at(positions);
  try {
    in.read(std::as_writable_bytes(std::span(sequence.tokens)));
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
      const TokenId id = sequence.tokens[i];
      if (id < 0 || id >= vocabulary) {
        in.refuse("id ", id, " at position ", i, " is outside the vocabulary of ", vocabulary);
      }
    }
    std::vector<std::byte> buffer;
    for (const SavedPage& page : pages) {
      buffer.resize(pool.page_bytes(page.group));
      in.read(buffer);
      const auto numbers = impl_->states.group(page.group).pages(sequence.state);
      pool.write_page(page.group, numbers[static_cast<std::size_t>(page.index)], buffer);
    }
    const std::uint64_t computed = in.checksum();
    if (in.value<std::uint64_t>() != computed) in.refuse("its checksum does not match");
    return impl_->add(std::move(sequence));
  } catch (...) {
    impl_->states.close(sequence.state);
    throw;
  }
} catch (...) {
  detail::rethrow_at_border("Session::restore");
}

}  // namespace ingot
