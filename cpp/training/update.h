// One optimizer step over arrays that are not a network's.
#pragma once

#include <vector>

#include "training/rule.h"

namespace gdfast {

// An array of parameters with its gradient, and what the rule keeps of it.
template <class T>
struct Updated {
    T* w;
    const T* g;
    T* states[kMostStates];
    int64_t n;
};

// All of them in one parallel region of at most `thread_limit` threads.
template <class T>
void update_all(Rule rule, const RuleStep<T>& scalars, const std::vector<Updated<T>>& arrays,
                int thread_limit);

}  // namespace gdfast
