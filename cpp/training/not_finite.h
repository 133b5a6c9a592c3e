// Which number of a training stopped being finite first. Looked for only after one has.
#pragma once

#include "training/tiles.h"

namespace gdfast {

enum class Place { none, outputs, gradient, loss, weights, biases, gammas, betas, embeddings, moments };

struct NotFinite {
    Place place = Place::none;
    int64_t layer = 0;  // of weights; for embeddings, the array
};

// In a step whose loss is not finite, while its factors are in memory: the outputs of the first layer that
// overflow, else the gradient of the last one, else the loss itself. `first_layer` is the first with deltas.
template <class T>
NotFinite first_not_finite(const Spec& spec, const Factors<T>& factors, int first_layer);

// Among values that are laid out as the parameters: the weights, or an array of the rule's state.
template <class T>
NotFinite first_not_finite(const Spec& spec, const T* parameters);

}  // namespace gdfast
