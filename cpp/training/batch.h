// The first phase of a step: rows -> batch -> forward -> loss -> backward.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "network/parameters.h"
#include "network/passes.h"
#include "network/rows.h"
#include "network/workspace.h"

namespace gdfast {

template <class T>
struct Targets {
    const int32_t* label = nullptr;  // (rows), for cross-entropy
    Rows<T> values;                  // (rows, outputs), for the other losses

    // Of one row; within the classes, even if the caller's threads have changed it meanwhile.
    int32_t label_of(int64_t row, int64_t classes) const {
        const volatile int32_t& changing = label[row];
        const int32_t read = changing;  // once: what is checked is what is used
        return static_cast<uint32_t>(read) < static_cast<uint64_t>(classes) ? read : 0;
    }
};

template <class T>
struct LossFunction {
    Loss kind;
    std::vector<T> parameters;  // as LossRows takes them

    // scikit-learn averages the squared error over the outputs and descends the gradient of their sum.
    double reported_divisor(int64_t outputs) const {
        return kind == Loss::squared_error ? static_cast<double>(outputs) : 1;
    }
};

// The caller's data, in the order in which it is to be taken.
template <class T>
struct Data {
    Rows<T> x;
    Targets<T> y;
    const T* weight = nullptr;       // by row number, or null
    const int64_t* order = nullptr;  // row numbers, or null for 0, 1, ...
    int64_t count = 0;               // how many

    int64_t row(int64_t i) const { return order ? order[i] : i; }
    // See WeightSum.
    double weight_sum(int64_t first, int64_t n) const;
};

// What a loss is divided by. Zero, and there is no mean, where the sum is too small for T to divide by, or no
// more than what rounding leaves of weights that cancel.
template <class T>
class WeightSum {
public:
    void add(T weight) {
        sum_ += static_cast<double>(weight);
        magnitude_ += std::abs(static_cast<double>(weight));
    }
    double value() const {
        const double least =
            std::max(static_cast<double>(std::numeric_limits<T>::min()),
                     4 * static_cast<double>(std::numeric_limits<T>::epsilon()) * magnitude_);
        return std::abs(sum_) > least ? sum_ : 0;
    }

private:
    double sum_ = 0, magnitude_ = 0;
};

// Consecutive rows of Data; their weights' sum divides the loss.
struct Batch {
    int64_t first, count;
    double weight_sum;
};

// One of a step's passes over its rows: forward through some layers; where these are the last ones, the loss;
// backward through some layers. A net without normalisation has one pass.
struct RowPass {
    Range forward{0, 0};
    int backward_from = -1, backward_to = 0;  // none where the first is smaller
};

// Copies the inputs, targets and weights of some rows of one block to the workspace.
template <class T>
void gather(const Spec& spec, Workspace<T>& work, const Data<T>& data, const Batch& batch, Range block);

// The arguments of a loss's kernel for these rows: `sums` are the pre-activations, which become deltas.
template <class T>
LossRows<T> loss_rows(const Spec& spec, const Workspace<T>& work, const LossFunction<T>& loss,
                      const Data<T>& data, const Batch& batch, const RowPanels<T>& sums, Range block) {
    return {sums.at(block.first),
            sums.stride,
            work.target.at(block.first),
            work.label.data() + block.first,
            loss.parameters.empty() ? nullptr : loss.parameters.data(),
            data.weight ? work.weight.data() + block.first : nullptr,
            static_cast<T>(1 / batch.weight_sum),
            work.row_loss.data() + block.first,
            block.count(),
            spec.outputs()};
}

// Leaves in the workspace, for rows `rows` of the batch, what the pass computes: activations, each row's
// loss, deltas.
template <class T>
void pass_rows(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work,
               const LossFunction<T>& loss, const Data<T>& data, const Batch& batch, const RowPass& pass,
               Range rows, StopCheck& check);

// The sum of the batch's row losses, in the order of its rows.
template <class T>
double sum_losses(const Workspace<T>& work, const Batch& batch);

}  // namespace gdfast
