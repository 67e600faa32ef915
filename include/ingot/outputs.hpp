// What a step computes for tokens, and how its results are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ingot/export.hpp"
#include "ingot/sampler/candidates.hpp"

namespace ingot {

/// What is computed for a token.
enum class Want : std::uint8_t {
  hidden,      ///< its final-norm row, [hidden size] float: the head is skipped
  logits,      ///< its row of logits, [vocabulary] float
  candidates,  ///< the `top_k` most probable next tokens with their logits, and the log-sum-exp
  id,          ///< the most probable next token; the lowest id on ties
};

/// An output of one token of a request.
struct RowOutput {
  std::int32_t row = 0;  ///< index of the token in its request
  Want want = Want::logits;
  std::int32_t top_k = 0;  ///< candidates only: how many, 1 to the vocabulary's size
};

/// Which tokens of a request have outputs.
class INGOT_API Outputs {
 public:
  /// The last token's logits.
  Outputs() : Outputs(Which::last, Want::logits, 0) {}

  static Outputs none() { return {Which::none, Want::logits, 0}; }
  static Outputs last(Want want = Want::logits, std::int32_t top_k = 0) {
    return {Which::last, want, top_k};
  }
  static Outputs all(Want want = Want::logits, std::int32_t top_k = 0) {
    return {Which::all, want, top_k};
  }
  /// Exactly these, their rows ascending.
  static Outputs rows(std::vector<RowOutput> rows) {
    Outputs outputs(Which::listed, Want::logits, 0);
    outputs.listed_ = std::move(rows);
    return outputs;
  }

  /// Appends the outputs of a request of `count` tokens to `out`, rows ascending. Error
  /// invalid_argument for rows that do not ascend or exist, and candidates without a top_k.
  void expand(std::int64_t count, std::vector<RowOutput>& out) const;

 private:
  enum class Which : std::uint8_t { none, last, all, listed };
  Outputs(Which which, Want want, std::int32_t top_k) : which_(which), want_{0, want, top_k} {}

  Which which_;
  RowOutput want_;
  std::vector<RowOutput> listed_;
};

/// The most probable next tokens of a row, best first, without ids that have no token.
struct RowCandidates {
  std::span<const Candidate> best;
  double log_sum_exp = 0;  ///< log(sum(exp(logit))) over all ids that have a token
};

/// What a step computed: a row per output, requests in order. Steps that are given the same object
/// reuse its memory. Not thread-safe.
class INGOT_API StepResult {
 public:
  std::int64_t vocabulary_size() const { return vocabulary_size_; }
  std::int64_t hidden_size() const { return hidden_size_; }

  /// Outputs of all requests.
  std::int64_t row_count() const { return static_cast<std::int64_t>(rows_.size()); }
  /// The first output of a request; of the request behind the last, row_count().
  std::int64_t first_row(std::size_t request) const;

  Want want(std::int64_t row) const;
  /// Error invalid_argument when the row is of another kind or does not exist.
  std::span<const float> logits(std::int64_t row) const;
  std::span<const float> hidden(std::int64_t row) const;
  RowCandidates candidates(std::int64_t row) const;
  TokenId id(std::int64_t row) const;

  /// The first token whose logit is NaN or +inf, or -1: a sign of damaged weights or of an
  /// overflow. Known of candidates and ids only; an id is then that token.
  TokenId not_finite(std::int64_t row) const;

  /// Logits and hidden rows of all outputs, one behind the other.
  std::span<const float> values() const { return values_; }

  struct INGOT_HIDDEN Access;  ///< opaque; for the library's own files

 private:
  struct Row {
    Want want = Want::logits;
    TokenId id = -1;
    TokenId not_finite = -1;
    std::size_t first = 0;  ///< in `values_`, or in `candidates_`
    std::size_t count = 0;
    double log_sum_exp = 0;
  };

  const Row& row(std::int64_t index, Want want) const;

  std::int64_t vocabulary_size_ = 0;
  std::int64_t hidden_size_ = 0;
  std::vector<Row> rows_;
  std::vector<std::int64_t> first_rows_;  ///< per request
  std::vector<float> values_;
  std::vector<Candidate> candidates_;
};

}  // namespace ingot
