// Recurrent layers over time: what one thread does alone with its sequences, step after step and back.
#pragma once

#include <functional>
#include <vector>

#include "network/interruption.h"
#include "network/parameters.h"
#include "network/steps.h"

namespace gdfast {

// A stack of recurrent layers under a dense head. Of layer l, matrix 2 l is input-to-hidden, matrix 2 l + 1
// hidden-to-hidden; the last matrix is the head.
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
    // Units that a layer's state has: an lstm's is h, then c.
    int64_t state_units(size_t l) const { return hidden[l] * (cell == Cell::lstm ? 2 : 1); }

    // Gates of each matrix; gates kept in memory (see CellForward), and where, of those, the ones begin that
    // the hidden-to-hidden product contributes to. The input-to-hidden one contributes to the first ones.
    int gates() const { return hidden_to_hidden(0).gates; }
    int kept() const { return cell == Cell::lstm ? 5 : cell == Cell::gru ? 4 : 1; }
    int deltas() const { return cell == Cell::lstm || cell == Cell::gru ? 4 : 1; }
    int first_hidden_to_hidden() const { return cell == Cell::gru ? 1 : 0; }
};

// A panelled matrix without blocks: the state of a whole batch, which stays near while steps go by.
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
    RowPanels<T> gates;       // see CellForward
    RowPanels<T> c;           // an lstm's, before each step
    RowPanels<T> own_deltas;  // where they cannot take the gates' place
    RowPanels<T> deltas;      // of all gates
    RowPanels<T> above;       // d loss / d h, from the layer above; of the last layer, by row of the head
    StatePanels<T> state[2], cell;  // h before even and odd steps, and c
    StatePanels<T> d_state, d_cell;
    Buffer<T> bias;  // of the kept gates: both matrices' in one where both contribute
};

// What a batch of sequences leaves in memory.
template <class T>
class RecurrentWorkspace {
public:
    // For batches of `sequences` with memory for `slots` steps, `terms` rows of which go through the head at
    // once. Deltas may take the gates' place where no step goes back twice; they are for training only.
    RecurrentWorkspace(const RecurrentSpec& spec, int64_t sequences, int64_t slots, int64_t terms,
                       bool training, bool in_place);

    // To be called when weights have changed.
    void prepare(const RecurrentSpec& spec, const Parameters<T>& parameters);

    std::vector<RecurrentLayer<T>> layers;
    // By matrix: what it is multiplied with (a layer's last state, of its second one), and the deltas of the
    // gates that it contributes to; first, of the head's deltas, its sums.
    std::vector<RowPanels<T>> inputs, deltas;
    RowPanels<T> target;
    Buffer<int32_t> label;
    Buffer<T> weight, row_loss;
    Buffer<int64_t> rows;  // (sequences): row numbers, a group's are its own
    bool training;
};

// Fetches the inputs of some sequences at a step into panels: (step, sequences, panels, stride).
template <class T>
using Fetch = std::function<void(int64_t, Range, T*, int64_t)>;

// Takes sequences `group` through steps `block`. What the head is to read at steps `terms` goes to its
// inputs: step t's to rows (t - terms.first) * sequences + s. Where `check` says to stop, this and
// backward_steps() leave anything.
template <class T>
void forward_steps(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                   const Steps& steps, Range block, Range terms, Range group, const Fetch<T>& fetch,
                   StopCheck& check);

// The head's sums for some rows of its inputs, all in one block; and from its deltas d loss / d h of the last
// layer.
template <class T>
void head_forward(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                  Range rows);
template <class T>
void head_backward(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                   Range rows);

// All gates' deltas of sequences `group`, from the last layer's d loss / d h. Rows of the steps in memory
// through which nothing flows get deltas of zero.
template <class T>
void backward_steps(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                    const Steps& steps, const WayBack& back, Range group, StopCheck& check);

}  // namespace gdfast
