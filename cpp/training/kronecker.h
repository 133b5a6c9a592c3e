// The Kronecker factors of a network's Fisher matrix, over many rows (Martens and Grosse, "Optimizing neural
// networks with Kronecker-factored approximate curvature", 2015).
#pragma once

#include <vector>

#include "training/batch.h"

namespace gdfast {

// Row-major arrays, by layer.
template <class T>
struct KroneckerFactors {
    std::vector<T*> inputs;  // (in + 1, in + 1): the mean of a a', a the inputs of the layer and a 1
    std::vector<T*> deltas;  // (out, out): the weighted mean of d d', d the deltas of the pre-activations
};

// Data has at least one row, its weights, if it has any, are not negative and sum to more than zero, and its
// rows are dense.
template <class T>
void kronecker_factors(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data,
                       const LossFunction<T>& loss, const KroneckerFactors<T>& factors, int thread_limit);

}  // namespace gdfast
