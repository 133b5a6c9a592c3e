// The second half of a step: gradients, what is done to them, and the rule. It knows layers as matrices of
// weights with their inputs and deltas, and nothing of what is between them.
#pragma once

#include <vector>

#include "network/parameters.h"
#include "training/limits.h"
#include "training/rule.h"
#include "training/tiles.h"

namespace gdfast {

struct DescentOptions {
    RuleSpec rule;
    double alpha = 0, l1_ratio = 0;  // the penalty: alpha ((1 - l1_ratio) / 2 sum w^2 + l1_ratio sum |w|)
    double weight_decay = 0;         // decoupled: weights shrink by learning rate times this
    GradientLimits limits;
    // Annealed noise of variance gradient_noise / step^0.55 (Neelakantan et al., "Adding gradient noise
    // improves learning for very deep networks", 2015).
    double gradient_noise = 0;
    RandomKey key{0, 0};
    bool records = false;
};

// Means over an epoch's steps, for one layer. The gradient is that of weights and biases, with its penalty,
// before any limit; the others are of weights alone.
struct LayerRecord {
    double gradient_norm, weight_norm, update_ratio;
};

template <class T>
class Descent {
public:
    // For steps of about `rows` rows, in all layers or in each.
    Descent(const Spec& spec, Parameters<T>& parameters, const DescentOptions& options, int64_t rows);
    Descent(const Spec& spec, Parameters<T>& parameters, const DescentOptions& options,
            const std::vector<int64_t>& rows);
    void set_threads(int threads);

    // Layers from `first` on take part until the next call; those below it keep every bit. Gradients are sums
    // over `rows` rows at most.
    void begin_epoch(int first_layer, int64_t rows);

    // One step: begin; sum of every unit; where the moves are a phase of their own, limit, then move of every
    // unit; end. (`sparse`: the first layer's inputs, where they are not among `inputs`.)
    void begin_step(double learning_rate, double weight_sum);
    void divide(int threads, int64_t* bounds) const { tiling_.divide(first_strip_, threads, bounds); }
    void sum(int64_t unit, int thread, const std::vector<RowPanels<T>>& inputs,
             const std::vector<RowPanels<T>>& deltas, int64_t rows, const SparseInputs<T>* sparse = nullptr);
    // So, too, where sums take so long that they must be possible to give up before a weight has changed.
    bool moves_apart() const { return moves_apart_; }
    void limit();
    void move(int64_t unit, int thread);
    // Returns the penalty, which is to be divided by the weights' sum.
    double end_step();

    int64_t units() const { return tiling_.size(); }
    int layer_of(int64_t unit) const { return tiling_[unit].layer; }
    int most_threads() const { return tiling_.most_threads(); }
    const DescentOptions& options() const { return options_; }
    bool state_is_finite() const;
    // One slot of the rule's state, laid out as the parameters.
    T* slot(size_t i) const { return slots_[i].data(); }
    // Of the epoch so far; NaN for a layer that took no part.
    std::vector<LayerRecord> records() const;

    // Where the gradients of layer i's gammas, panel by panel, then those of its betas, have to be before its
    // units are summed; one array for each layer, empty where it is not normalised.
    std::vector<Buffer<T>> norm_gradients;

    int64_t step = 0;  // steps taken
    NormWindow norms;

private:
    struct Sums {
        double squares, magnitudes;  // of the weights before the step
        double gradient_norm;        // as it was summed, with its penalty
        double clipped_norm;         // when each component has been limited
        double update_squares;
    };
    StripGradient<T> gradient_of(int64_t unit, int thread) const;
    void prepare(const GradientPiece<T>& piece, Sums& sums) const;
    void apply(const GradientPiece<T>& piece, int thread, Sums& sums);

    const Spec& spec_;
    Parameters<T>& parameters_;
    const DescentOptions options_;
    const Tiling tiling_;
    const bool plain_;  // nothing is done to gradients but the penalty that the rule's kernel adds on its way
    std::vector<Buffer<T>> slots_, scratch_, before_;
    Buffer<T> gradient_;  // where it must be known as a whole
    std::vector<Sums> sums_;
    std::vector<T> factors_;  // of each layer's gradient
    std::vector<LayerRecord> recorded_;
    int64_t recorded_steps_ = 0;
    bool moves_apart_ = false;
    Interruption* interruption_ = nullptr;  // of sums that can be given up
    int first_layer_ = 0;
    int64_t first_strip_ = 0;

    // of this step
    RuleStep<T> rule_{}, bias_rule_{};  // nothing decays a bias
    T l2_ = 0, l1_ = 0, noise_ = 0;
    RandomKey noise_key_{0, 0};
};

}  // namespace gdfast
