// StateStore: appends the step's keys and values to their sequences, rounded to the cache types. A
// row of a latent state is the value (the latent), then the key (the columns that turned), rounded
// together.
#pragma once

#include "src/ops/op.hpp"

namespace ingot::internal::ops {

struct StateStore {
  static constexpr std::string_view kName = "state_store";
  ValueId key;    ///< [tokens, kv_head_count * key_size], latent: [tokens, key_size - value_size]
  ValueId value;  ///< [tokens, kv_head_count * value_size]
  StateId state;
};

Operands operands(const StateStore& op);
void check(const StateStore& op, const Program& program);
Cost cost(const StateStore& op, const Program& program, const StepShape& shape);
void print_attributes(std::ostream& out, const StateStore& op);
void reference(const StateStore& op, ReferenceStep& step);

}  // namespace ingot::internal::ops
