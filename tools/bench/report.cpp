#include "bench/report.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/limits.hpp"
#include "ingot/printable.hpp"
#include "support/inspect_json.hpp"
#include "support/load_options.hpp"
#include "support/terminal.hpp"

namespace ingot::tools {
namespace {

using Json = nlohmann::ordered_json;

/// The matrices' types, the one with most bytes first.
std::vector<std::string> weight_types(const GgufFile& file) {
  std::map<std::string, std::uint64_t> bytes;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.rows() > 1) bytes[type_name(tensor)] += tensor.data.size();
  }
  std::vector<std::string> names;
  for (const auto& [name, size] : bytes) names.push_back(name);
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return bytes.at(a) > bytes.at(b);
  });
  return names;
}

std::string model_name(const Model& model) {
  const ModelSpec& spec = model.spec();
  return spec.name.empty() ? spec.architecture : spec.name;
}

std::string limit_kind(const BenchRow& row) {
  return row.test.generate > 0 ? "read bandwidth"
                               : std::string(multiply_add_loop(row.executable->device()).unit);
}

/// What a reader must know to take the share of a prompt for what it is.
std::string prompt_note(const DeviceInfo& device) {
  const std::string text =
      "the limit of pp is the " + std::string(multiply_add_loop(device).unit) + " peak";
  const std::string isa = kernel_isa(device);
  if (isa == "amx") return text + "; F32, F16 and BF16 weights are multiplied on f32 vectors";
  // vpdpwssd has two 16-bit products where an f32 multiply-add has one.
  if (isa == "avx512") return text + "; integer products of quantized weights could reach twice it";
  return text;
}

Json to_json(const Profile& profile) {
  Json rows = Json::array();
  for (const ProfileRow& row : profile.rows) {
    rows.push_back({{"operation", row.operation},
                    {"formats", row.formats},
                    {"count", row.count},
                    {"seconds", row.seconds},
                    {"share_of_time", row.share_of_time},
                    {"bytes", row.bytes},
                    {"flops", row.flops},
                    {"share_of_limit", row.share_of_limit}});
  }
  return {{"seconds", profile.seconds},
          {"read_bandwidth", profile.bandwidth},
          {"multiply_add_peak", profile.peak},
          {"rows", std::move(rows)}};
}

Json to_json(const BenchRow& row) {
  const Model& model = *row.executable->model();
  const DeviceInfo& device = row.executable->device();
  const MemoryPlan& plan = row.executable->plan();
  const BenchResult& result = row.result;
  const bool generates = row.test.generate > 0;
  Json json = {{"test", row.test.name()},
               {"tokens_per_second", result.median_tokens_per_second()},
               {"spread", result.spread()},
               {generates ? "bytes_per_second" : "flops_per_second", result.rate()},
               {"limit", result.limit()},
               {"limit_kind", limit_kind(row)},
               {"limit_tokens_per_second", result.limit_tokens_per_second()},
               {"share_of_limit", result.share()},
               {"repetitions", result.seconds.size()},
               {"samples", result.tokens_per_second},
               {"limit_samples", result.limits},
               {"model", model_name(model)},
               {"model_file", model.file().path()},
               {"architecture", model.spec().architecture},
               {"parameters", model.spec().parameter_count},
               {"weight_types", weight_types(model.file())},
               {"weight_bytes", plan.weights_bytes},
               {"type_k", option_name(plan.cache.key)},
               {"type_v", option_name(plan.cache.value)},
               {"device", device.name},
               {"device_description", device.description},
               {"isa", kernel_isa(device)},
               {"threads", row.threads},
               {"n_prompt", row.test.prompt},
               {"n_gen", row.test.generate},
               {"n_depth", row.test.depth},
               {"n_batch", row.test.batch},
               {"n_ubatch", row.test.ubatch},
               {"sequences", row.test.sequences}};
  if (!generates) json["note"] = prompt_note(device);
  if (row.profile) json["profile"] = to_json(*row.profile);
  return json;
}

/// Lines of cells, each column as wide as its widest cell; the first `left` columns flush left.
std::string align(const std::vector<std::vector<std::string>>& lines, std::size_t left) {
  std::vector<std::size_t> widths(lines.front().size(), 0);
  for (const auto& line : lines) {
    for (std::size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  }
  std::string text;
  for (const auto& line : lines) {
    std::string out;
    for (std::size_t c = 0; c < line.size(); ++c) {
      const std::string space(widths[c] - line[c].size(), ' ');
      out += (c == 0 ? "" : "  ") + (c < left ? line[c] + space : space + line[c]);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    text += out + "\n";
  }
  return text;
}

std::string percent(double share) {
  return fixed(100 * share, 1) + "%";
}

std::string giga(double value, int digits = 1) {
  return fixed(value / 1e9, digits);
}

std::string profile_table(const BenchRow& row) {
  const Profile& profile = *row.profile;
  const double per = 1e6 / static_cast<double>(row.test.steps().size());
  std::vector<std::vector<std::string>> lines = {
      {"instruction", "formats", "us/step", "time", "GB/s", "GFLOP/s", "of limit"}};
  for (const ProfileRow& part : profile.rows) {
    const double seconds = std::max(part.seconds, 1e-12);
    lines.push_back({part.operation, part.formats, fixed(part.seconds * per, 1),
                     percent(part.share_of_time),
                     part.bytes > 0 ? giga(part.bytes / seconds, 2) : "-",
                     part.flops > 0 ? giga(part.flops / seconds, 2) : "-",
                     part.bytes + part.flops > 0 ? percent(part.share_of_limit) : "-"});
  }
  return "\nprofile of " + row.test.name() + ": " + fixed(profile.seconds * per, 1) +
         " us per step with the clock read after each instruction; limits " +
         giga(profile.bandwidth) + " GB/s, " + giga(profile.peak) + " GFLOP/s\n" + align(lines, 2);
}

}  // namespace

std::string json_report(const std::vector<BenchRow>& rows) {
  Json array = Json::array();
  for (const BenchRow& row : rows) array.push_back(to_json(row));
  return json_text(array);
}

std::string table_report(const std::vector<BenchRow>& rows) {
  if (rows.empty()) return {};
  const Executable& first = *rows.front().executable;
  std::string types;
  for (const std::string& type : weight_types(first.model()->file())) types += " " + type;
  std::string text =
      printable(model_name(*first.model())) + " (" + first.model()->spec().architecture + "," +
      types + ", " + human_bytes(first.plan().weights_bytes) + "), cache " +
      option_name(first.plan().cache.key) + "/" + option_name(first.plan().cache.value) + "\n" +
      first.device().name + ": " + first.device().description + "\n\n";
  std::vector<std::vector<std::string>> lines = {
      {"test", "seqs", "threads", "tokens/s", "spread", "reached", "limit", "share"}};
  bool has_prompt = false;
  for (const BenchRow& row : rows) {
    const std::string unit = row.test.generate > 0 ? " GB/s" : " GFLOP/s";
    has_prompt = has_prompt || row.test.prompt > 0;
    lines.push_back({row.test.name(), std::to_string(row.test.sequences),
                     std::to_string(row.threads), fixed(row.result.median_tokens_per_second(), 2),
                     fixed(row.result.spread(), 2), giga(row.result.rate(), 2) + unit,
                     giga(row.result.limit(), 2) + unit, percent(row.result.share())});
  }
  text += align(lines, 1);
  if (has_prompt) text += "note: " + prompt_note(first.device()) + "\n";
  for (const BenchRow& row : rows) {
    if (row.profile) text += profile_table(row);
  }
  return text;
}

}  // namespace ingot::tools
