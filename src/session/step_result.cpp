#include "src/session/step_result.hpp"

#include <algorithm>

#include "ingot/error.hpp"

namespace ingot {

using namespace internal;

namespace {

std::string_view name_of(Want want) {
  switch (want) {
    case Want::hidden: return "a hidden row";
    case Want::logits: return "logits";
    case Want::candidates: return "candidates";
    case Want::id: return "an id";
  }
  return "nothing";
}

}  // namespace

void Outputs::expand(std::int64_t count, std::vector<RowOutput>& out) const {
  const auto check = [](const RowOutput& output) {
    if (output.want == Want::candidates && output.top_k < 1) {
      fail(ErrorCode::invalid_argument, output.top_k, " candidates of row ", output.row,
           " were asked for; top_k must be 1 or more");
    }
  };
  if (which_ != Which::none) check(want_);
  const auto append = [&](std::int64_t row) {
    RowOutput output = want_;
    output.row = static_cast<std::int32_t>(row);
    out.push_back(output);
  };
  if (which_ == Which::last && count > 0) append(count - 1);
  if (which_ == Which::all) {
    for (std::int64_t row = 0; row < count; ++row) append(row);
  }
  std::int32_t previous = -1;
  for (const RowOutput& output : listed_) {
    if (output.row <= previous || output.row >= count) {
      fail(ErrorCode::invalid_argument, "an output of row ", output.row, " after row ", previous,
           " was asked for in a request of ", count, " tokens; rows must ascend and exist");
    }
    check(output);
    previous = output.row;
    out.push_back(output);
  }
}

std::int64_t StepResult::first_row(std::size_t request) const {
  if (request == first_rows_.size()) return row_count();
  if (request > first_rows_.size()) {
    fail(ErrorCode::invalid_argument, "the step had ", first_rows_.size(), " requests; number ",
         request, " was asked about");
  }
  return first_rows_[request];
}

Want StepResult::want(std::int64_t row) const {
  if (row < 0 || row >= row_count()) {
    fail(ErrorCode::invalid_argument, "row ", row, " of a step result with ", row_count(), " rows");
  }
  return rows_[static_cast<std::size_t>(row)].want;
}

const StepResult::Row& StepResult::row(std::int64_t index, Want wanted) const {
  if (want(index) != wanted) {
    fail(ErrorCode::invalid_argument, "row ", index, " of a step result is ", name_of(want(index)),
         ", not ", name_of(wanted), ": ask for it with StepRequest::outputs");
  }
  return rows_[static_cast<std::size_t>(index)];
}

std::span<const float> StepResult::logits(std::int64_t index) const {
  const Row& found = row(index, Want::logits);
  return std::span<const float>(values_).subspan(found.first, found.count);
}

std::span<const float> StepResult::hidden(std::int64_t index) const {
  const Row& found = row(index, Want::hidden);
  return std::span<const float>(values_).subspan(found.first, found.count);
}

RowCandidates StepResult::candidates(std::int64_t index) const {
  const Row& found = row(index, Want::candidates);
  return {std::span<const Candidate>(candidates_).subspan(found.first, found.count),
          found.log_sum_exp};
}

TokenId StepResult::id(std::int64_t index) const {
  return row(index, Want::id).id;
}

TokenId StepResult::not_finite(std::int64_t index) const {
  (void)want(index);
  return rows_[static_cast<std::size_t>(index)].not_finite;
}

void StepResult::Access::clear(StepResult& result) {
  result.rows_.clear();
  result.first_rows_.clear();
  result.values_.clear();
  result.candidates_.clear();
}

void StepResult::Access::add_rows(StepResult& result, const Program& program,
                                  std::span<const RowOutput> outputs) {
  const auto columns = [&](ValueId id) {
    return static_cast<std::size_t>(id.index < 0 ? 0 : program.value(id).columns);
  };
  result.vocabulary_size_ = static_cast<std::int64_t>(columns(program.logits));
  result.hidden_size_ = static_cast<std::int64_t>(columns(program.hidden));
  std::size_t values = result.values_.size();
  std::size_t candidates = result.candidates_.size();
  for (const RowOutput& output : outputs) {
    Row row;
    row.want = output.want;
    switch (output.want) {
      case Want::hidden:
      case Want::logits:
        row.first = values;
        row.count = columns(output.want == Want::hidden ? program.hidden : program.logits);
        values += row.count;
        break;
      case Want::candidates:
        row.first = candidates;
        row.count = static_cast<std::size_t>(output.top_k);
        candidates += row.count;
        break;
      case Want::id: break;
    }
    result.rows_.push_back(row);
  }
  result.values_.resize(values);
  result.candidates_.resize(candidates);
}

void StepResult::Access::set_row(StepResult& result, std::int64_t index, const RowResult& from) {
  Row& row = result.rows_[static_cast<std::size_t>(index)];
  row.id = from.id;
  row.not_finite = from.not_finite;
  row.log_sum_exp = from.log_sum_exp;
  const auto at = static_cast<std::ptrdiff_t>(row.first);
  if (row.want == Want::candidates) {
    row.count = from.candidates.size();  // fewer where fewer ids have a token
    std::copy(from.candidates.begin(), from.candidates.end(), result.candidates_.begin() + at);
  } else if (row.want != Want::id) {
    std::copy(from.values.begin(), from.values.end(), result.values_.begin() + at);
  }
}

}  // namespace ingot
