#include "network/passes.h"

#include <algorithm>

namespace gdfast {

namespace {

// What is summed is taken in slices of this many, so that a slice of a weight panel stays in the first cache
// while all rows of the block pass by it.
constexpr int64_t kSliceBytes = 16 * 1024;

// c = a . panels for every panel of outputs: a (rows, depth), c (rows, columns) and activated have panels as
// far apart.
template <class T, class PanelOf, class Finish>
void multiply(const KernelTable<T>& table, Product<T> p, int64_t depth, int64_t columns, PanelOf panel_of,
              Finish finish) {
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

}  // namespace

template <class T>
void forward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const bool hidden = i + 1 < spec.layers.size();
        const RowPanels<T>& inputs = work.activations[i];
        T* c = (hidden ? work.sums(i) : work.deltas[i]).at(rows.first);
        const auto activate = hidden ? table.activate[static_cast<int>(l.activation.kind)] : nullptr;
        const auto finish = [&](int64_t j, const T* panel) {
            activate(rows.count() * P, panel, work.activations[i + 1].at(rows.first, j),
                     static_cast<T>(l.activation.parameter));
        };
        if (l.narrow) {
            Dots<T> d{};
            d.a = inputs.at(rows.first);
            d.a_stride = inputs.stride;
            d.w = parameters.transposed_panel(l, 0);
            d.w_stride = l.transposed_panel(P);
            d.bias = parameters.bias(l);
            d.c = c;
            d.rows = rows.count();
            d.depth = l.in;
            d.columns = static_cast<int>(l.out);
            table.dots(d);
            if (activate) finish(0, c);
            continue;
        }
        Product<T> p{};
        p.a = inputs.at(rows.first);
        p.a_stride = inputs.stride;
        p.c = c;
        p.bias = parameters.bias(l);
        p.start = Start::bias;
        p.rows = rows.count();
        const bool fused = hidden && l.activation.kind == Activation::relu;
        p.epilogue = fused ? Epilogue::relu : Epilogue::none;
        multiply(
            table, p, l.in, l.out, [&](int64_t j) { return parameters.weight_panel(l, j); },
            [&](int64_t j, const T* panel) {
                if (activate && !fused) finish(j, panel);
            });
    }
}

template <class T>
void backward(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Range rows,
              int first_layer) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    for (size_t i = spec.layers.size() - 1; i > static_cast<size_t>(first_layer); --i) {
        const Layer& l = spec.layers[i];
        const ActivationFunction& below = spec.layers[i - 1].activation;
        const auto differentiate = table.differentiate[static_cast<int>(below.kind)];
        const int64_t stride = work.deltas[i].stride;
        const T* kept = work.sums(i - 1).at(rows.first);
        Product<T> p{};
        p.a = work.deltas[i].at(rows.first);
        p.a_stride = stride;
        p.c = work.deltas[i - 1].at(rows.first);
        p.activated = kept;
        p.start = Start::zero;
        p.rows = rows.count();
        const bool fused = below.kind == Activation::relu;
        p.epilogue = fused ? Epilogue::relu_derivative : Epilogue::none;
        multiply(
            table, p, l.out, l.in, [&](int64_t j) { return parameters.transposed_panel(l, j); },
            [&](int64_t j, T* panel) {
                if (differentiate && !fused)
                    differentiate(rows.count() * P, kept + j * stride, panel,
                                  static_cast<T>(below.parameter));
            });
    }
}

template void forward(const Spec&, const Parameters<float>&, Workspace<float>&, Range);
template void forward(const Spec&, const Parameters<double>&, Workspace<double>&, Range);
template void backward(const Spec&, const Parameters<float>&, Workspace<float>&, Range, int);
template void backward(const Spec&, const Parameters<double>&, Workspace<double>&, Range, int);

}  // namespace gdfast
