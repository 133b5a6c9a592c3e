// Batch normalisation (Ioffe and Szegedy, 2015): the part that needs all rows of a batch. It runs panel by
// panel, between the passes over rows.
#pragma once

#include "network/parameters.h"
#include "network/workspace.h"

namespace gdfast {

// The moments of one layer, one element for each column in panels.
template <class T>
struct Moments {
    Buffer<T> mean, variance;  // running
    Buffer<T> inverse;         // 1 / sqrt(variance + epsilon) of this batch
    Moments() = default;
    explicit Moments(int64_t columns)
        : mean(columns), variance(columns), inverse(columns), saved_(2 * columns) {}

    // Save and restore, for a step that may be abandoned.
    void save_running() {
        std::copy_n(mean.data(), mean.size(), saved_.data());
        std::copy_n(variance.data(), variance.size(), saved_.data() + mean.size());
    }
    void restore_running() {
        std::copy_n(saved_.data(), mean.size(), mean.data());
        std::copy_n(saved_.data() + mean.size(), variance.size(), variance.data());
    }

private:
    Buffer<T> saved_;
};

struct NormOptions {
    double momentum = 0.1;  // the weight of the batch in the running moments
    double epsilon = 1e-5;
};

// A column whose sum or sum of squares overflows is still normalised: its moments are computed in units of
// its largest magnitude. A variance that overflows itself is infinite, in the running moments too.
// Prediction is then impossible, and training ends as it does for weights that are not finite.

// Computes the moments, over the batch's rows, of panel j of layer i's pre-activations. Writes center,
// scale and shift to the workspace, and updates the running moments if `update_running`.
template <class T>
void find_moments(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Moments<T>& moments,
                  const NormOptions& options, size_t i, int64_t j, int64_t rows, bool update_running);

// Computes the gradients of gamma, (P), and of beta, (P), from the deltas of panel j of layer i's normalised
// pre-activations. Writes the terms of the backward pass through the normalisation to the workspace.
template <class T>
void find_norm_gradients(const Spec& spec, Workspace<T>& work, const Moments<T>& moments, size_t i, int64_t j,
                         int64_t rows, T* gamma_gradient, T* beta_gradient);

// Normalises by the running moments, for prediction.
template <class T>
void use_running_moments(const Spec& spec, const ConstPlainArrays<T>& arrays, double epsilon,
                         Workspace<T>& work);

}  // namespace gdfast
