// A sum over all rows of a data set, of what the gradient is one of: the products of every layer's inputs and
// deltas.
#pragma once

#include <memory>

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
// of rows. One object may sum again and again, at other weights and over other data: on one thread, that
// allocates nothing.
template <class T>
class RowSum {
public:
    // `most_rows`: of a batch. `passes`: how many times a row's work goes through all weights, for the number
    // of threads.
    RowSum(const Spec& spec, int64_t most_rows, double passes, int thread_limit);
    // For one sum over the data.
    RowSum(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data, int64_t most_rows,
           double passes, int thread_limit);
    ~RowSum();

    // What is done with the rows: `pass`, or the gradient's own. To be called once, before begin() where all
    // data will be dense, and what is passed has to stay.
    void prepare(const LossFunction<T>& loss, OtherPass pass = nullptr,
                 const FurtherProducts<T>* further = nullptr);
    // Takes the weights and the data of the next sum.
    void begin(const ConstPlainArrays<T>& arrays, const Data<T>& data);
    // Takes all rows through the pass. Throws Interrupted.
    void run();
    void run(const LossFunction<T>& loss, OtherPass pass = nullptr,
             const FurtherProducts<T>* further = nullptr) {
        prepare(loss, std::move(pass), further);
        run();
    }

    double weight_sum = 0;
    const int64_t batch_rows;
    Parameters<T> parameters;
    Workspace<T> work;
    Buffer<T> values;  // the sum, as the parameters are laid out
    double loss = 0;   // the sum of the rows' losses

private:
    struct Loop;

    int threads_worth(int64_t rows) const;

    const Spec& spec_;
    const Tiling tiling_;
    const double work_per_row_;
    const int thread_limit_, most_threads_;
    Data<T> data_;
    std::unique_ptr<Loop> loop_;
    bool summed_ = false;  // whether `values` and `loss` hold a sum already
};

}  // namespace gdfast
