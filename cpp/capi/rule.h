// Optimizer rules for callers from C.
#pragma once

#include "capi/header.h"
#include "training/update.h"

namespace gdfast::capi {

int rule_init(gdfast_rule* rule, size_t struct_size, int kind);
int rule_state(const gdfast_rule* rule, int index, const char** name, double* initial);
template <class T>
int rule_update(const gdfast_rule* rule, int64_t step, int64_t n, T* param, const T* grad, T* const* states);

// The same rule as the core knows it. Throws std::invalid_argument.
RuleSpec checked_rule(const gdfast_rule* rule);
void check_step(int64_t step);

template <class T>
RuleStep<T> scalars_at(const RuleSpec& spec, int64_t step, double lr);

// All arrays, on so many threads at most; denormal numbers flush to zero. Where that fails, none has changed.
template <class T>
void update(const RuleSpec& spec, const RuleStep<T>& scalars, const Updated<T>* arrays, size_t count,
            int n_threads);

}  // namespace gdfast::capi
