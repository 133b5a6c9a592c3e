// The forward and backward passes through time of some sequences, on one thread.
#pragma once

#include <functional>
#include <vector>

#include "network/interruption.h"
#include "network/parameters.h"
#include "network/steps.h"

namespace gdfast {

// A stack of recurrent layers and a dense head. Matrix 2 l has the input-to-hidden weights of layer l, matrix
// 2 l + 1 its hidden-to-hidden weights; the last matrix is the head.
struct RecurrentSpec {
    Cell cell;
    std::vector<int64_t> hidden;  // units of each layer
    Spec matrices;

    RecurrentSpec(Cell cell, int64_t inputs, const std::vector<int64_t>& hidden, int64_t outputs, int panel);

    size_t layers() const { return hidden.size(); }
    const Layer& input_to_hidden(size_t l) const { return matrices.layers[2 * l]; }
    const Layer& hidden_to_hidden(size_t l) const { return matrices.layers[2 * l + 1]; }
    const Layer& head() const { return matrices.layers.back(); }
    int64_t unit_panels(size_t l) const { return hidden_to_hidden(l).in_panels; }
    // The size of a layer's state: h, and c after it in an lstm.
    int64_t state_units(size_t l) const { return hidden[l] * (cell == Cell::lstm ? 2 : 1); }

    // The gates of each matrix, the gates stored in memory (see CellForward), the gates with deltas, and
    // the first stored gate that the hidden-to-hidden product contributes to. The input-to-hidden product
    // contributes to the gates from 0 on.
    int gates() const { return hidden_to_hidden(0).gates; }
    int stored_gates() const { return cell == Cell::lstm ? 5 : cell == Cell::gru ? 4 : 1; }
    int deltas() const { return cell == Cell::lstm || cell == Cell::gru ? 4 : 1; }
    int first_hidden_to_hidden() const { return cell == Cell::gru ? 1 : 0; }
};

// A matrix in panels, not divided into blocks of rows: the state of a whole batch, which every step reuses.
template <class T>
struct StatePanels {
    StatePanels() = default;
    StatePanels(int64_t rows, int64_t panels, int panel)
        : stride((rows + 1) * panel), panel(panel), memory(checked_product(panels, stride)) {}
    T* at(int64_t row, int64_t j = 0) const { return memory.data() + j * stride + row * panel; }

    int64_t stride = 0;
    int panel = 0;
    Buffer<T> memory;
};

template <class T>
struct RecurrentLayer {
    RowPanels<T> gates;             // see CellForward
    RowPanels<T> c;                 // c of an lstm before each step
    RowPanels<T> own_deltas;        // if deltas cannot overwrite the gates
    RowPanels<T> deltas;            // of all gates
    RowPanels<T> d_output;          // d loss / d output; in the last layer, by row of the head
    StatePanels<T> state[2], cell;  // h before even and odd steps, and c
    StatePanels<T> d_state, d_cell;
    Buffer<T> bias;  // of the stored gates: the sum of both matrices' biases where both contribute
};

// The memory of a batch of sequences: states, gates, deltas, inputs and targets.
template <class T>
class RecurrentWorkspace {
public:
    // For batches of `sequences` with memory for `slots` steps, of which `terms` rows go through the head
    // at once. `in_place`: deltas overwrite the gates, which is allowed if the backward pass visits no step
    // twice. Deltas exist in training only.
    RecurrentWorkspace(const RecurrentSpec& spec, int64_t sequences, int64_t slots, int64_t terms,
                       bool training, bool in_place);

    // Must be called after a change of the weights.
    void prepare(const RecurrentSpec& spec, const Parameters<T>& parameters);

    std::vector<RecurrentLayer<T>> layers;
    // For each matrix, its inputs (the previous state, for hidden-to-hidden weights) and the deltas of the
    // gates that it contributes to. The deltas of the head hold its pre-activations first.
    std::vector<RowPanels<T>> inputs, deltas;
    RowPanels<T> target;
    Buffer<int32_t> label;
    Buffer<T> weight, row_loss;
    Buffer<int64_t> rows;  // (sequences): row numbers; each group uses its own part
    bool training;
};

// Fetches the inputs of some sequences at a step into panels: (step, sequences, panels, stride).
template <class T>
using Fetch = std::function<void(int64_t, Range, T*, int64_t)>;

// The forward pass of the sequences `group` through the steps `block`. The outputs of the last layer at the
// steps `terms` are written to the head's inputs, step t and sequence s to row
// (t - terms.first) * sequences + s. If `check` stops this or backward_steps(), the results are undefined.
template <class T>
void forward_steps(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                   const Steps& steps, Range block, Range terms, Range group, const Fetch<T>& fetch,
                   StopCheck& check);

// head_forward() computes the head's pre-activations for rows of its inputs, all in one block.
// head_backward() computes d loss / d h of the last layer from the head's deltas.
template <class T>
void head_forward(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                  Range rows);
template <class T>
void head_backward(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                   Range rows);

// Computes the deltas of all gates of the sequences `group` from d loss / d h of the last layer. Rows in
// memory without a gradient get deltas of zero.
template <class T>
void backward_steps(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                    const Steps& steps, const BackwardWindow& back, Range group, StopCheck& check);

}  // namespace gdfast
