// The derivative of the passes along a direction of the parameters: R{} of Pearlmutter, "Fast exact
// multiplication by the Hessian" (Neural Computation 6, 1994). For some rows of a batch, on one thread, in a
// network without normalisation and dropout.
#pragma once

#include <vector>

#include "network/interruption.h"
#include "network/parameters.h"
#include "network/workspace.h"

namespace gdfast {

// What these passes keep beside the workspace, with its layout.
template <class T>
struct Tangents {
    // `with_deltas`: for backward_tangents().
    Tangents(const Spec& spec, int64_t capacity, bool with_deltas) {
        const int P = spec.panel;
        for (size_t i = 0; i < spec.layers.size(); ++i) {
            const Layer& l = spec.layers[i];
            const bool apart = i + 1 == spec.layers.size() || derivative_from_sum(l.activation.kind);
            activations.push_back(i > 0 ? RowPanels<T>(capacity, l.in_panels, P) : RowPanels<T>());
            sums.push_back(apart ? RowPanels<T>(capacity, l.out_panels, P) : RowPanels<T>());
            deltas.push_back(with_deltas ? RowPanels<T>(capacity, l.out_panels, P) : RowPanels<T>());
            if (l.narrow && i > 0) narrow_sums = RowPanels<T>(capacity, 1, P);
        }
    }

    // R{} of layer i's pre-activations; where those determine no derivative, its activation's place.
    const RowPanels<T>& pre_activations(size_t i) const {
        return sums[i].stride ? sums[i] : activations[i + 1];
    }

    std::vector<RowPanels<T>> activations;  // R{inputs of layer i}; none for layer 0, whose inputs are given
    std::vector<RowPanels<T>> sums;         // R{pre-activations}, where they are kept apart
    std::vector<RowPanels<T>> deltas;       // of the gradient; those of the workspace are R{deltas} meanwhile
    RowPanels<T> narrow_sums;               // scratch memory
};

// Computes R{activations} and, in sums.back(), R{pre-activations of the last layer}, after forward().
template <class T>
void forward_tangents(const Spec& spec, const Parameters<T>& parameters, const Parameters<T>& direction,
                      const Workspace<T>& work, const Tangents<T>& tangents, Range rows, StopCheck& check);

// Computes both deltas of every layer from those of the last one: the gradient's in `tangents`, and in the
// workspace R{deltas}.
template <class T>
void backward_tangents(const Spec& spec, const Parameters<T>& parameters, const Parameters<T>& direction,
                       const Workspace<T>& work, const Tangents<T>& tangents, Range rows, StopCheck& check);

}  // namespace gdfast
