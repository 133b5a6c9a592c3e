// Trains a network on a caller's rows, epoch by epoch.
#pragma once

#include <functional>

#include "network/team.h"
#include "training/batch.h"
#include "training/descent.h"

namespace gdfast {

// One for every batch of an epoch, or one for all.
struct LearningRates {
    const double* values;
    int64_t count;
    double at(int64_t batch) const { return values[count == 1 ? 0 : batch]; }
};

struct EpochOptions {
    LearningRates learning_rates;
    // Layers that the deltas reach, counted from the output; the others keep every bit.
    int64_t backprop_depth;
    int thread_limit;
};

struct EpochResult {
    double loss;  // mean over the epoch's rows of their batch's loss
    bool interrupted;
};

template <class T>
class Trainer {
public:
    Trainer(const Spec& spec, const LossFunction<T>& loss, const DescentOptions& options, int64_t batch_size,
            int thread_limit);

    void load(const ConstPlainArrays<T>& arrays) { parameters_.load(arrays); }
    void save(const PlainArrays<T>& arrays) const { unpack(spec_, parameters_.values.data(), arrays); }
    bool finite() const { return all_finite(parameters_.values.data(), spec_.parameters); }

    // One parallel region; meanwhile `interrupted` is asked now and then, on the calling thread, whether to
    // stop at the next step.
    EpochResult run(const Data<T>& data, const EpochOptions& options,
                    const std::function<bool()>& interrupted);

    const Spec& spec() const { return spec_; }
    int64_t batch_size() const { return batch_size_; }
    int threads() const { return threads_; }

private:
    int64_t row_units(int64_t rows, int threads) const;

    const Spec spec_;
    const LossFunction<T> loss_;
    const int64_t batch_size_;
    Parameters<T> parameters_;
    Workspace<T> work_;

public:
    Descent<T> descent;

private:
    const int threads_;
};

}  // namespace gdfast
