// Forward and backward over some rows of a batch: what one thread does alone, from start to end.
#pragma once

#include "network/parameters.h"
#include "network/rows.h"
#include "network/workspace.h"

namespace gdfast {

// A range of a batch's rows.
struct Range {
    int64_t first, last;
    int64_t count() const { return last - first; }
};

// Activations of every layer, and the last layer's sums in deltas.back(), for these rows.
template <class T>
void forward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows);

// Deltas of the layers below the last, whose own the loss has left in deltas.back().
template <class T>
void backward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows);

// Rows that go through all layers together: their widest layer stays in the second cache.
constexpr int64_t kRowBlock = 128;

template <class Body>
void in_blocks(Range rows, Body&& body) {
    for (int64_t first = rows.first; first < rows.last; first += kRowBlock)
        body(Range{first, first + kRowBlock < rows.last ? first + kRowBlock : rows.last});
}

// Share `part` of `parts` of n things, contiguous.
inline Range share(int64_t n, int part, int parts) {
    return {n * part / parts, n * (part + 1) / parts};
}

}  // namespace gdfast
