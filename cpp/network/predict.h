// The forward pass on plain arrays, for prediction.
#pragma once

#include "network/parameters.h"
#include "network/rows.h"

namespace gdfast {

// out (count, outputs) row-major = output(network(rows order[0 .. count))), order null: all rows as they are.
// Returns false, and leaves anything in `out`, where `check_finite` is asked for and dense rows hold NaN or
// infinity: that is looked at when a block of rows is on its way to the caches anyway. An Interruption, too,
// leaves anything in `out`.
template <class T>
bool predict(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
             int64_t count, Output output, double norm_epsilon, bool check_finite, T* out, int thread_limit);

}  // namespace gdfast
