// Devices by name, and the options of loading a model onto one. No backend's types appear here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingot/dtype.hpp"
#include "ingot/export.hpp"

namespace ingot {

/// What computes.
enum class DeviceKind : std::uint8_t {
  cpu,       ///< the machine's processors
  gpu,       ///< a graphics or accelerator card
  software,  ///< a driver or emulation that pretends to be a card: for tests, never chosen unasked
};

/// How long people wait for a device; tests choose their sizes by it.
enum class DeviceSpeed : std::uint8_t {
  fast,      ///< made for use
  slow,      ///< made for checking: seconds per token of a large model
  emulated,  ///< every lane of a GPU on the processor: small shapes only
};

struct DeviceInfo {
  std::string name;         ///< as --device takes it: "cpu", "reference"
  std::string description;  ///< for people: processor, instruction set in use
  DeviceKind kind = DeviceKind::cpu;
  DeviceSpeed speed = DeviceSpeed::fast;
  std::string driver;                 ///< name and version; empty for the processor
  std::vector<std::string> features;  ///< optional abilities in use, e.g. "avx512_vnni"
  /// Bytes, and bytes this process may still take; nothing where the system does not tell (no /proc
  /// in a chroot).
  std::optional<std::uint64_t> memory_total = {};
  std::optional<std::uint64_t> memory_available = {};
  int threads = 1;  ///< threads a step uses unless told otherwise
};

/// The devices this build has, the default one first. A device without its hardware is not listed.
/// Thread-safe.
INGOT_API std::vector<DeviceInfo> devices();

/// Their names alone: asks no driver. Thread-safe.
INGOT_API std::vector<std::string> device_names();

/// The host program's own threads, for an application that does not want a second pool. The library
/// calls `parallel` from the thread that steps a session, never nested.
class INGOT_API HostExecutor {
 public:
  virtual ~HostExecutor() = default;
  /// How many invocations may run at the same time.
  virtual int concurrency() const = 0;
  /// Calls body(0) ... body(count - 1), in any order, on any threads; returns when all are done.
  virtual void parallel(int count, const std::function<void(int)>& body) = 0;
};

/// Progress of long work (packing weights, reading a prompt): `done` of `total`, in `what`'s units.
using Progress =
    std::function<void(std::string_view what, std::uint64_t done, std::uint64_t total)>;

/// In which numbers activations are kept and multiplied.
enum class Precision : std::uint8_t {
  fast,  ///< as the device is fastest: activations of 16 bits, bf16 (docs/numerics.md says which)
  f32,   ///< f32 at least. The cache has the types it was given
};

struct CompileOptions {
  int threads = 0;  ///< 0: as many as the affinity mask and the cgroup quota give
  HostExecutor* host_executor =
      nullptr;               ///< used instead of own threads; must outlive the executable
  bool pin_threads = false;  ///< bind each thread to one processor
  Precision precision = Precision::fast;
  bool deterministic = false;  ///< as LoadOptions::deterministic, from which loading sets it
  Progress progress;
};

/// How the weights were brought into the device's own order.
struct PackReport {
  double seconds = 0;
  std::uint64_t packed_bytes = 0;  ///< bytes of the packed copies
  std::uint64_t mapped_bytes = 0;  ///< bytes used where they lie in the mapped file
};

/// The types the cache is kept in; keys and values apart.
struct CacheTypes {
  DType key = DType::F16;
  DType value = DType::F16;
  bool operator==(const CacheTypes&) const = default;
};

/// What the elements of a value are.
enum class ValueType : std::uint8_t {
  f32,  ///< numbers; the reference device computes them in double
  i32,  ///< indices: experts, rows
};

/// A value of the running program, as a tap sees it: one of two spans, row-major [rows, columns].
/// Changes are taken into the computation; an index outside of its range counts as 0.
struct TapEvent {
  int instruction = 0;      ///< index in the program
  std::string_view name{};  ///< the value's name, e.g. "blk.3.attn_out"
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::span<float> data{};  ///< of f32 values
  ValueType type = ValueType::f32;
  std::span<std::int32_t> indices{};  ///< of i32 values
};

/// Called after the instruction that wrote the value. Exceptions end the step and reach its caller.
using Tap = std::function<void(const TapEvent&)>;

/// What a tap is called for.
enum class TapDetail : std::uint8_t {
  every_value,  ///< each value of each instruction: instructions that a device fuses run one by one
  /// The same, and the computation goes on with the f32 that the tap has seen, also on a device
  /// that keeps more of a number.
  every_value_rounded,
  as_run,  ///< the end of each instruction, or of each group that is fused; events have no data
};

struct TapOptions {
  TapDetail detail = TapDetail::every_value;
  /// If not empty: only values of these names (docs/embedding.md lists the stable ones) are shown,
  /// and only what is fused around them runs one by one. Not with as_run.
  std::vector<std::string> names = {};
};

}  // namespace ingot
