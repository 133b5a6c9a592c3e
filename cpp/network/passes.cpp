#include "network/passes.h"

#include <algorithm>

namespace gdfast {

namespace {

// The summed dimension is divided into slices of this many bytes of a column, so that a slice of a weight
// panel stays in the L1 cache while it is multiplied with all rows of the block.
constexpr int64_t kSliceBytes = 16 * 1024;

// c = a . panels for every panel of outputs. a (rows, depth), c (rows, columns) and activated have panels
// the same distance apart.
template <class T, class PanelOf, class Finish>
void multiply(const KernelTable<T>& table, Product<T> p, int64_t depth, int64_t columns, PanelOf panel_of,
              Finish finish, StopCheck& check) {
    const int P = table.panel;
    const int64_t slice = kSliceBytes / static_cast<int64_t>(sizeof(T)) / P / P * P;
    const T* a = p.a;
    T* c = p.c;
    const int64_t stride = p.a_stride;
    const Start start = p.start;
    const Epilogue epilogue = p.epilogue;
    const T* bias = p.bias;
    const T* activated = p.activated;
    p.b_stride = P;
    for (int64_t first = 0; first < depth; first += slice) {
        const bool last = first + slice >= depth;
        p.a = a + first / P * stride;
        p.depth = last ? depth - first : slice;
        if (check.after(p.rows * p.depth * columns)) return;
        p.start = first == 0 ? start : Start::output;
        p.epilogue = last ? epilogue : Epilogue::none;
        for (int64_t j = 0; j * P < columns; ++j) {
            p.b = panel_of(j) + first * P;
            p.c = c + j * stride;
            p.bias = bias ? bias + j * P : nullptr;
            p.activated = activated ? activated + j * stride : nullptr;
            p.columns = static_cast<int>(std::min<int64_t>(P, columns - j * P));
            table.product(p);
            if (last) finish(j, p.c);
        }
    }
}

// Applies dropout to one panel of a layer's inputs.
template <class T>
void drop(const Workspace<T>& work, size_t layer, Range rows, int64_t j, const T* a, T* out) {
    const DropoutRate& d = work.dropout[layer];
    const KernelTable<T>& table = kernels<T>();
    table.drop({a, out, rows.count(), rows.first, j * table.panel, d.key, d.threshold(),
                static_cast<T>(d.factor())});
}

// Activation and dropout of one panel of hidden layer i. In: the pre-activations (normalised, in a normalised
// layer), or the outputs if `activated`, in for_derivative(i). Out: the inputs of layer i + 1.
template <class T>
void activate(const Layer& l, const Workspace<T>& work, size_t i, Range rows, int64_t j,
              bool activated = false) {
    const KernelTable<T>& table = kernels<T>();
    T* kept = work.for_derivative(i).at(rows.first, j);
    T* values = work.activations[i + 1].at(rows.first, j);
    T* to = derivative_from_sum(l.activation.kind) ? values : kept;
    if (!activated)
        table.activate[static_cast<int>(l.activation.kind)](rows.count() * table.panel, kept, to,
                                                            static_cast<T>(l.activation.parameter));
    if (work.dropout[i + 1].rate > 0) drop(work, i + 1, rows, j, to, values);
}

template <class T>
void normalize(const Workspace<T>& work, size_t i, Range rows, int64_t j, const T* z) {
    const KernelTable<T>& table = kernels<T>();
    const Norm<T>& norm = work.norms[i];
    const int64_t column = j * table.panel;
    table.normalize(rows.count(), z, norm.center.data() + column, norm.scale.data() + column,
                    norm.shift.data() + column, work.for_derivative(i).at(rows.first, j));
}

// Replaces the deltas of layer i's normalised pre-activations by those of its pre-activations.
template <class T>
void normalize_backward(const Workspace<T>& work, size_t i, int64_t panels, Range rows) {
    const KernelTable<T>& table = kernels<T>();
    const Norm<T>& norm = work.norms[i];
    for (int64_t j = 0; j < panels; ++j) {
        const int64_t column = j * table.panel;
        table.normalize_backward(rows.count(), work.raw[i].at(rows.first, j), norm.center.data() + column,
                                 norm.scale.data() + column, norm.factor.data() + column,
                                 norm.offset.data() + column, work.deltas[i].at(rows.first, j));
    }
}

}  // namespace

template <class T>
void forward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows, Range layers,
             StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const bool sparse = work.sparse.in_use();  // sparse entries have had dropout in SparseInputs::gather
    if (layers.first == 0 && layers.count() > 0 && work.dropout[0].rate > 0 && !sparse)
        for (int64_t j = 0; j < spec.layers[0].in_panels; ++j) {
            T* inputs = work.activations[0].at(rows.first, j);
            drop(work, 0, rows, j, inputs, inputs);
        }
    for (size_t i = static_cast<size_t>(layers.first); i < static_cast<size_t>(layers.last); ++i) {
        const Layer& l = spec.layers[i];
        // The moments of the batch are known now.
        if (i > 0 && work.raw[i - 1].stride)
            for (int64_t j = 0; j < l.in_panels; ++j) {
                normalize(work, i - 1, rows, j, work.raw[i - 1].at(rows.first, j));
                activate(spec.layers[i - 1], work, i - 1, rows, j);
            }
        const bool hidden = i + 1 < spec.layers.size();
        const bool waits = work.raw[i].stride;  // for the batch's moments
        const bool fused = hidden && !l.normalized && l.activation.kind == Activation::relu;
        const RowPanels<T>& inputs = work.activations[i];
        const RowPanels<T>& pre_activations = work.pre_activations(i);
        const auto finish = [&](int64_t j, const T* panel) {
            if (waits || !hidden) return;
            if (l.normalized) normalize(work, i, rows, j, panel);
            activate(l, work, i, rows, j, fused);
        };
        const Epilogue epilogue = fused ? Epilogue::relu : Epilogue::none;
        if (l.narrow) {
            T* c = pre_activations.at(rows.first);
            const T *w = parameters.transposed_panel(l, 0), *bias = parameters.bias(l);
            const int64_t stride = l.transposed_panel(P);
            const int columns = static_cast<int>(l.out);
            if (i == 0 && sparse)
                table.sparse_dots({work.sparse.rows(rows), w, stride, P, 1, bias, c, columns});
            else
                table.dots(
                    {inputs.at(rows.first), inputs.stride, w, stride, bias, c, rows.count(), l.in, columns});
            if (hidden && !waits) {
                if (l.normalized) normalize(work, i, rows, 0, c);
                activate(l, work, i, rows, 0);
            }
            continue;
        }
        if (i == 0 && sparse) {
            for (int64_t j = 0; j < l.out_panels; ++j) {
                T* c = pre_activations.at(rows.first, j);
                const int columns = static_cast<int>(std::min<int64_t>(P, l.out - j * P));
                table.sparse_product({work.sparse.rows(rows), parameters.weight_panel(l, j), P, c,
                                      parameters.bias(l) + j * P, columns, epilogue});
                finish(j, c);
                if (check.after(rows.count() * P)) return;
            }
            continue;
        }
        Product<T> p{};
        p.a = inputs.at(rows.first);
        p.a_stride = inputs.stride;
        p.c = pre_activations.at(rows.first);
        p.bias = parameters.bias(l);
        p.start = Start::bias;
        p.rows = rows.count();
        p.epilogue = epilogue;
        multiply(
            table, p, l.in, l.out, [&](int64_t j) { return parameters.weight_panel(l, j); }, finish, check);
    }
}

template <class T>
void backward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows, int from,
              int to, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const size_t top = static_cast<size_t>(from);
    if (work.raw[top].stride) normalize_backward(work, top, spec.layers[top].out_panels, rows);
    for (size_t i = static_cast<size_t>(from); i > static_cast<size_t>(to); --i) {
        const Layer& l = spec.layers[i];
        const ActivationFunction& activation = spec.layers[i - 1].activation;
        const auto differentiate = table.differentiate[static_cast<int>(activation.kind)];
        const int64_t stride = work.deltas[i].stride;
        const T* kept = work.for_derivative(i - 1).at(rows.first);
        Product<T> p{};
        p.a = work.deltas[i].at(rows.first);
        p.a_stride = stride;
        p.c = work.deltas[i - 1].at(rows.first);
        p.activated = work.activations[i].at(rows.first);
        p.start = Start::zero;
        p.rows = rows.count();
        const bool fused = activation.kind == Activation::relu, dropout = work.dropout[i].rate > 0;
        p.epilogue = fused ? Epilogue::relu_derivative : dropout ? Epilogue::drop : Epilogue::none;
        p.factor = dropout ? static_cast<T>(work.dropout[i].factor()) : T(1);
        multiply(
            table, p, l.out, l.in, [&](int64_t j) { return parameters.transposed_panel(l, j); },
            [&](int64_t j, T* panel) {
                if (!fused)
                    differentiate(rows.count() * P, kept + j * stride, panel,
                                  static_cast<T>(activation.parameter));
            },
            check);
    }
}

template <class T>
void backward_to_inputs(const Spec& spec, const Parameters<T>& parameters, const Workspace<T>& work,
                        Range rows, const std::vector<PanelInputs>& inputs, const RowPanels<T>& deltas,
                        StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const Layer& l = spec.layers.front();
    const RowPanels<T>& from = work.deltas.front();
    const T nothing[128 / sizeof(T)] = {};  // as many as a panel of the widest vectors
    for (size_t i = 0; i < inputs.size(); ++i) {
        const PanelInputs& part = inputs[i];
        T* to = deltas.at(rows.first, static_cast<int64_t>(i));
        if (l.narrow) {
            Product<T> p{};
            p.a = from.at(rows.first);
            p.a_stride = from.stride;
            p.b = parameters.transposed_panel(l, part.panel);
            p.b_stride = P;
            p.c = to;
            p.start = Start::zero;
            p.epilogue = Epilogue::none;
            p.rows = rows.count();
            p.depth = l.out;
            p.columns = P;
            table.product(p);
        } else {
            // An input's weights are a row of each panel of W.
            const T* w = parameters.weight_panel(l, 0) + (part.panel * P + part.first) * P;
            table.dots({from.at(rows.first), from.stride, w, l.weight_panel(P), nothing, to + part.first,
                        rows.count(), l.out, part.last - part.first});
        }
        if (work.dropout[0].rate > 0) drop(work, 0, rows, part.panel, to, to);
        if (check.after(rows.count() * l.out * (part.last - part.first))) return;
    }
}

template void forward(const Spec&, const Parameters<float>&, Workspace<float>&, Range, Range, StopCheck&);
template void forward(const Spec&, const Parameters<double>&, Workspace<double>&, Range, Range, StopCheck&);
template void backward(const Spec&, const Parameters<float>&, Workspace<float>&, Range, int, int, StopCheck&);
template void backward(const Spec&, const Parameters<double>&, Workspace<double>&, Range, int, int,
                       StopCheck&);

template void backward_to_inputs(const Spec&, const Parameters<float>&, const Workspace<float>&, Range,
                                 const std::vector<PanelInputs>&, const RowPanels<float>&, StopCheck&);
template void backward_to_inputs(const Spec&, const Parameters<double>&, const Workspace<double>&, Range,
                                 const std::vector<PanelInputs>&, const RowPanels<double>&, StopCheck&);

}  // namespace gdfast
