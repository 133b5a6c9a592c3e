// Trains a recurrent network on a caller's sequences, by backpropagation through time, truncated or not.
#pragma once

#include <functional>
#include <optional>

#include "network/sequences.h"
#include "training/batch.h"
#include "training/rule.h"
#include "training/tiles.h"
#include "training/trainer.h"

namespace gdfast {

// With a target for each step there is an update every k1 steps; its gradient reaches back k2 steps, at least k1.
// With one target per sequence there is one update. No limit: the whole sequence.
struct Truncation {
    int64_t k1, k2;
};

template <class T>
struct SequenceData {
    Sequences<T> sequences;
    Targets<T> y;               // one for each step, in the order of X's rows, or one for each sequence
    const T* weight = nullptr;  // by sequence, or null

    // Over the terms of an update: the sequences of the batch that have the steps.
    double weight_sum(const SequenceBatch<T>& batch, Range steps_with_loss) const;
};

template <class T>
class SequenceTrainer {
public:
    SequenceTrainer(const RecurrentSpec& spec, const LossFunction<T>& loss, const RuleSpec& rule, double alpha, bool per_step,
                    std::optional<Truncation> truncation, int64_t batch_size);

    void load(const ConstPlainArrays<T>& arrays) { parameters_.load(arrays); }
    void save(const PlainArrays<T>& arrays) const { unpack(spec_.matrices, parameters_.values.data(), arrays); }
    bool finite() const { return all_finite(parameters_.values.data(), spec_.matrices.parameters); }

    // See Trainer::run; the loss is the mean over the epoch's terms: sequences, or steps.
    EpochResult run(const SequenceData<T>& data, double learning_rate, int thread_limit,
                    const std::function<bool()>& interrupted);

    const RecurrentSpec& spec() const { return spec_; }
    const RuleSpec& rule() const { return rule_; }
    bool per_step() const { return per_step_; }
    T* slot(size_t i) const { return slots_[i].data(); }

    int64_t step = 0;  // updates made

private:
    // What depends on the length of the longest sequence.
    struct Room {
        int64_t sequences, slots, terms;
        bool in_place;
        RecurrentWorkspace<T> work;
        Tiling tiling;
        std::vector<double> squares;  // of the weights of each strip before its last update
    };
    // One update: whose losses enter, how many rows of the head and of the other matrices its gradient sums over.
    struct Update {
        WayBack back;
        int64_t terms, rows;
        double weight_sum;
    };
    void make_room(const Sequences<T>& sequences);
    // From the inputs to all deltas, for sequences `lot` of the batch.
    void pass_sequences(const SequenceData<T>& data, const SequenceBatch<T>& batch, const Update& update, Range lot);
    void pass_head(const SequenceData<T>& data, const SequenceBatch<T>& batch, const Update& update, Range lot);
    void update_strip(int64_t strip, const Update& update, const RuleStep<T>& step, T* scratch);
    double update_loss(double data_loss, double weight_sum) const;

    const RecurrentSpec spec_;
    const LossFunction<T> loss_;
    const RuleSpec rule_;
    const double alpha_;
    const bool per_step_;
    const std::optional<Truncation> truncation_;
    const int64_t batch_size_;
    Parameters<T> parameters_;
    std::vector<Buffer<T>> slots_, scratch_;
    std::optional<Room> room_;
};

}  // namespace gdfast
