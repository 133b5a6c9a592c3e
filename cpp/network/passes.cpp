#include "network/passes.h"

#include "network/layer_sums.h"

namespace gdfast {

namespace {

// Applies dropout to one panel of a layer's inputs.
template <class T>
void drop(const Workspace<T>& work, size_t layer, Range rows, int64_t j, const T* a, T* out) {
    const DropoutRate& d = work.dropout[layer];
    const KernelTable<T>& table = kernels<T>();
    table.drop({a, out, rows.count(), d.first_row + rows.first, j * table.panel, d.key, d.threshold(),
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
        const bool fused = hidden && !l.normalized && !l.narrow && l.activation.kind == Activation::relu;
        const auto finish = [&](int64_t j, const T* panel) {
            if (waits || !hidden) return;
            if (l.normalized) normalize(work, i, rows, j, panel);
            activate(l, work, i, rows, j, fused);
        };
        layer_sums(spec, l, parameters, work.activations[i], i == 0 && sparse ? &work.sparse : nullptr,
                   work.pre_activations(i), rows, fused, finish, check);
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
