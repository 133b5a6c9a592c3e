// The second half of a training step: gradients, what is done to them, and the rule. It knows layers as
// matrices of weights with their inputs and deltas, and nothing of what is between them.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "network/parameters.h"
#include "training/embeddings.h"
#include "training/limits.h"
#include "training/not_finite.h"
#include "training/rule.h"
#include "training/step.h"
#include "training/tiles.h"

namespace gdfast {

struct DescentOptions {
    RuleSpec rule;
    double alpha = 0, l1_ratio = 0;  // the penalty: alpha ((1 - l1_ratio) / 2 sum w^2 + l1_ratio sum |w|)
    double weight_decay = 0;         // decoupled: weights shrink by learning rate times this
    // Of the learning rate, by group: for each layer (gammas' and betas' for each hidden one). An empty list
    // is of ones; without any list no step has a rule for each layer.
    std::array<std::vector<double>, kGroups> rate_factors;
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

// One for each of the steps that an epoch could have, or one for all.
struct LearningRates {
    const double* values;
    int64_t count;
    double at(int64_t step) const { return values[count == 1 ? 0 : step]; }
};

struct EpochOptions {
    LearningRates learning_rates;
    int thread_limit;
    // Layers from this one on are trained; those below it keep every bit.
    int first_layer = 0;
    // In place of those of the trainer: DescentOptions::weight_decay, and dropout's rates (where that of the
    // trainer is 0, 0 as well).
    std::optional<double> weight_decay;
    std::vector<double> dropout;
    // The gradient's place: called in every step when the whole gradient of the mean loss has been summed,
    // with its penalty, and before anything else is done to it. Descent::get_gradient() and set_gradient()
    // look at it and replace it. (One that changes nothing changes no bit, but for one rounding where both
    // `alpha` and the rule's own coupled decay shrink the weights.) Called on the thread that runs the epoch,
    // outside of parallel regions; if it throws, the step is given up and the epoch ends.
    std::function<void()> on_gradient;
    // The rule's place: called in every step in the rule's stead, when limits have been applied to the whole
    // gradient and noise has been added to it, with the learning rate and the number of the step (Step). It
    // reads the gradient by Descent::get_gradient() and the weights by get_weights(), and leaves the next
    // weights by set_weights(). The rest is as for on_gradient.
    std::function<void(double learning_rate, int64_t number)> on_step{};
    // Of a network without normalisation and embeddings. The penalty, and whatever else is done to a
    // gradient, comes to that of the whole batch.
    std::optional<SharedSteps> shared{};
};

struct EpochResult {
    double loss;  // mean over the terms of their step's loss; steps without weight have none
    int64_t steps;
};

template <class T>
class Descent final : public SecondHalf<T> {
public:
    // For steps of about `rows` rows, in all layers or in each.
    Descent(const Spec& spec, Parameters<T>& parameters, const DescentOptions& options, int64_t rows);
    Descent(const Spec& spec, Parameters<T>& parameters, const DescentOptions& options,
            const std::vector<int64_t>& rows);
    void set_threads(int threads);
    // Moves these, too, in every step that reaches the first layer.
    void set_embeddings(Embeddings<T>& embeddings);
    Embeddings<T>* embeddings() const { return embeddings_; }

    // Begins an epoch with these options, which hold until the next one. Gradients are sums over at most
    // `rows` rows.
    void begin_epoch(const EpochOptions& options, int64_t rows);
    // Of the epoch so far.
    EpochResult result() const;

    std::vector<Phase> phases(const FirstHalf<T>& first) override;
    void begin_step(const Step& step) override;
    void end_step(const Step& step) override;

    // In on_gradient only: the gradient in arrays of the shapes of the weights, biases, gammas and betas. It
    // is zero in layers that are not trained and in biases that are normalised away, whatever is set there.
    void get_gradient(const PlainArrays<T>& arrays);
    void set_gradient(const ConstPlainArrays<T>& arrays);
    // In on_step only, beside get_gradient(): the weights of the last step, and those that this step moves
    // to. Layers that are not trained and biases that are normalised away stay what they are.
    void get_weights(const PlainArrays<T>& arrays) const;
    void set_weights(const ConstPlainArrays<T>& arrays) { set_gradient(arrays); }

    // In SharedSteps::add_up only: this trainer's part of the gradient of the batch's mean loss, of the
    // layers from `first_layer` on, without penalty; then its part of that loss, and a number that is 0, for
    // the trainers to tell each other that one has failed.
    T* sums() { return gradient_.data() + first_sum(epoch_.first_layer); }
    int64_t count_sums(int first_layer) const { return spec_.parameters + kBesides - first_sum(first_layer); }

    int64_t units() const { return tiling_.size(); }
    int most_threads() const { return tiling_.most_threads(); }
    const DescentOptions& options() const { return options_; }
    bool state_is_finite() const;
    // Which number of the epoch stopped being finite first, if any has.
    NotFinite not_finite() const;
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
    // What is done to one strip. Sums and moves are phases of their own where the whole gradient has to be
    // known before any of it is used, or where the sums take so long that it must be possible to give them
    // up.
    void sum(int64_t unit, int thread, const Factors<T>& factors);
    void add_up();
    void finish_sum(int64_t unit, int thread);
    // Where the layer's part begins in the whole gradient.
    int64_t first_sum(int first_layer) const { return spec_.layers[static_cast<size_t>(first_layer)].bias; }
    static constexpr int64_t kBesides = 2;  // numbers behind the whole gradient
    void measure(int64_t unit, int thread);
    void limit();
    void condition(int64_t unit, int thread);
    bool embeds() const { return embeddings_ && epoch_.first_layer == 0; }
    void move(int64_t unit, int thread);
    double penalty() const;
    void record();

    // The same, for pieces of it.
    StripGradient<T> gradient_of(int64_t unit, int thread) const;
    void penalize(const GradientPiece<T>& piece, Sums& sums) const;
    void measure(const GradientPiece<T>& piece, Sums& sums) const;
    void condition(const GradientPiece<T>& piece, T factor) const;
    void apply(const GradientPiece<T>& piece, int thread, Sums& sums);
    const RuleStep<T>& rule_of(const GradientPiece<T>& piece) const;
    template <class Change>
    void for_norm_gradients(Change change);

    const Spec& spec_;
    Parameters<T>& parameters_;
    const DescentOptions options_;
    const Tiling tiling_;
    // Whether nothing is done to gradients but the penalty that the rule's kernel adds on its way: by the
    // options, and in this epoch.
    const bool plain_by_options_;
    bool plain_;
    std::vector<Buffer<T>> slots_, scratch_, before_;
    Buffer<T> gradient_;  // where it must be known as a whole
    std::vector<Sums> sums_;
    Embeddings<T>* embeddings_ = nullptr;  // or null: there are none
    std::vector<T> scales_;  // each layer's gradient's, by the limits on norms, then each embedding's
    std::vector<LayerRecord> recorded_;
    // Of a step; members, because nothing may be allocated once weights move.
    std::vector<double> layer_norms_;
    std::vector<Sums> layer_sums_;

    // of this epoch
    const FirstHalf<T>* first_ = nullptr;
    EpochOptions epoch_{};
    bool moves_apart_ = false;
    Interruption* interruption_ = nullptr;  // of sums that can be given up
    int64_t first_strip_ = 0;
    double total_ = 0;
    int64_t terms_ = 0, steps_ = 0;
    NotFinite not_finite_;

    // of this step
    double learning_rate_ = 0;
    int64_t number_ = 0;
    double weight_sum_ = 0;
    RuleStep<T> rule_{}, bias_rule_{};  // nothing decays a bias
    // Of layers, in their place where learning rates have factors; embeddings have none.
    std::vector<std::array<RuleStep<T>, kGroups>> layer_rules_;
    T l2_ = 0, l1_ = 0, noise_ = 0;
    RandomKey noise_key_{0, 0};
    double loss_ = 0;  // the sum of its terms'
};

// All steps of an epoch, see run_steps(). Gradients are sums over `rows` rows at most.
template <class T>
EpochResult run_epoch(FirstHalf<T>& first, Descent<T>& descent, const EpochOptions& options, int64_t rows,
                      int threads) {
    descent.begin_epoch(options, rows);
    run_steps(first, descent, threads);
    return descent.result();
}

}  // namespace gdfast
