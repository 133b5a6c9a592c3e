#include "training/not_finite.h"

namespace gdfast {

namespace {

// `columns_of(j)`: the real columns of panel j; the others are padding, which may hold anything.
template <class T, class ColumnsOf>
bool finite(const RowPanels<T>& matrix, int64_t rows, int64_t panels, int panel, ColumnsOf columns_of) {
    bool all = true;
    in_blocks<T>({0, rows}, [&](Range block) {
        for (int64_t j = 0; all && j < panels; ++j)
            for (int64_t i = 0; all && i < block.count(); ++i)
                all = all_finite(matrix.at(block.first, j) + i * panel, columns_of(j));
    });
    return all;
}

}  // namespace

template <class T>
NotFinite first_not_finite(const Spec& spec, const Factors<T>& factors, int first_layer) {
    const int P = spec.panel;
    const auto count = static_cast<int64_t>(spec.layers.size());
    const auto finite_deltas = [&](int64_t layer) {
        const auto i = static_cast<size_t>(layer);
        const Layer& l = spec.layers[i];
        return finite(factors.deltas[i], factors.rows[i], l.out_panels, P,
                      [&](int64_t j) { return l.columns(j, P); });
    };
    for (int64_t layer = 1; layer < count; ++layer) {
        const auto i = static_cast<size_t>(layer);
        const int64_t in = spec.layers[i].in;
        if (!finite(factors.inputs[i], factors.rows[i], spec.layers[i].in_panels, P,
                    [&](int64_t j) { return std::min<int64_t>(P, in - j * P); }))
            return {Place::outputs, layer - 1};
    }
    if (!finite_deltas(count - 1)) return {Place::outputs, count - 1};
    for (int64_t layer = count - 2; layer >= first_layer; --layer)
        if (!finite_deltas(layer)) return {Place::gradient, layer};
    return {Place::loss, count - 1};
}

template <class T>
NotFinite first_not_finite(const Spec& spec, const T* parameters) {
    const int P = spec.panel;
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const auto layer = static_cast<int64_t>(i);
        if (!all_finite(parameters + l.weights, l.elements(P))) return {Place::weights, layer};
        if (!all_finite(parameters + l.bias, l.out_panels * P)) return {Place::biases, layer};
        if (!l.normalized) continue;
        if (!all_finite(parameters + l.gamma, l.out_panels * P)) return {Place::gammas, layer};
        if (!all_finite(parameters + l.beta, l.out_panels * P)) return {Place::betas, layer};
    }
    return {};
}

template NotFinite first_not_finite(const Spec&, const Factors<float>&, int);
template NotFinite first_not_finite(const Spec&, const Factors<double>&, int);
template NotFinite first_not_finite(const Spec&, const float*);
template NotFinite first_not_finite(const Spec&, const double*);

}  // namespace gdfast
