// Forward and backward over some rows of a batch: what one thread does alone, from start to end.
#pragma once

#include "network/parameters.h"
#include "network/rows.h"
#include "network/workspace.h"

namespace gdfast {

// Activations of every layer, and the last layer's sums in deltas.back(), for these rows of one block.
template <class T>
void forward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows);

// Deltas of layers first_layer .. below the last, whose own the loss has left in deltas.back().
template <class T>
void backward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows,
              int first_layer);

// Share `part` of `parts` of n things, contiguous.
inline Range share(int64_t n, int64_t part, int64_t parts) {
    return {n * part / parts, n * (part + 1) / parts};
}

}  // namespace gdfast
