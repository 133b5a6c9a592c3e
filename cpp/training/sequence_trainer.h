// Trains a recurrent network on a caller's sequences, by backpropagation through time, truncated or not.
#pragma once

#include <optional>

#include "training/descent.h"
#include "training/sequence_steps.h"

namespace gdfast {

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

    // See run_epoch(). Of learning rates there is one for all, or one for each update that an epoch could
    // have: as many for each batch as the longest of all sequences takes. The loss is the mean over the
    // epoch's terms: sequences, or their time steps.
    EpochResult run(const SequenceData<T>& data, const EpochOptions& options);
    int64_t updates_of_batch(const Sequences<T>& sequences) const;
    int64_t batch_size() const { return batch_size_; }

    const RecurrentSpec& network() const { return spec_; }
    const Spec& spec() const { return spec_.matrices; }
    LossFunction<T> loss() const { return loss_; }
    bool per_step() const { return per_step_; }
    int threads() const { return threads_; }

private:
    // Memory, which depends on the length of the longest sequence.
    struct Buffers {
        int64_t sequences, slots, terms;
        bool in_place;
        RecurrentWorkspace<T> work;
    };
    void allocate(const Sequences<T>& sequences);

    const RecurrentSpec spec_;
    const LossFunction<T> loss_;
    const bool per_step_;
    const std::optional<Truncation> truncation_;
    const int64_t batch_size_;
    Parameters<T> parameters_;
    std::optional<Buffers> buffers_;

public:
    Descent<T> descent;

private:
    const int threads_;
};

}  // namespace gdfast
