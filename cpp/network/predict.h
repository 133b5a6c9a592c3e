// The forward pass on plain arrays, for prediction.
#pragma once

#include "network/parameters.h"
#include "network/rows.h"

namespace gdfast {

// out (count, outputs) row-major = output(network(rows order[0 .. count))), order null: all rows as they are.
template <class T>
void predict(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
             int64_t count, Output output, double norm_epsilon, T* out, int thread_limit);

}  // namespace gdfast
