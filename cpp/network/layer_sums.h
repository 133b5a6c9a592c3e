// A layer's products with its weights, for some rows of a block: what passes over a network are made of.
#pragma once

#include <algorithm>

#include "kernels/dispatch.h"
#include "network/interruption.h"
#include "network/parameters.h"
#include "network/workspace.h"

namespace gdfast {

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

// sums = inputs . W + b, of layer l. The inputs are `sparse`, if not null. Each panel of sums is handed to
// finish(j, panel) while it is near. `relu`: is applied to the sums; not in a narrow layer.
template <class T, class Finish>
void layer_sums(const Spec& spec, const Layer& l, const Parameters<T>& parameters, const RowPanels<T>& inputs,
                const SparseInputs<T>* sparse, const RowPanels<T>& sums, Range rows, bool relu, Finish finish,
                StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const Epilogue epilogue = relu ? Epilogue::relu : Epilogue::none;
    if (l.narrow) {
        T* c = sums.at(rows.first);
        const T *w = parameters.transposed_panel(l, 0), *bias = parameters.bias(l);
        const int64_t stride = l.transposed_panel(P);
        const int columns = static_cast<int>(l.out);
        if (sparse)
            table.sparse_dots({sparse->rows(rows), w, stride, P, 1, bias, c, columns});
        else
            table.dots(
                {inputs.at(rows.first), inputs.stride, w, stride, bias, c, rows.count(), l.in, columns});
        finish(0, c);
        return;
    }
    if (sparse) {
        for (int64_t j = 0; j < l.out_panels; ++j) {
            T* c = sums.at(rows.first, j);
            const int columns = static_cast<int>(std::min<int64_t>(P, l.out - j * P));
            table.sparse_product({sparse->rows(rows), parameters.weight_panel(l, j), P, c,
                                  parameters.bias(l) + j * P, columns, epilogue});
            finish(j, c);
            if (check.after(rows.count() * P)) return;
        }
        return;
    }
    Product<T> p{};
    p.a = inputs.at(rows.first);
    p.a_stride = inputs.stride;
    p.c = sums.at(rows.first);
    p.bias = parameters.bias(l);
    p.start = Start::bias;
    p.rows = rows.count();
    p.epilogue = epilogue;
    multiply(table, p, l.in, l.out, [&](int64_t j) { return parameters.weight_panel(l, j); }, finish, check);
}

}  // namespace gdfast
