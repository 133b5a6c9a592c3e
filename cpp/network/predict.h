// The forward pass on plain arrays, for prediction.
#pragma once

#include "network/parameters.h"
#include "network/rows.h"

namespace gdfast {

// out (count, outputs) row-major = output(network(rows order[0 .. count))); order null: rows 0, 1, ...
// Returns false if `check_finite` and dense rows have NaN or infinity: the check reads each block of rows
// just before the forward pass, when it has to be loaded anyway. `out` is undefined then, and after an
// Interruption.
template <class T>
bool predict(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
             int64_t count, Output output, double norm_epsilon, bool check_finite, T* out, int thread_limit);

}  // namespace gdfast
