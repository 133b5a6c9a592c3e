// Loss and gradient of a whole data set, for drivers that want both (L-BFGS) and for embedding.
#pragma once

#include "training/row_sum.h"

namespace gdfast {

// Writes the gradient of  (sum_i weight_i loss_i + alpha / 2 sum W^2) / sum_i weight_i  into `gradient` and
// returns that loss. A row's loss is summed over the outputs. Memory does not grow with the number of rows.
// Throws Interrupted, and has written nothing then.
template <class T>
double loss_and_gradient(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data,
                         const LossFunction<T>& loss, double alpha, const PlainArrays<T>& gradient,
                         int thread_limit);

// The same for one network and dense rows, again and again: on one thread a call allocates nothing.
template <class T>
class LossGradient {
public:
    // For calls of at most `most_rows` rows, or of any number if that is kSumRows. The arguments have to
    // stay.
    LossGradient(const Spec& spec, const LossFunction<T>& loss, int64_t most_rows, int thread_limit);

    double operator()(const ConstPlainArrays<T>& arrays, const Data<T>& data, double alpha,
                      const PlainArrays<T>& gradient);

private:
    const Spec& spec_;
    RowSum<T> sum_;
};

}  // namespace gdfast
