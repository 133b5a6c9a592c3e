// Trains a network on a caller's rows, epoch by epoch.
#pragma once

#include "network/normalization.h"
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
    double loss;  // mean over the rows of their batch's loss; batches without weight have none
    int64_t steps;
};

template <class T>
class Trainer {
public:
    // `dropout`: a rate for the inputs, and one for each hidden layer's values; or none.
    Trainer(const Spec& spec, const LossFunction<T>& loss, const DescentOptions& options,
            const std::vector<double>& dropout, const NormOptions& norm, int64_t batch_size,
            int thread_limit);

    void load(const ConstPlainArrays<T>& arrays);
    void save(const PlainArrays<T>& arrays) const;
    bool finite() const;

    // One parallel region. An Interruption ends it after a whole step: a long one that has not changed any
    // weight is given up.
    EpochResult run(const Data<T>& data, const EpochOptions& options);

    const Spec& spec() const { return spec_; }
    int64_t batch_size() const { return batch_size_; }
    int threads() const { return threads_; }

private:
    // What a step does one after another. Units may run in any order within one of them.
    struct Phase {
        enum Kind { rows, moments, slopes, sort, tiles, moves } kind;
        Way way{};         // rows
        size_t layer = 0;  // moments, slopes: of this layer, a unit is a panel
    };
    std::vector<Phase> plan_step(int first_layer) const;
    // Whether a phase leaves the step such that it can be given up.
    bool can_give_up(const Phase& phase) const {
        return phase.kind != Phase::moves && (phase.kind != Phase::tiles || descent.moves_apart());
    }
    int64_t row_units(int64_t rows, int threads) const;

    const Spec spec_;
    const LossFunction<T> loss_;
    const NormOptions norm_;
    const int64_t batch_size_;
    Parameters<T> parameters_;
    Workspace<T> work_;
    std::vector<Moments<T>> moments_;  // one for each layer

public:
    Descent<T> descent;

private:
    const int threads_;
};

}  // namespace gdfast
