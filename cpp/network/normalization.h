// Batch normalisation (Ioffe and Szegedy, 2015): what needs all rows of a batch, panel by panel, between the
// passes over rows.
#pragma once

#include "network/parameters.h"
#include "network/workspace.h"

namespace gdfast {

// Of one layer, by columns in panels.
template <class T>
struct Moments {
    Buffer<T> mean, variance;  // running
    Buffer<T> inverse;         // of this batch: 1 / sqrt(variance + epsilon)
    Moments() = default;
    explicit Moments(int64_t columns)
        : mean(columns), variance(columns), inverse(columns), kept_(2 * columns) {}

    // For a step that may be given up.
    void keep_running() {
        std::copy_n(mean.data(), mean.size(), kept_.data());
        std::copy_n(variance.data(), variance.size(), kept_.data() + mean.size());
    }
    void restore_running() {
        std::copy_n(kept_.data(), mean.size(), mean.data());
        std::copy_n(kept_.data() + mean.size(), variance.size(), variance.data());
    }

private:
    Buffer<T> kept_;
};

struct NormOptions {
    double momentum = 0.1;  // the batch's part in the running moments
    double epsilon = 1e-5;
};

// A column whose sum or whose sum of squares overflows is normalised all the same, its moments taken in units
// of its largest number. A variance that overflows itself is infinite, in the running moments too: there is
// no predicting with them, which ends the training as weights that are not finite do.

// The moments of panel j of layer i's sums over the batch's rows: how to normalise them, into the workspace;
// and, where `learn`, into the running moments.
template <class T>
void find_moments(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Moments<T>& moments,
                  const NormOptions& options, size_t i, int64_t j, int64_t rows, bool learn);

// From the deltas of panel j of layer i's normalised sums: the way back through the normalisation, into the
// workspace, and the gradients of gamma, (P), and of beta, (P).
template <class T>
void find_norm_gradients(const Spec& spec, Workspace<T>& work, const Moments<T>& moments, size_t i, int64_t j,
                         int64_t rows, T* gamma_gradient, T* beta_gradient);

// By the running moments, to predict.
template <class T>
void use_running_moments(const Spec& spec, const ConstPlainArrays<T>& arrays, double epsilon,
                         Workspace<T>& work);

}  // namespace gdfast
