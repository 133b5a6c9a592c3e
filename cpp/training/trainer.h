// Trains a network on a caller's rows, epoch by epoch.
#pragma once

#include "network/normalization.h"
#include "training/batch.h"
#include "training/descent.h"

namespace gdfast {

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

    // Rows of `data` have an encoding with the spec's embeddings, if it has some.
    // See run_epoch(). There is a learning rate for each batch, or one for all. The loss is the mean over the
    // rows of their batch's.
    EpochResult run(const Data<T>& data, const EpochOptions& options);

    const Spec& spec() const { return spec_; }
    LossFunction<T> loss() const { return loss_; }
    int64_t batch_size() const { return batch_size_; }
    const std::vector<double>& dropout() const { return dropout_; }
    int threads() const { return threads_; }

private:
    const Spec spec_;
    const LossFunction<T> loss_;
    const std::vector<double> dropout_;
    const NormOptions norm_;
    const int64_t batch_size_;
    Parameters<T> parameters_;
    Workspace<T> work_;
    std::vector<Moments<T>> moments_;  // one for each layer
    Embeddings<T> embeddings_;

public:
    Descent<T> descent;

private:
    const int threads_;
};

}  // namespace gdfast
