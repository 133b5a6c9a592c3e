// Trains a recurrent network on a caller's sequences, by backpropagation through time, truncated or not.
#pragma once

#include <optional>

#include "network/sequences.h"
#include "training/batch.h"
#include "training/descent.h"
#include "training/trainer.h"

namespace gdfast {

// With a target for each step there is an update every k1 steps; its gradient reaches back k2 steps, at least
// k1. With one target per sequence there is one update. No limit: the whole sequence.
struct Truncation {
    int64_t k1, k2;
};

template <class T>
struct SequenceData {
    Sequences<T> sequences;
    Targets<T> y;               // one for each step, in the order of X's rows, or one for each sequence
    const T* weight = nullptr;  // by the rows of y, or null
};

template <class T>
class SequenceTrainer {
public:
    SequenceTrainer(const RecurrentSpec& spec, const LossFunction<T>& loss, const DescentOptions& options,
                    bool per_step, std::optional<Truncation> truncation, int64_t batch_size,
                    int thread_limit);

    void load(const ConstPlainArrays<T>& arrays) { parameters_.load(arrays); }
    void save(const PlainArrays<T>& arrays) const {
        unpack(spec_.matrices, parameters_.values.data(), arrays);
    }
    bool finite() const { return all_finite(parameters_.values.data(), spec_.matrices.parameters); }

    // See Trainer::run. Of learning rates there is one for all, or one for each update that an epoch could
    // have: as many for each batch as the longest of all sequences takes. The loss is the mean over the
    // epoch's terms: sequences, or steps.
    EpochResult run(const SequenceData<T>& data, const LearningRates& learning_rates, int thread_limit);
    int64_t updates_of_batch(const Sequences<T>& sequences) const;
    int64_t batch_size() const { return batch_size_; }

    const RecurrentSpec& spec() const { return spec_; }
    bool per_step() const { return per_step_; }

private:
    // One update: whose losses enter, how many rows of the head and of the other matrices its gradient sums
    // over.
    struct Update {
        WayBack back;
        int64_t terms, rows;
        double weight_sum;
    };
    // Memory, which depends on the length of the longest sequence.
    struct Room {
        int64_t sequences, slots, terms;
        bool in_place;
        RecurrentWorkspace<T> work;
    };
    void make_room(const Sequences<T>& sequences);
    int64_t target_row(const SequenceBatch<T>& batch, int64_t s, int64_t step) const {
        return per_step_ ? batch.row(s, step) : batch.number(s);
    }
    // Over the terms of an update.
    double weight_sum(const SequenceData<T>& data, const SequenceBatch<T>& batch,
                      Range steps_with_loss) const;
    // From the inputs to all deltas, for sequences `lot` of the batch.
    void pass_sequences(const SequenceData<T>& data, const SequenceBatch<T>& batch, const Update& update,
                        Range lot, StopCheck& check);
    void pass_head(const SequenceData<T>& data, const SequenceBatch<T>& batch, const Update& update,
                   Range lot, StopCheck& check);

    const RecurrentSpec spec_;
    const LossFunction<T> loss_;
    const bool per_step_;
    const std::optional<Truncation> truncation_;
    const int64_t batch_size_;
    Parameters<T> parameters_;
    std::optional<Room> room_;

public:
    Descent<T> descent;

private:
    const int threads_;
};

}  // namespace gdfast
