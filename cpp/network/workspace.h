// What a batch leaves in memory between the passes: every layer's activations and deltas, in panels.
#pragma once

#include <algorithm>
#include <vector>

#include "network/spec.h"

namespace gdfast {

// Rows that go through all layers together. A block of them is a matrix in panels of its own, in one piece: a
// layer's slice of it fits the second cache and spreads over all of its sets.
template <class T>
constexpr int64_t kRowBlock = 1024 / sizeof(T);

// A range of a batch's rows.
struct Range {
    int64_t first, last;
    int64_t count() const { return last - first; }
};

// Calls body(Range) for each part of `rows` that lies in one block.
template <class T, class Body>
void in_blocks(Range rows, Body&& body) {
    while (rows.first < rows.last) {
        const int64_t end = std::min(rows.last, (rows.first / kRowBlock<T> + 1) * kRowBlock<T>);
        body(Range{rows.first, end});
        rows.first = end;
    }
}

// A batch's matrix: blocks of rows, each in panels `stride` elements apart.
template <class T>
class RowPanels {
public:
    RowPanels() = default;
    RowPanels(int64_t rows, int64_t panels, int panel)
        // One row more than there is: were panels a power of two apart, all would meet in one set of the
        // first cache.
        : stride((std::min(rows, kRowBlock<T>) + 1) * panel),
          panel_(panel),
          block_(checked_product(panels, stride)),
          own_(checked_product((rows + kRowBlock<T> - 1) / kRowBlock<T>, block_)),
          data_(own_.data()) {}

    // The same memory from panel `first` on: valid as long as this one.
    RowPanels from_panel(int64_t first) const {
        RowPanels view;
        view.stride = stride;
        view.panel_ = panel_;
        view.block_ = block_;
        view.data_ = data_ + first * stride;
        return view;
    }

    // Row `row` of panel j; the rows of its block follow.
    T* at(int64_t row, int64_t j = 0) const {
        return data_ + row / kRowBlock<T> * block_ + j * stride + row % kRowBlock<T> * panel_;
    }

    int64_t stride = 0;

private:
    int panel_ = 0;
    int64_t block_ = 0;
    Buffer<T> own_;
    T* data_ = nullptr;
};

template <class T>
class Workspace {
public:
    // Room for `capacity` rows. Most deltas, and targets, are for training only.
    Workspace(const Spec& spec, int64_t capacity, bool training) {
        const int P = spec.panel;
        for (const Layer& l : spec.layers) {
            const bool last = &l == &spec.layers.back();
            activations.emplace_back(capacity, l.in_panels, P);
            deltas.emplace_back(training || last ? capacity : 0, l.out_panels, P);
            const bool apart = training && !last && told_by_sum(l.activation.kind);
            sums_.push_back(apart ? RowPanels<T>(capacity, l.out_panels, P) : RowPanels<T>());
        }
        if (!training) return;
        target = RowPanels<T>(capacity, spec.layers.back().out_panels, P);
        label = Buffer<int32_t>(capacity);
        weight = Buffer<T>(capacity);
        row_loss = Buffer<T>(capacity);
    }

    // Where hidden layer i's sums are formed, and what tells the derivative of its activation: apart from its
    // values, where those do not.
    const RowPanels<T>& sums(size_t i) const { return sums_[i].stride ? sums_[i] : activations[i + 1]; }

    std::vector<RowPanels<T>> activations;  // inputs of layer i
    std::vector<RowPanels<T>> deltas;       // d loss / d sums of layer i; first, of the last layer, the sums
    RowPanels<T> target;                    // of the losses that have numbers for targets
    Buffer<int32_t> label;                  // of cross-entropy
    Buffer<T> weight, row_loss;

private:
    std::vector<RowPanels<T>> sums_;
};

}  // namespace gdfast
