// What a batch leaves in memory between the passes: every layer's activations and deltas, in panels.
#pragma once

#include <vector>

#include "network/spec.h"

namespace gdfast {

template <class T>
class Workspace {
public:
    // Room for `capacity` rows. Deltas and targets are for training only.
    Workspace(const Spec& spec, int64_t capacity, bool training)
        : capacity(capacity), stride(checked_product(capacity, spec.panel)) {
        // activations[0] is the data; the last layer's sums are formed where its deltas will be.
        for (const Layer& l : spec.layers) {
            activations.emplace_back(checked_product(l.in_panels, stride));
            deltas.emplace_back(checked_product(l.out_panels, training || &l == &spec.layers.back() ? stride : 0));
        }
        if (!training) return;
        target = Buffer<T>(checked_product(spec.layers.back().out_panels, stride));
        label = Buffer<int32_t>(capacity);
        weight = Buffer<T>(capacity);
        row_loss = Buffer<T>(capacity);
    }

    const int64_t capacity;
    const int64_t stride;                 // elements from one panel to the next
    std::vector<Buffer<T>> activations;   // inputs of layer i
    std::vector<Buffer<T>> deltas;        // d loss / d sums of layer i
    Buffer<T> target;                     // of the losses that have numbers for targets
    Buffer<int32_t> label;                // of cross-entropy
    Buffer<T> weight, row_loss;
};

}  // namespace gdfast
