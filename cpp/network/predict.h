// The forward pass on plain arrays, for prediction.
#pragma once

#include <optional>
#include <vector>

#include "network/parameters.h"
#include "network/rows.h"
#include "network/workspace.h"

namespace gdfast {

// For one network, again and again: with dense rows and on one thread a call allocates nothing.
template <class T>
class Predictor {
public:
    // For calls of `least_rows` to `most_rows` rows, on so many threads. The spec has to stay.
    Predictor(const Spec& spec, int64_t least_rows, int64_t most_rows, int threads);

    // Allocates what dense rows need now, not in the first call.
    void expect_dense_rows();
    // See predict(). More `threads` than those of the constructor are not used.
    bool operator()(const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
                    int64_t count, Output output, double norm_epsilon, bool check_finite, T* out,
                    int threads);

private:
    const Spec& spec_;
    std::vector<Buffer<T>> narrow_;            // for few rows: each narrow layer's weights, transposed
    std::optional<Parameters<T>> parameters_;  // for many
    std::vector<Workspace<T>> work_;           // of each thread
};

// The number of threads that pays off for so many rows.
template <class T>
int predicting_threads(const Spec& spec, int64_t count, int thread_limit);

// out (count, outputs) row-major = output(network(rows order[0 .. count))); order null: rows 0, 1, ...
// Returns false if `check_finite` and dense rows have NaN or infinity: the check reads each block of rows
// just before the forward pass, when it has to be loaded anyway. `out` is undefined then, and after an
// Interruption.
template <class T>
bool predict(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
             int64_t count, Output output, double norm_epsilon, bool check_finite, T* out, int thread_limit);

}  // namespace gdfast
