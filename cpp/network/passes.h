// Forward and backward over some rows of a batch: what one thread does alone.
#pragma once

#include "network/interruption.h"
#include "network/parameters.h"
#include "network/rows.h"
#include "network/workspace.h"

namespace gdfast {

// Activations of the values up to the inputs of each of these layers, and their sums (the last layer's are in
// deltas.back()), for these rows of one block. In training a normalised layer must be the last of a call: its
// sums become values when the next call begins, by the moments of the whole batch (normalization.h). Where
// `check` says to stop, this and backward() leave anything.
template <class T>
void forward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows, Range layers,
             StopCheck& check);

// Deltas of layers to .. from - 1; those of layer `from` are there. A layer that is normalised, `from` and
// `to` excepted, must not be among them: of `from`, and of `to` when it is taken up again, the deltas are
// those of its normalised sums, of which the whole batch's have to be known first.
template <class T>
void backward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows, int from,
              int to, StopCheck& check);

// Share `part` of `parts` of n things, contiguous.
inline Range share(int64_t n, int64_t part, int64_t parts) {
    return {n * part / parts, n * (part + 1) / parts};
}

}  // namespace gdfast
