// The forward and backward passes over some rows of a batch, on one thread.
#pragma once

#include "network/interruption.h"
#include "network/parameters.h"
#include "network/rows.h"
#include "network/workspace.h"

namespace gdfast {

// Computes the inputs and the pre-activations of `layers` (those of the last layer are in deltas.back()),
// for rows of one block. In training a normalised layer must be the last one of a call: the next call
// normalises its pre-activations by the moments of the whole batch (normalization.h). If `check` stops this
// or backward(), the results are undefined.
template <class T>
void forward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows, Range layers,
             StopCheck& check);

// Computes the deltas of layers to .. from - 1 from those of layer `from`. No layer between `to` and `from`
// may be normalised. If `to` is normalised, its deltas are those of its normalised pre-activations. If
// `from` is normalised, its deltas are such too: the call first takes them through the normalisation, which
// needs the gradients over the whole batch (find_norm_gradients).
template <class T>
void backward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows, int from,
              int to, StopCheck& check);

// Some inputs of one panel of the first layer.
struct PanelInputs {
    int64_t panel;
    int first, last;
};

// Computes the deltas of these inputs from those of the first layer: deltas.at(row, i) has those of
// inputs[i], each in its place in the panel; what is beside them is anything.
template <class T>
void backward_to_inputs(const Spec& spec, const Parameters<T>& parameters, const Workspace<T>& work,
                        Range rows, const std::vector<PanelInputs>& inputs, const RowPanels<T>& deltas,
                        StopCheck& check);

// Part `part` of `parts` contiguous parts of 0 .. n.
inline Range share(int64_t n, int64_t part, int64_t parts) {
    return {n * part / parts, n * (part + 1) / parts};
}

}  // namespace gdfast
