#include "cpu/dispatch/dispatch.hpp"

#include <cstdlib>
#include <fstream>

#include "cpu/dispatch/processor_features.hpp"
#include "cpu/dispatch/targets.hpp"
#include "ingot/error.hpp"

namespace ingot::internal::cpu {
namespace {

struct Candidate {
  const KernelTable* table;
  bool (*runs_here)();
};

#if defined(INGOT_CPU_X86_TARGETS)
// The compiler's run-time checks ask CPUID and whether the system saves the wide registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
bool has_amx() {
  return has_avx512() && __builtin_cpu_supports("avx512bf16") && allows_amx();
}
#endif

// Best first.
constexpr Candidate kCandidates[] = {
#if defined(INGOT_CPU_X86_TARGETS)
    {&amx::kTable, &has_amx},
    {&avx512::kTable, &has_avx512},
    {&avx2::kTable, &has_avx2},
#endif
    {&scalar::kTable, [] { return true; }},
};

}  // namespace

std::vector<const KernelTable*> available_targets() {
  std::vector<const KernelTable*> found;
  for (const Candidate& candidate : kCandidates) {
    if (candidate.runs_here()) found.push_back(candidate.table);
  }
  return found;
}

const KernelTable& select_target(std::string_view forced) {
  const std::vector<const KernelTable*> targets = available_targets();
  if (forced.empty()) return *targets.front();
  std::string names;
  for (const KernelTable* target : targets) {
    if (target->name == forced) return *target;
    names += (names.empty() ? "" : ", ") + std::string(target->name);
  }
  fail(ErrorCode::invalid_argument, "INGOT_CPU_ISA=", forced,
       " is not available; this build on this processor has: ", names);
}

const KernelTable& select_target() {
  const char* forced = std::getenv("INGOT_CPU_ISA");
  return select_target(forced == nullptr ? std::string_view{} : std::string_view{forced});
}

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon + 2 >= line.size()) break;
    return line.substr(colon + 2);
  }
  return "processor";
}

}  // namespace ingot::internal::cpu
