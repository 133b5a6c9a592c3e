// The Jacobian of a network's outputs with respect to its parameters, and the normal matrix made of it.
#pragma once

#include "network/parameters.h"
#include "network/rows.h"

namespace gdfast {

// A row of parameters: all weights, layer after layer and row-major, then all biases.
int64_t parameter_count(const Spec& spec);

// Writes d outputs / d parameters of every row to `out`, (rows, outputs, parameters).
// Throws Interrupted; `out` is undefined then.
template <class T>
void jacobian(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, Output output, T* out,
              int thread_limit);

// Writes sum_i weight_i J_i' J_i to `out`, (parameters, parameters), where J_i is the Jacobian of row i's
// outputs, which have no activation, and is never in memory for more than some rows. `weight` may be null.
// Sums are in double. Throws Interrupted; `out` is undefined then.
template <class T>
void gauss_newton_matrix(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows,
                         const T* weight, double* out, int thread_limit);

}  // namespace gdfast
