#include "quantize/conversion.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "ingot/error.hpp"

namespace ingot::tools {
namespace {

/// The least magnitude that some type cannot hold: f16's largest number. Smaller ones need no look.
constexpr float kAlwaysWithinReach = 65504.0F;

constexpr float kLargestBf16 = 0x1.FEp127F;

bool is_finite(float value) {
  return std::fabs(value) <= std::numeric_limits<float>::max();  // false for NaN; vectorizes
}

bool has_encoder(DType type) {
  return quant::format(type).quantize != nullptr;
}

}  // namespace

/// A part of a tensor: whole blocks of both types.
struct Conversion::Piece {
  const GgufTensor& tensor;
  std::size_t first;  ///< element
};

Conversion::Conversion(std::string model, bool allow_nonfinite,
                       std::function<void(std::uint64_t)> progress)
    : model_(std::move(model)), allow_nonfinite_(allow_nonfinite), progress_(std::move(progress)) {}

void Conversion::stream(const GgufTensor& tensor, DType to, const GgufWriter::Sink& sink) {
  const DType from = *tensor.dtype();
  // Block sizes are powers of two, so the larger one is a multiple of the smaller. About 4 MiB.
  const auto unit = static_cast<std::size_t>(std::max(block_size(from), block_size(to)));
  const std::size_t most = unit * std::max<std::size_t>(1, (std::size_t{1} << 20) / unit);
  const auto bytes = [](DType type, std::size_t elements) {
    return static_cast<std::size_t>(row_bytes(type, static_cast<std::int64_t>(elements)));
  };
  std::vector<float> values;
  std::vector<std::byte> encoded;
  const auto total = static_cast<std::size_t>(tensor.element_count());
  for (std::size_t done = 0; done < total; done += values.size()) {
    const Piece piece{tensor, done};
    values.resize(std::min(most, total - done));
    const auto source = tensor.data.subspan(bytes(from, done), bytes(from, values.size()));
    dequantize(from, source, values);
    const std::vector<float> before = from == to ? values : std::vector<float>{};
    const bool changed = make_finite(piece, values);
    if (from != to) {
      encoded.resize(bytes(to, values.size()));
      quantize(to, values, encoded);
      check_reach(piece, to, values, encoded);
      sink(encoded);
    } else if (!changed) {
      sink(source);
    } else {
      // Only the blocks that have such elements: encoding again would round the others.
      encoded.assign(source.begin(), source.end());
      for (std::size_t i = 0; i < values.size(); i += unit) {
        const auto block = std::span(values).subspan(i, unit);
        if (std::all_of(before.begin() + static_cast<std::ptrdiff_t>(i),
                        before.begin() + static_cast<std::ptrdiff_t>(i + unit), is_finite)) {
          continue;
        }
        quantize(to, block, std::span(encoded).subspan(bytes(to, i), bytes(to, unit)));
      }
      sink(encoded);
    }
    progress_(values.size());
  }
}

void Conversion::copy(const GgufTensor& tensor, const GgufWriter::Sink& sink) {
  sink(tensor.data);
  progress_(static_cast<std::uint64_t>(tensor.element_count()));
}

/// Whether something was replaced.
bool Conversion::make_finite(const Piece& piece, std::span<float> values) {
  if (std::all_of(values.begin(), values.end(), is_finite)) return false;
  const bool kept = !has_encoder(*piece.tensor.dtype());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (is_finite(values[i])) continue;
    if (!allow_nonfinite_) {
      refuse(piece, i, values[i],
             "the weights are damaged: download or convert the model again, or pass "
             "--allow-nonfinite to write 0 instead");
    }
    if (kept) {
      refuse(piece, i, values[i],
             "and there is no encoder for " + std::string(to_string(*piece.tensor.dtype())) +
                 " to write 0 instead; download or convert the model again");
    }
    values[i] = 0.0F;
    ++replaced_;
  }
  return true;
}

/// A type's scale has a largest value; a block that needs more comes out wrong in its largest
/// element first.
void Conversion::check_reach(const Piece& piece, DType to, std::span<float> values,
                             std::span<std::byte> encoded) {
  if (std::all_of(values.begin(), values.end(),
                  [](float value) { return std::fabs(value) <= kAlwaysWithinReach; })) {
    return;
  }
  std::vector<float> decoded(values.size());
  dequantize(to, encoded, decoded);
  bool overflowed = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::fabs(values[i]) <= kAlwaysWithinReach) continue;
    // A small element beside a much larger one may be rounded away: only the block's largest tells.
    const auto size = static_cast<std::size_t>(block_size(to));
    const std::span<const float> block = values.subspan(i / size * size, size);
    const bool largest = std::all_of(block.begin(), block.end(), [&](float other) {
      return std::fabs(other) <= std::fabs(values[i]);
    });
    if (!largest || std::fabs(decoded[i] - values[i]) <= std::fabs(values[i]) / 2) continue;
    if (!allow_nonfinite_) {
      refuse(piece, i, values[i],
             "beyond what " + std::string(to_string(to)) +
                 " holds; choose another --type, or pass --allow-nonfinite to write the nearest "
                 "number it has");
    }
    ++saturated_;
    if (is_finite(decoded[i])) continue;
    values[i] = std::copysign(kLargestBf16, values[i]);  // the one type that rounds to infinity
    overflowed = true;
  }
  if (overflowed) quantize(to, values, encoded);
}

void Conversion::refuse(const Piece& piece, std::size_t element, float value,
                        const std::string& why) const {
  const std::size_t position = piece.first + element;
  const auto columns = static_cast<std::size_t>(piece.tensor.columns());
  const std::string shown = std::isnan(value)   ? "NaN"
                            : std::isinf(value) ? (value > 0 ? "infinity" : "-infinity")
                                                : detail::concat(value);
  fail(ErrorCode::bad_file, "tensor '", piece.tensor.name, "' of '", model_, "' has ", shown,
       " at element ", position, " (row ", position / columns, ", column ", position % columns,
       "): ", why);
}

}  // namespace ingot::tools
