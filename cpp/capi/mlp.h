// Multilayer perceptrons for callers from C: the forward pass, loss and gradient, and a training step on a
// caller's arrays.
#pragma once

#include "capi/header.h"

namespace gdfast::capi {

int mlp_options_init(gdfast_mlp_options* options, size_t struct_size);
int mlp_create(const gdfast_mlp_options* options, gdfast_mlp** mlp);
void mlp_destroy(gdfast_mlp* mlp);

// The network's weights and biases, and what a call takes of rows.
template <class T>
struct Weights {
    T* const* weights;
    T* const* biases;
};
template <class T>
struct Samples {
    const T* X;
    const void* y;
    const T* sample_weight;
    int64_t n_rows;
};

template <class T>
int mlp_forward(gdfast_mlp* mlp, const Weights<T>& weights, const T* X, int64_t n_rows, T* out);
template <class T>
int mlp_loss_and_grad(gdfast_mlp* mlp, const Weights<T>& weights, const Samples<T>& samples, double* loss,
                      const Weights<T>& gradients);
template <class T>
int mlp_step(gdfast_mlp* mlp, const Weights<T>& weights, T* const* states, const Samples<T>& samples,
             const gdfast_rule* rule, int64_t step, double* loss);

}  // namespace gdfast::capi
