#include "network/recurrent.h"

#include "kernels/dispatch.h"

namespace gdfast {

namespace {

std::vector<Layer> matrices_of(Cell cell, int64_t inputs, const std::vector<int64_t>& hidden,
                               int64_t outputs) {
    const int gates = cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
    std::vector<Layer> matrices;
    const auto add = [&](int64_t in, int64_t out, int gates, int first_gate) {
        Layer layer{};
        layer.in = in;
        layer.out = checked_product(out, gates);
        layer.gates = gates;
        layer.first_gate = first_gate;
        matrices.push_back(layer);
    };
    for (const int64_t units : hidden) {
        // The n of a gru comes first: its input-to-hidden part is stored separately. r and z accumulate both
        // parts.
        add(inputs, units, gates, cell == Cell::gru ? 2 : 0);
        add(units, units, gates, 0);
        inputs = units;
    }
    add(inputs, outputs, 1, 0);
    return matrices;
}

// c (rows, P) = start + a . panel, in slices of depth, so that each slice of the panel stays in the L1 cache.
template <class T>
void multiply_panel(const KernelTable<T>& table, Product<T> p, int64_t depth) {
    constexpr int64_t slice_bytes = 16 * 1024;
    const int64_t slice =
        slice_bytes / static_cast<int64_t>(sizeof(T)) / p.b_stride / p.b_stride * p.b_stride;
    for (int64_t left = depth; left > 0; left -= slice) {
        p.depth = std::min(left, slice);
        table.product(p);
        p.a += slice / p.b_stride * p.a_stride;
        p.b += slice * p.b_stride;
        p.start = Start::output;
    }
}

template <class T>
Product<T> product_of(const T* a, int64_t a_stride, int64_t rows, int panel) {
    Product<T> p{};
    p.a = a;
    p.a_stride = a_stride;
    p.b_stride = panel;
    p.rows = rows;
    p.epilogue = Epilogue::none;
    return p;
}

// Calls body(Range) for the longest contiguous runs of rows that hold the sequences `rows_at(step)` of the
// steps `over`.
template <class RowsAt, class Body>
void for_runs(const Steps& steps, Range over, RowsAt rows_at, Body body) {
    Range run{0, 0};
    for (int64_t t = over.first; t < over.last; ++t) {
        const Range sequences = rows_at(t);
        const Range rows{steps.row(t) + sequences.first, steps.row(t) + sequences.last};
        if (rows.first != run.last) {
            body(run);
            run = rows;
        }
        run.last = rows.last;
    }
    body(run);
}

template <class T>
void clear(const RowPanels<T>& panels, int64_t count, int64_t rows_first, int64_t rows, int panel) {
    in_blocks<T>({rows_first, rows_first + rows}, [&](Range part) {
        for (int64_t j = 0; j < count; ++j) std::fill_n(panels.at(part.first, j), part.count() * panel, T(0));
    });
}

}  // namespace

RecurrentSpec::RecurrentSpec(Cell cell, int64_t inputs, const std::vector<int64_t>& hidden, int64_t outputs,
                             int panel)
    : cell(cell), hidden(hidden), matrices(matrices_of(cell, inputs, hidden, outputs), panel) {}

template <class T>
RecurrentWorkspace<T>::RecurrentWorkspace(const RecurrentSpec& spec, int64_t sequences, int64_t slots,
                                          int64_t terms, bool training, bool in_place)
    : training(training) {
    const int P = spec.matrices.panel;
    const int64_t rows = checked_product(slots, sequences), stored = training ? rows : 0;
    const auto panels = [&](int64_t rows, int64_t n) { return RowPanels<T>(rows, n, P); };
    for (size_t l = 0; l < spec.layers(); ++l) {
        const int64_t units = spec.unit_panels(l);
        const bool lstm = spec.cell == Cell::lstm, last = l + 1 == spec.layers();
        RecurrentLayer<T> layer;
        layer.gates = panels(rows, spec.stored_gates() * units);
        for (auto& state : layer.state) state = StatePanels<T>(sequences, units, P);
        if (lstm) layer.cell = StatePanels<T>(sequences, units, P);
        layer.bias = Buffer<T>(spec.deltas() * units * P);
        if (training) {
            if (lstm) layer.c = panels(stored, units);
            if (!in_place) layer.own_deltas = panels(stored, spec.deltas() * units);
            layer.deltas = (in_place ? layer.gates : layer.own_deltas).from_panel(0);
            layer.d_output = panels(last ? terms : stored, units);
            layer.d_state = StatePanels<T>(sequences, units, P);
            if (lstm) layer.d_cell = StatePanels<T>(sequences, units, P);
        }
        inputs.push_back(panels(rows, spec.input_to_hidden(l).in_panels));
        inputs.push_back(panels(stored, units));
        deltas.push_back(layer.deltas.from_panel(0));
        deltas.push_back(layer.deltas.from_panel(spec.first_hidden_to_hidden() * units));
        layers.push_back(std::move(layer));
    }
    inputs.push_back(panels(terms, spec.head().in_panels));
    deltas.push_back(panels(terms, spec.head().out_panels));
    this->rows = Buffer<int64_t>(sequences);
    if (!training) return;
    target = panels(terms, spec.head().out_panels);
    label = Buffer<int32_t>(terms);
    weight = Buffer<T>(terms);
    row_loss = Buffer<T>(terms);
}

template <class T>
void RecurrentWorkspace<T>::prepare(const RecurrentSpec& spec, const Parameters<T>& parameters) {
    const int P = spec.matrices.panel;
    for (size_t l = 0; l < layers.size(); ++l) {
        const int64_t elements = spec.gates() * spec.unit_panels(l) * P;
        const int64_t shift = spec.first_hidden_to_hidden() * spec.unit_panels(l) * P;
        const T *input = parameters.bias(spec.input_to_hidden(l)),
                *hidden = parameters.bias(spec.hidden_to_hidden(l));
        T* bias = layers[l].bias.data();
        std::copy_n(input, elements, bias);
        for (int64_t e = 0; e < elements; ++e)
            bias[shift + e] = shift + e < elements ? bias[shift + e] + hidden[e] : hidden[e];
    }
}

template <class T>
void forward_steps(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                   const Steps& steps, Range block, Range terms, Range group, const Fetch<T>& fetch,
                   StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const auto cell = table.cell_forward[static_cast<int>(spec.cell)];
    const int P = spec.matrices.panel;
    const bool lstm = spec.cell == Cell::lstm;
    const auto active = [&](int64_t t) { return steps.active(t, group); };

    for (int64_t t = block.first; t < block.last; ++t) {
        const Range sequences = active(t);
        const RowPanels<T>& x = work.inputs[0];
        in_blocks<T>({steps.row(t) + sequences.first, steps.row(t) + sequences.last}, [&](Range part) {
            const int64_t s = part.first - steps.row(t);
            fetch(t, {s, s + part.count()}, x.at(part.first), x.stride);
        });
        if (check.after(sequences.count() * spec.matrices.inputs())) return;
    }
    for (size_t l = 0; l < spec.layers(); ++l) {
        RecurrentLayer<T>& layer = work.layers[l];
        const Layer &input = spec.input_to_hidden(l), &hidden = spec.hidden_to_hidden(l);
        const bool last = l + 1 == spec.layers();
        const int64_t units = spec.unit_panels(l);

        // The input-to-hidden products need no state: they are computed for all steps at once.
        for_runs(steps, block, active, [&](Range run) {
            in_blocks<T>(run, [&](Range part) {
                if (check.after(part.count() * input.in * input.out)) return;
                const RowPanels<T>& inputs = work.inputs[2 * l];
                Product<T> p = product_of<T>(inputs.at(part.first), inputs.stride, part.count(), P);
                for (int64_t j = 0; j < input.out_panels; ++j) {
                    p.b = parameters.weight_panel(input, j);
                    p.bias = layer.bias.data() + j * P;
                    p.c = layer.gates.at(part.first, j);
                    p.columns = input.columns(j, P);
                    p.start = Start::bias;
                    multiply_panel(table, p, input.in);
                }
            });
        });
        const int64_t shift = spec.first_hidden_to_hidden() * units;
        for (int64_t t = block.first; t < block.last; ++t) {
            const StatePanels<T>&state = layer.state[t % 2], &next = layer.state[(t + 1) % 2];
            const Range sequences = active(t);
            if (check.after(sequences.count() * hidden.in * hidden.out)) return;
            const bool term = last && t >= terms.first && t < terms.last;
            const int64_t row = steps.row(t) + sequences.first;
            const int64_t head_row = term ? (t - terms.first) * steps.sequences + sequences.first : row;
            in_blocks_of_both<T>(
                row, head_row, sequences.count(), [&](int64_t r, int64_t head_r, int64_t count) {
                    const int64_t s = r - steps.row(t);
                    Product<T> p = product_of<T>(state.at(s), state.stride, count, P);
                    for (int64_t u = 0; u < units; ++u) {
                        for (int g = 0; g < spec.gates(); ++g) {
                            const int64_t j = g * units + u;
                            p.b = parameters.weight_panel(hidden, j);
                            p.bias = layer.bias.data() + (shift + j) * P;
                            p.c = layer.gates.at(r, shift + j);
                            p.columns = hidden.columns(j, P);
                            p.start = shift + j < input.out_panels ? Start::output : Start::bias;
                            multiply_panel(table, p, hidden.in);
                        }
                        CellForward<T> step{};
                        for (int g = 0; g < spec.stored_gates(); ++g)
                            step.gate[g] = layer.gates.at(r, g * units + u);
                        step.h = state.at(s, u);
                        step.h_next = next.at(s, u);
                        if (!last) step.output = work.inputs[2 * l + 2].at(r, u);
                        if (term) step.output = work.inputs.back().at(head_r, u);
                        if (lstm) step.c = layer.cell.at(s, u);
                        if (lstm && work.training) step.c_prev = layer.c.at(r, u);
                        if (work.training) std::copy_n(step.h, count * P, work.inputs[2 * l + 1].at(r, u));
                        step.n = count * P;
                        cell(step);
                    }
                });
        }
    }
}

template <class T>
void head_forward(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                  Range rows) {
    const Layer& head = spec.head();
    const int P = spec.matrices.panel;
    Product<T> p =
        product_of<T>(work.inputs.back().at(rows.first), work.inputs.back().stride, rows.count(), P);
    for (int64_t j = 0; j < head.out_panels; ++j) {
        p.b = parameters.weight_panel(head, j);
        p.bias = parameters.bias(head) + j * P;
        p.c = work.deltas.back().at(rows.first, j);
        p.columns = head.columns(j, P);
        p.start = Start::bias;
        multiply_panel(kernels<T>(), p, head.in);
    }
}

template <class T>
void head_backward(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                   Range rows) {
    const Layer& head = spec.head();
    const int P = spec.matrices.panel;
    Product<T> p =
        product_of<T>(work.deltas.back().at(rows.first), work.deltas.back().stride, rows.count(), P);
    for (int64_t j = 0; j < head.in_panels; ++j) {
        p.b = parameters.transposed_panel(head, j);
        p.c = work.layers.back().d_output.at(rows.first, j);
        p.columns = static_cast<int>(std::min<int64_t>(P, head.in - j * P));
        p.start = Start::zero;
        multiply_panel(kernels<T>(), p, head.out);
    }
}

template <class T>
void backward_steps(const RecurrentSpec& spec, const Parameters<T>& parameters, RecurrentWorkspace<T>& work,
                    const Steps& steps, const BackwardWindow& back, Range group, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const auto cell = table.cell_backward[static_cast<int>(spec.cell)];
    const int P = spec.matrices.panel;
    const bool lstm = spec.cell == Cell::lstm;
    const int64_t first = back.first(steps), last_step = back.loss.last;
    const auto with_gradient = [&](int64_t t) { return back.with_gradient(steps, t, group); };

    for (size_t l = spec.layers(); l-- > 0;) {
        RecurrentLayer<T>& layer = work.layers[l];
        const Layer &input = spec.input_to_hidden(l), &hidden = spec.hidden_to_hidden(l);
        const bool top = l + 1 == spec.layers();
        const int64_t units = spec.unit_panels(l);
        const int64_t depth = hidden.out_panels * P;  // each gate fills whole panels, with zeros
        for (int64_t u = 0; u < units; ++u) {
            std::fill_n(layer.d_state.at(group.first, u), group.count() * P, T(0));
            if (lstm) std::fill_n(layer.d_cell.at(group.first, u), group.count() * P, T(0));
        }
        for (int64_t t = last_step - 1; t >= first; --t) {
            const Range sequences = with_gradient(t);
            if (check.after(sequences.count() * hidden.in * hidden.out)) return;
            const bool term = top && t >= back.loss.first;
            const int64_t row = steps.row(t) + sequences.first;
            const int64_t head_row = term ? (t - back.loss.first) * steps.sequences + sequences.first : row;
            in_blocks_of_both<T>(
                row, head_row, sequences.count(), [&](int64_t r, int64_t head_r, int64_t count) {
                    const int64_t s = r - steps.row(t);
                    for (int64_t u = 0; u < units; ++u) {
                        CellBackward<T> step{};
                        for (int g = 0; g < spec.stored_gates(); ++g)
                            step.gate[g] = layer.gates.at(r, g * units + u);
                        for (int g = 0; g < spec.deltas(); ++g)
                            step.delta[g] = layer.deltas.at(r, g * units + u);
                        if (!top) step.d_output = layer.d_output.at(r, u);
                        if (term) step.d_output = layer.d_output.at(head_r, u);
                        step.dh = layer.d_state.at(s, u);
                        step.h = work.inputs[2 * l + 1].at(r, u);
                        if (lstm) step.dc = layer.d_cell.at(s, u);
                        if (lstm) step.c = layer.c.at(r, u);
                        step.n = count * P;
                        cell(step);
                    }
                    if (t == first) return;
                    const RowPanels<T>& deltas = work.deltas[2 * l + 1];
                    Product<T> p = product_of<T>(deltas.at(r), deltas.stride, count, P);
                    for (int64_t u = 0; u < units; ++u) {
                        p.b = parameters.transposed_panel(hidden, u);
                        p.c = layer.d_state.at(s, u);
                        p.columns = static_cast<int>(std::min<int64_t>(P, hidden.in - u * P));
                        // The state of a gru also enters h directly.
                        p.start = spec.cell == Cell::gru ? Start::output : Start::zero;
                        multiply_panel(table, p, depth);
                    }
                });
        }
        if (l > 0)
            for_runs(steps, {first, last_step}, with_gradient, [&](Range run) {
                in_blocks<T>(run, [&](Range part) {
                    if (check.after(part.count() * input.in * input.out)) return;
                    const RowPanels<T>&deltas = work.deltas[2 * l], &d_output = work.layers[l - 1].d_output;
                    Product<T> p = product_of<T>(deltas.at(part.first), deltas.stride, part.count(), P);
                    for (int64_t j = 0; j < input.in_panels; ++j) {
                        p.b = parameters.transposed_panel(input, j);
                        p.c = d_output.at(part.first, j);
                        p.columns = static_cast<int>(std::min<int64_t>(P, input.in - j * P));
                        p.start = Start::zero;
                        multiply_panel(table, p, depth);
                    }
                });
            });
        // The remaining rows in memory must not contribute to the weight gradients. Their inputs are
        // cleared too: zero times the values of another batch might be NaN.
        const int64_t oldest = std::max<int64_t>(0, last_step - steps.slots);
        for (int64_t t = oldest; t < (steps.ragged() ? last_step : first); ++t) {
            const Range active = steps.active(t, group);
            const Range sequences = t < first ? Range{group.first, group.first} : with_gradient(t);
            const int64_t row = steps.row(t);
            clear(layer.deltas, spec.deltas() * units, row + group.first, sequences.first - group.first, P);
            clear(layer.deltas, spec.deltas() * units, row + sequences.last, group.last - sequences.last, P);
            clear(work.inputs[2 * l], input.in_panels, row + active.last, group.last - active.last, P);
            clear(work.inputs[2 * l + 1], units, row + active.last, group.last - active.last, P);
        }
    }
}

#define GDFAST_INSTANTIATE(T)                                                                               \
    template class RecurrentWorkspace<T>;                                                                   \
    template void forward_steps(const RecurrentSpec&, const Parameters<T>&, RecurrentWorkspace<T>&,         \
                                const Steps&, Range, Range, Range, const Fetch<T>&, StopCheck&);            \
    template void head_forward(const RecurrentSpec&, const Parameters<T>&, RecurrentWorkspace<T>&, Range);  \
    template void head_backward(const RecurrentSpec&, const Parameters<T>&, RecurrentWorkspace<T>&, Range); \
    template void backward_steps(const RecurrentSpec&, const Parameters<T>&, RecurrentWorkspace<T>&,        \
                                 const Steps&, const BackwardWindow&, Range, StopCheck&);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast
