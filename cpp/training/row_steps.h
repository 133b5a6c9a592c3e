// The first half of a dense network's steps: batches of rows, through all layers and back.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "network/normalization.h"
#include "training/batch.h"
#include "training/embeddings.h"
#include "training/step.h"

namespace gdfast {

// A network in training, as the rows see it.
template <class T>
struct RowNetwork {
    const Spec& spec;
    const Parameters<T>& parameters;
    Workspace<T>& work;
    const LossFunction<T>& loss;
    // Of normalised layers, by layer.
    std::vector<Moments<T>>& moments;
    std::vector<Buffer<T>>& norm_gradients;  // of gamma, then of beta
    NormOptions norm;
    // What masks of dropout are functions of.
    RandomKey key;
    const int64_t& steps_taken;
    Embeddings<T>* embeddings = nullptr;  // or null: there are none
};

// A pass over some rows of a batch in the place of pass_rows(): whatever else leaves inputs and deltas of
// every layer in the workspace.
using OtherPass = std::function<void(const Batch& batch, Range rows, StopCheck& check)>;

template <class T>
class RowSteps final : public FirstHalf<T> {
public:
    // Deltas reach back to `first_layer`. `weight_sum` divides the loss in the place of each batch's own.
    RowSteps(const RowNetwork<T>& network, const Data<T>& data, int64_t batch_size, int first_layer,
             std::optional<double> weight_sum = std::nullopt, OtherPass other_pass = nullptr);

    // Goes back to the first row, for another sum of the data.
    void restart(std::optional<double> weight_sum) {
        weight_sum_ = weight_sum;
        batch_ = {0, 0, 0};
    }

    // Takes these steps, with the rows of `data` as its own part of their batches.
    void take_part_in(const SharedSteps& steps) { shared_ = &steps; }

    std::vector<Phase> phases() override;
    bool next(int threads) override;
    void begin_step() override;
    void give_up() override;
    double sum_losses() const override { return gdfast::sum_losses(network_.work, batch_); }
    double loss_divisor() const override { return network_.loss.reported_divisor(network_.spec.outputs()); }

private:
    Phase rows_phase(OtherPass pass);
    Phase rows_phase(const RowPass& pass);
    Phase moments_phase(size_t layer);
    Phase norm_gradients_phase(size_t layer);
    Phase sort_phase();
    Phase embedding_phase();
    int64_t row_units(int threads) const;

    const RowNetwork<T> network_;
    const Data<T>& data_;
    const int64_t batch_size_;
    const int first_layer_;
    std::optional<double> weight_sum_;
    const OtherPass other_pass_;
    Interruption* const interruption_;
    const SharedSteps* shared_ = nullptr;
    int64_t number_ = -1;  // of the shared step
    Batch batch_{0, 0, 0};
    int64_t units_ = 0;  // of the present phase
};

}  // namespace gdfast
