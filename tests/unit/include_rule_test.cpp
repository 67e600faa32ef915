// Who may include whom, and how long a file may be: the rules that keep the folders separable.
//
//   quant      -> quant
//   include    -> include, quant, and nothing of third parties
//   src        -> src, include, quant (device/registry.cpp alone also names the backends)
//   cpu | cuda | vulkan -> itself, include, quant, src/{program,ops,device,state,support,weights}
//   tools, examples, python_bindings -> include (and itself)
//   benchmarks -> anything but the tests: kernels are measured where they live
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

// Past this many lines a file holds two ideas.
constexpr int kMaxLines = 800;

const std::vector<std::string> kFolders = {
    "quant",    "include",         "src",        "cpu",  "cuda", "vulkan", "tools",
    "examples", "python_bindings", "benchmarks", "tests"};

std::vector<std::string> backend_rule(const std::string& self) {
  return {self + "/",    "include/",   "quant/",       "src/program/", "src/ops/",
          "src/device/", "src/state/", "src/support/", "src/weights/"};
}

/// Path prefixes (relative to the root) that files of a folder may include. Tests may include all.
const std::map<std::string, std::vector<std::string>> kAllowed = {
    {"quant", {"quant/"}},
    {"include", {"include/", "quant/"}},
    {"src", {"src/", "include/", "quant/"}},
    {"cpu", backend_rule("cpu")},
    {"cuda", backend_rule("cuda")},
    {"vulkan", backend_rule("vulkan")},
    {"tools", {"tools/", "include/"}},
    {"examples", {"examples/", "include/"}},
    {"python_bindings", {"python_bindings/", "include/"}},
    {"benchmarks", {"benchmarks/", "include/", "quant/", "src/", "cpu/", "cuda/", "vulkan/"}},
    {"tests", {""}},
};

std::string first_part(const std::string& path) {
  return path.substr(0, path.find('/'));
}

/// Whether the file at `from` may include the project file at `to`; both relative to the root.
bool may_include(const std::string& from, const std::string& to) {
  if (from == "src/device/registry.cpp" &&
      (to.starts_with("cpu/") || to.starts_with("cuda/") || to.starts_with("vulkan/"))) {
    return true;
  }
  const auto& allowed = kAllowed.at(first_part(from));
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& prefix) { return to.starts_with(prefix); });
}

struct Include {
  int line;
  bool quoted;
  std::string name;
};

std::vector<Include> includes_of(const fs::path& file) {
  std::vector<Include> found;
  std::ifstream in(file);
  std::string text;
  for (int line = 1; std::getline(in, text); ++line) {
    std::size_t at = text.find_first_not_of(" \t");
    if (at == std::string::npos || text[at] != '#') continue;
    at = text.find_first_not_of(" \t", at + 1);
    if (at == std::string::npos || text.compare(at, 7, "include") != 0) continue;
    const std::size_t open = text.find_first_of("\"<", at + 7);
    if (open == std::string::npos) continue;
    const bool quoted = text[open] == '"';
    const std::size_t close = text.find(quoted ? '"' : '>', open + 1);
    found.push_back({line, quoted, text.substr(open + 1, close - open - 1)});
  }
  return found;
}

/// The project file that `name`, included from `from`, means; none if it is not the project's.
std::optional<std::string> resolve(const fs::path& root, const std::string& from,
                                   const std::string& name) {
  const std::string relative =
      (fs::path(from).parent_path() / name).lexically_normal().generic_string();
  const std::string folder = first_part(from);
  // Programs see the formats as ingot/quant/, and version.hpp once CMake has filled it in.
  constexpr std::string_view kFormats = "ingot/quant/";
  if (name.starts_with(kFormats)) return "quant/" + name.substr(kFormats.size());
  for (const std::string& candidate :
       {relative, "include/" + name, "include/" + name + ".in", folder + "/" + name, name}) {
    if (fs::is_regular_file(root / candidate)) return candidate;
  }
  return std::nullopt;
}

std::vector<std::string> source_files(const fs::path& root) {
  const std::set<std::string> suffixes = {".hpp", ".cpp", ".h",    ".c",   ".cu",
                                          ".cuh", ".inl", ".comp", ".glsl"};
  std::vector<std::string> found;
  for (const std::string& folder : kFolders) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.is_regular_file() && suffixes.count(entry.path().extension().string()) != 0) {
        found.push_back(entry.path().lexically_relative(root).generic_string());
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

const fs::path kRoot = INGOT_SOURCE_DIR;

}  // namespace

// If this fails the checks below prove nothing: the scan would not see the tree, or would allow
// all.
TEST(IncludeRule, SeesTheTreeAndRefusesWhatTheDesignForbids) {
  const std::vector<std::string> files = source_files(kRoot);
  EXPECT_TRUE(std::count(files.begin(), files.end(), "include/ingot/error.hpp") == 1);
  EXPECT_TRUE(std::count(files.begin(), files.end(), "quant/dtype.hpp") == 1);
  EXPECT_EQ(resolve(kRoot, "src/x.cpp", "ingot/quant/dtype.hpp"), "quant/dtype.hpp");
  EXPECT_EQ(resolve(kRoot, "src/x.cpp", "ingot/error.hpp"), "include/ingot/error.hpp");
  EXPECT_EQ(resolve(kRoot, "src/x.cpp", "ingot/version.hpp"), "include/ingot/version.hpp.in");
  EXPECT_EQ(resolve(kRoot, "include/ingot/x.hpp", "unistd.h"), std::nullopt);

  EXPECT_FALSE(may_include("quant/q8_0.hpp", "include/ingot/error.hpp"));
  EXPECT_FALSE(may_include("include/ingot/gguf.hpp", "src/device/device.hpp"));
  EXPECT_FALSE(may_include("src/session/session.cpp", "cpu/backend.hpp"));
  EXPECT_FALSE(may_include("cpu/backend.cpp", "cuda/backend.hpp"));
  EXPECT_FALSE(may_include("cpu/backend.cpp", "src/arch/llama.hpp"));
  EXPECT_FALSE(may_include("tools/run.cpp", "quant/q8_0.hpp"));
  EXPECT_FALSE(may_include("tools/run.cpp", "src/program/program.hpp"));
  EXPECT_TRUE(may_include("cpu/ops/matmul.cpp", "src/ops/matmul.hpp"));
  EXPECT_TRUE(may_include("src/device/registry.cpp", "cpu/backend.hpp"));
}

// A failure names an edge that would make a folder impossible to build or understand on its own.
TEST(IncludeRule, EveryFileIncludesOnlyWhatItsFolderMay) {
  for (const std::string& file : source_files(kRoot)) {
    for (const Include& include : includes_of(kRoot / file)) {
      const std::optional<std::string> target = resolve(kRoot, file, include.name);
      if (!target) continue;
      EXPECT_TRUE(may_include(file, *target))
          << file << ":" << include.line << " includes " << *target << ", which "
          << first_part(file) << "/ may not (docs/architecture.md, \"Who may include whom\")";
    }
  }
}

// A failure means that a program which includes our headers also needs another library's, or gets
// the macros and names of the operating system's headers (<unistd.h>, <sys/mman.h> ...) with them.
TEST(IncludeRule, PublicHeadersNeedNothingButTheStandardLibrary) {
  for (const std::string& file : source_files(kRoot)) {
    const std::string folder = first_part(file);
    if (folder != "include" && folder != "quant") continue;
    for (const Include& include : includes_of(kRoot / file)) {
      const bool ours = resolve(kRoot, file, include.name).has_value();
      const bool standard =
          !include.quoted && include.name.find_first_of("./") == std::string::npos;
      EXPECT_TRUE(ours || standard) << file << ":" << include.line << " includes " << include.name;
    }
  }
}

// A failure names a file to divide.
TEST(FileSize, NoSourceFileHoldsTwoIdeas) {
  for (const std::string& file : source_files(kRoot)) {
    std::ifstream in(kRoot / file);
    const auto lines = std::count(std::istreambuf_iterator<char>(in), {}, '\n');
    EXPECT_LE(lines, kMaxLines) << file << " has " << lines << " lines";
  }
}
