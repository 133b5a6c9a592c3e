#include "network/tangents.h"

#include "network/layer_sums.h"

namespace gdfast {

namespace {

// sums += inputs . W. Each panel of sums is handed to finish(j, panel) while it is near. `positive`, or null:
// then the sums become zero where it is not positive; not in a narrow layer.
template <class T, class Finish>
void add_layer_sums(const Spec& spec, const Layer& l, const Parameters<T>& parameters,
                    const RowPanels<T>& inputs, const RowPanels<T>& sums, const T* positive,
                    const RowPanels<T>& scratch, Range rows, Finish finish, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    if (l.narrow) {
        const T no_bias[128 / sizeof(T)] = {};  // as many as a panel of the widest vectors
        T *c = sums.at(rows.first), *added = scratch.at(rows.first);
        table.dots({inputs.at(rows.first), inputs.stride, parameters.transposed_panel(l, 0),
                    l.transposed_panel(P), no_bias, added, rows.count(), l.in, static_cast<int>(l.out)});
        for (int64_t i = 0; i < rows.count(); ++i)
            for (int64_t n = 0; n < l.out; ++n) c[i * P + n] += added[i * P + n];
        finish(0, c);
        return;
    }
    Product<T> p{};
    p.a = inputs.at(rows.first);
    p.a_stride = inputs.stride;
    p.c = sums.at(rows.first);
    p.activated = positive;
    p.start = Start::output;
    p.epilogue = positive ? Epilogue::relu_derivative : Epilogue::none;
    p.factor = T(1);
    p.rows = rows.count();
    multiply(table, p, l.in, l.out, [&](int64_t j) { return parameters.weight_panel(l, j); }, finish, check);
}

}  // namespace

template <class T>
void forward_tangents(const Spec& spec, const Parameters<T>& parameters, const Parameters<T>& direction,
                      const Workspace<T>& work, const Tangents<T>& tangents, Range rows, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int64_t n = rows.count() * spec.panel;
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const bool hidden = i + 1 < spec.layers.size();
        const RowPanels<T>& sums = tangents.pre_activations(i);
        // Of relu, after the second product.
        const bool fused = hidden && i > 0 && !l.narrow && l.activation.kind == Activation::relu;
        // R{a} = f'(z) R{z}
        const auto finish = [&](int64_t j, const T* panel) {
            if (!hidden || fused) return;
            T* tangent = tangents.activations[i + 1].at(rows.first, j);
            if (tangent != panel) std::copy_n(panel, n, tangent);
            table.differentiate[static_cast<int>(l.activation.kind)](
                n, work.for_derivative(i).at(rows.first, j), tangent, static_cast<T>(l.activation.parameter));
        };
        const auto later = [](int64_t, const T*) {};
        // R{z} = a . V + c + R{a} . W, where V and c are the direction's
        if (i == 0) {
            layer_sums(spec, l, direction, work.activations[i], work.sparse.in_use() ? &work.sparse : nullptr,
                       sums, rows, false, finish, check);
            continue;
        }
        layer_sums<T>(spec, l, direction, work.activations[i], nullptr, sums, rows, false, later, check);
        add_layer_sums(spec, l, parameters, tangents.activations[i], sums,
                       fused ? work.activations[i + 1].at(rows.first) : nullptr, tangents.narrow_sums, rows,
                       finish, check);
    }
}

template <class T>
void backward_tangents(const Spec& spec, const Parameters<T>& parameters, const Parameters<T>& direction,
                       const Workspace<T>& work, const Tangents<T>& tangents, Range rows, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    for (size_t i = spec.layers.size() - 1; i > 0; --i) {
        const Layer& l = spec.layers[i];
        const ActivationFunction& activation = spec.layers[i - 1].activation;
        const bool fused = activation.kind == Activation::relu;
        const RowPanels<T>&deltas = tangents.deltas[i], &deltas_below = tangents.deltas[i - 1];
        const RowPanels<T>&bent = work.deltas[i], &bent_below = work.deltas[i - 1];
        const RowPanels<T>&kept = work.for_derivative(i - 1), &kept_tangent = tangents.pre_activations(i - 1);
        const Epilogue finally = fused ? Epilogue::relu_derivative : Epilogue::none;
        const auto later = [](int64_t, const T*) {};
        const auto add = [&](const Parameters<T>& weights, const RowPanels<T>& from, const RowPanels<T>& to,
                             Start start, Epilogue epilogue, auto finish) {
            Product<T> p{};
            p.a = from.at(rows.first);
            p.a_stride = from.stride;
            p.c = to.at(rows.first);
            p.activated = work.activations[i].at(rows.first);
            p.start = start;
            p.epilogue = epilogue;
            p.factor = T(1);
            p.rows = rows.count();
            multiply(
                table, p, l.out, l.in, [&](int64_t j) { return weights.transposed_panel(l, j); }, finish,
                check);
        };
        // delta = (delta . W') f'(z), R{delta} = (R{delta} . W' + delta . V') f'(z) + (delta . W') f''(z)
        // R{z}
        add(parameters, deltas, deltas_below, Start::zero, finally, later);
        add(parameters, bent, bent_below, Start::zero, Epilogue::none, later);
        add(direction, deltas, bent_below, Start::output, finally, [&](int64_t j, T* panel) {
            if (!fused)
                table.differentiate_tangent[static_cast<int>(activation.kind)](
                    rows.count() * P, kept.at(rows.first, j), kept_tangent.at(rows.first, j),
                    deltas_below.at(rows.first, j), panel, static_cast<T>(activation.parameter));
        });
    }
}

#define GDFAST_INSTANTIATE(T)                                                                   \
    template void forward_tangents(const Spec&, const Parameters<T>&, const Parameters<T>&,     \
                                   const Workspace<T>&, const Tangents<T>&, Range, StopCheck&); \
    template void backward_tangents(const Spec&, const Parameters<T>&, const Parameters<T>&,    \
                                    const Workspace<T>&, const Tangents<T>&, Range, StopCheck&);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast
