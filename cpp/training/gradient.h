// Loss and gradient of a whole data set, for drivers that want both (L-BFGS) and for embedding.
#pragma once

#include "training/batch.h"

namespace gdfast {

// Writes the gradient of  (sum_i weight_i loss_i + alpha / 2 sum W^2) / sum_i weight_i  into `gradient` and
// returns that loss. A row's loss is summed over the outputs. Memory does not grow with the number of rows.
// Throws Interrupted, and has written nothing then.
template <class T>
double loss_and_gradient(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data,
                         const LossFunction<T>& loss, double alpha, const PlainArrays<T>& gradient,
                         int thread_limit);

}  // namespace gdfast
