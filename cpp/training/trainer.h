// Trains a network on a caller's rows, epoch by epoch.
#pragma once

#include <functional>

#include "network/team.h"
#include "training/batch.h"
#include "training/rule.h"
#include "training/tiles.h"

namespace gdfast {

struct EpochResult {
    double loss;  // mean over the epoch's rows of their batch's loss
    bool interrupted;
};

template <class T>
class Trainer {
public:
    Trainer(const Spec& spec, const LossFunction<T>& loss, const RuleSpec& rule, double alpha,
            int64_t batch_size, int thread_limit);

    void load(const ConstPlainArrays<T>& arrays) { parameters_.load(arrays); }
    void save(const PlainArrays<T>& arrays) const { unpack(spec_, parameters_.values.data(), arrays); }
    bool finite() const { return all_finite(parameters_.values.data(), spec_.parameters); }

    // One parallel region of at most `thread_limit` threads; meanwhile `interrupted` is asked now and then,
    // on the calling thread, whether to stop at the next step.
    EpochResult run(const Data<T>& data, double learning_rate, int thread_limit,
                    const std::function<bool()>& interrupted);

    const Spec& spec() const { return spec_; }
    const RuleSpec& rule() const { return rule_; }
    int threads() const { return threads_; }
    // One slot of the optimizer's state, laid out as the parameters.
    T* slot(size_t i) const { return slots_[i].data(); }

    int64_t step = 0;  // steps taken

private:
    int64_t row_units(int64_t rows, int threads) const;
    void update_strip(int64_t strip, const Batch& batch, const RuleStep<T>& step, T* scratch);
    double batch_loss(const Batch& batch, double data_loss) const;

    const Spec spec_;
    const LossFunction<T> loss_;
    const RuleSpec rule_;
    const double alpha_;
    const int64_t batch_size_;
    const Tiling tiling_;
    const int threads_;
    Parameters<T> parameters_;
    Workspace<T> work_;
    std::vector<Buffer<T>> slots_, scratch_;
    std::vector<double> squares_;  // of the weights of each strip before its last update
};

}  // namespace gdfast
