// The memory of a batch: the activations and deltas of every layer, in panels.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/dispatch.h"
#include "network/sparse.h"
#include "network/spec.h"

namespace gdfast {

// The number of rows in a block, which goes through all layers together. A block is a contiguous matrix in
// panels: the part of one layer fits the L2 cache and spreads over all of its sets.
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

// Where the elements of a batch's matrix are: blocks of rows, each in panels `stride` elements apart.
template <class T>
struct RowLayout {
    RowLayout() = default;
    RowLayout(int64_t rows, int64_t panels, int panel)
        // One row of padding: panels a power of two apart would all map to one set of the L1 cache.
        : stride((std::min(rows, kRowBlock<T>) + 1) * panel),
          panel_(panel),
          block_(checked_product(panels, stride)) {}

    int64_t elements(int64_t rows) const { return checked_product(divided_up(rows, kRowBlock<T>), block_); }
    // Row `row` of panel j. The further rows of its block follow it in memory.
    int64_t offset(int64_t row, int64_t j) const {
        return row / kRowBlock<T> * block_ + j * stride + row % kRowBlock<T> * panel_;
    }

    int64_t stride = 0;

private:
    int panel_ = 0;
    int64_t block_ = 0;
};

// A batch's matrix.
template <class T>
class RowPanels : public RowLayout<T> {
public:
    RowPanels() = default;
    RowPanels(int64_t rows, int64_t panels, int panel)
        : RowLayout<T>(rows, panels, panel), own_(this->elements(rows)), data_(own_.data()) {}

    // A view of the panels from `first` on, valid as long as this object.
    RowPanels from_panel(int64_t first) const {
        RowPanels view;
        static_cast<RowLayout<T>&>(view) = *this;
        view.data_ = data_ + first * this->stride;
        return view;
    }

    T* at(int64_t row, int64_t j = 0) const { return data_ + this->offset(row, j); }

private:
    Buffer<T> own_;
    T* data_ = nullptr;
};

// The normalisation of a layer, one element for each column in panels.
// Forward: y = (z - center) scale + shift. Backward: delta = delta scale + (z - center) factor + offset.
template <class T>
struct Norm {
    Buffer<T> center, scale, shift, factor, offset;
    Norm() = default;
    explicit Norm(int64_t columns)
        : center(columns), scale(columns), shift(columns), factor(columns), offset(columns) {}
};

// Dropout of the inputs of a layer.
struct DropoutRate {
    double rate = 0;
    RandomKey key{0, 0};    // of the current step
    int64_t first_row = 0;  // of its batch, among the rows that the masks of a step are for

    // The probability times 2^16: it is a multiple of 1 / 2^16, below 1.
    uint32_t threshold() const { return static_cast<uint32_t>(std::min(rate * 65536 + 0.5, 65535.0)); }
    // What values that are kept are multiplied with.
    double factor() const { return 1 / (1 - threshold() / 65536.0); }
};

template <class T>
class Workspace {
public:
    // For prediction, with memory for `capacity` rows.
    Workspace(const Spec& spec, int64_t capacity) : Workspace(spec, capacity, false, {}) {}

    // For training, with the dropout rates of the inputs and of each hidden layer's outputs, or none.
    Workspace(const Spec& spec, int64_t capacity, const std::vector<double>& dropout_rates)
        : Workspace(spec, capacity, true, dropout_rates) {}

    // Allocates memory for the inputs of batches of the rows order[0 .. count) (order null: 0, 1, ...) of
    // x, dense or sparse. It must be called before inputs are written.
    void allocate(const Spec& spec, const Rows<T>& x, const int64_t* order, int64_t count) {
        if (x.sparse()) {
            activations[0] = RowPanels<T>();
            sparse.allocate(x, order, count, capacity_, training_);
        } else {
            sparse.clear();
            if (!activations[0].stride)
                activations[0] = RowPanels<T>(capacity_, spec.layers[0].in_panels, spec.panel);
        }
    }

    // The memory in which layer i's pre-activations are computed; in the last layer, that of its deltas.
    const RowPanels<T>& pre_activations(size_t i) const {
        if (raw[i].stride) return raw[i];
        return i + 1 < deltas.size() ? for_derivative(i) : deltas[i];
    }
    // The values from which the derivative of hidden layer i's activation is computed. They are stored
    // apart from the inputs of layer i + 1 if those do not determine the derivative.
    const RowPanels<T>& for_derivative(size_t i) const {
        const bool apart = separate_[i].stride && (from_sum_[i] || dropout[i + 1].rate > 0);
        return apart ? separate_[i] : activations[i + 1];
    }

    // Derives a key for each layer and step. The batch's rows are those from `first_row` on of a batch that
    // several trainers share.
    void begin_step(RandomKey key, int64_t step, int64_t first_row = 0) {
        for (size_t i = 0; i < dropout.size(); ++i) {
            if (!(dropout[i].rate > 0)) continue;
            dropout[i].key =
                kernels<T>().derive_key(key, static_cast<uint32_t>(step), static_cast<uint32_t>(i));
            dropout[i].first_row = first_row;
        }
    }

    std::vector<RowPanels<T>> activations;  // inputs of layer i; of layer 0, if they are dense
    SparseInputs<T> sparse;                 // inputs of layer 0, if they are sparse
    std::vector<RowPanels<T>> deltas;       // d loss / d pre-activations of layer i, see pre_activations()
    std::vector<RowPanels<T>> raw;          // pre-activations of layer i before normalisation, in training
    std::vector<Norm<T>> norms;             // of normalised layers
    std::vector<DropoutRate> dropout;       // of the inputs of layer i; one above 0 may become any other
    RowPanels<T> target;                    // of all losses but cross-entropy
    Buffer<int32_t> label;                  // of cross-entropy
    Buffer<T> weight, row_loss;

private:
    Workspace(const Spec& spec, int64_t capacity, bool training, const std::vector<double>& dropout_rates)
        : capacity_(capacity), training_(training) {
        const int P = spec.panel;
        const size_t n = spec.layers.size();
        for (auto* list : {&activations, &deltas, &raw, &separate_}) list->reserve(n);
        norms.reserve(n);
        dropout.resize(n);
        for (size_t i = 0; i < dropout_rates.size(); ++i) dropout[i].rate = dropout_rates[i];
        for (size_t i = 0; i < spec.layers.size(); ++i) {
            const Layer& l = spec.layers[i];
            const bool last = i + 1 == spec.layers.size();
            activations.push_back(i > 0 ? RowPanels<T>(capacity, l.in_panels, P) : RowPanels<T>());
            deltas.emplace_back(training || last ? capacity : 0, l.out_panels, P);
            from_sum_.push_back(derivative_from_sum(l.activation.kind));
            const bool separate =
                training && !last &&
                (from_sum_.back() || (dropout[i + 1].rate > 0 && !derivative_from_sign(l.activation.kind)));
            separate_.push_back(separate ? RowPanels<T>(capacity, l.out_panels, P) : RowPanels<T>());
            raw.push_back(training && l.normalized ? RowPanels<T>(capacity, l.out_panels, P)
                                                   : RowPanels<T>());
            norms.push_back(l.normalized ? Norm<T>(l.out_panels * P) : Norm<T>());
        }
        if (!training) return;
        target = RowPanels<T>(capacity, spec.layers.back().out_panels, P);
        label = Buffer<int32_t>(capacity);
        weight = Buffer<T>(capacity);
        row_loss = Buffer<T>(capacity);
    }

    int64_t capacity_;
    bool training_;
    std::vector<RowPanels<T>> separate_;
    std::vector<bool> from_sum_;
};

}  // namespace gdfast
