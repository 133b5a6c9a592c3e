// The first half of a recurrent network's steps: batches of sequences, through time and back.
#pragma once

#include <optional>
#include <vector>

#include "network/sequences.h"
#include "training/batch.h"
#include "training/step.h"

namespace gdfast {

// With a target for each time step there is an update every k1 time steps; its gradient reaches back k2 of
// them, at least k1. With one target per sequence there is one update. No limit: the whole sequence.
struct Truncation {
    int64_t k1, k2;
};

template <class T>
struct SequenceData {
    Sequences<T> sequences;
    Targets<T> y;               // one for each time step, in the order of X's rows, or one for each sequence
    const T* weight = nullptr;  // by the rows of y, or null
};

// A recurrent network in training, as the sequences see it.
template <class T>
struct SequenceNetwork {
    const RecurrentSpec& spec;
    const Parameters<T>& parameters;
    RecurrentWorkspace<T>& work;
    const LossFunction<T>& loss;
    bool per_step;  // whether there is a target for each time step
    std::optional<Truncation> truncation;
};

// A step of the training is an update. States pass through updates without weight.
template <class T>
class SequenceSteps final : public FirstHalf<T> {
public:
    // There is memory for `slots` time steps, and there could be so many updates to a batch.
    SequenceSteps(const SequenceNetwork<T>& network, const SequenceData<T>& data, int64_t batch_size,
                  int64_t slots, int64_t updates);

    std::vector<Phase> phases() override;
    bool next(int threads) override;
    bool passes_without_weight() const override { return true; }
    void begin_step() override;
    void end_step() override;
    double sum_losses() const override;
    double loss_divisor() const override { return network_.loss.reported_divisor(network_.spec.head().out); }

private:
    bool batch_ends() const { return back_.loss.last == batch_.steps.last; }
    bool next_batch(int threads);
    int64_t target_row(int64_t s, int64_t time) const {
        return network_.per_step ? batch_.row(s, time) : batch_.number(s);
    }
    int64_t terms() const;
    double weight_sum() const;
    // From the inputs to all deltas, for sequences `group` of the batch.
    void pass_sequences(Range group, StopCheck& check);
    void pass_head(Range group, StopCheck& check);

    const SequenceNetwork<T> network_;
    const SequenceData<T>& data_;
    const int64_t batch_size_, slots_, updates_;
    Interruption* const interruption_;
    SequenceBatch<T> batch_;
    int64_t taken_ = 0;   // sequences, with the present batch
    int64_t groups_ = 0;  // of its sequences, each a unit
    // Of the present update: whose losses enter, and rows of the head, those without a loss included.
    BackwardWindow back_{};
    int64_t head_rows_ = 0;
};

}  // namespace gdfast
