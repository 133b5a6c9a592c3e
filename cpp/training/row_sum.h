// A sum over all rows of a data set, of what the gradient is one of: the products of every layer's inputs and
// deltas.
#pragma once

#include "training/batch.h"
#include "training/row_steps.h"
#include "training/tiles.h"

namespace gdfast {

// A further sum of products, of the weights of all layers but the first: their inputs and their deltas.
template <class T>
struct FurtherProducts {
    const std::vector<RowPanels<T>>& inputs;
    const std::vector<RowPanels<T>>& deltas;
};

constexpr int64_t kSumRows = 1024;

// Rows are taken in batches, and the sums continue from one to the next: memory does not grow with the number
// of rows.
template <class T>
class RowSum {
public:
    // `most_rows`: of a batch. `passes`: how many times a row's work goes through all weights, for the number
    // of threads.
    RowSum(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data, int64_t most_rows,
           double passes, int thread_limit);

    // Takes all rows through `pass`, or through the gradient's own. Throws Interrupted.
    void run(const LossFunction<T>& loss, OtherPass pass = nullptr,
             const FurtherProducts<T>* further = nullptr);

    const double weight_sum;
    const int64_t batch_rows;
    Parameters<T> parameters;
    Workspace<T> work;
    Buffer<T> values;  // the sum, as the parameters are laid out
    double loss = 0;   // the sum of the rows' losses

private:
    const Spec& spec_;
    const Data<T>& data_;
    const Tiling tiling_;
    const int threads_;
};

}  // namespace gdfast
