#include "network/parameters.h"

#include <algorithm>
#include <cmath>

#include "kernels/dispatch.h"
#include "network/interruption.h"

namespace gdfast {

namespace {

// Calls visit(plain row-major pointer, panel pointer, count) for every run that is contiguous in both, and
// begin_block() before the runs of each block of rows. A block is small enough to stay in the caches while
// all panels read or write it.
template <class Plain, class T, class Visit, class Begin>
void for_runs(const Spec& spec, const Layer& l, Plain* plain, T* panels, Visit visit, Begin begin_block) {
    constexpr int64_t rows = 64;
    const int P = spec.panel;
    for (int64_t first_row = 0; first_row < l.in; first_row += rows) {
        begin_block();
        const int64_t last_row = std::min(first_row + rows, l.in);
        for (int64_t j = 0; j < l.out_panels; ++j) {
            const int64_t first = l.column(j, P), count = l.columns(j, P);
            T* panel = panels + j * l.weight_panel(P);
            for (int64_t k = first_row; k < last_row; ++k)
                visit(plain + k * l.out + first, panel + k * P, count);
        }
    }
}

template <class Plain, class T, class Visit>
void for_narrow(const Spec& spec, const Layer& l, Plain* plain, T* panels, Visit visit) {
    const int P = spec.panel;
    for (int64_t k = 0; k < l.in; ++k) {
        T* column = panels + k / P * l.transposed_panel(P) + k % P;
        for (int64_t n = 0; n < l.out; ++n) visit(plain + k * l.out + n, column + n * P, 1);
    }
}

template <class Plain, class T, class Visit>
void for_biases(const Spec& spec, const Layer& l, Plain* plain, T* panels, Visit visit) {
    const int P = spec.panel;
    for (int64_t j = 0; j < l.out_panels; ++j) visit(plain + l.column(j, P), panels + j * P, l.columns(j, P));
}

template <class Plain, class T, class Visit, class Begin>
void for_weights(const Spec& spec, const Layer& l, Plain* plain, T* panels, Visit visit, Begin begin_block) {
    if (l.narrow)
        for_narrow(spec, l, plain, panels, visit);
    else
        for_runs(spec, l, plain, panels, visit, begin_block);
}

}  // namespace

template <class T>
void pack(const Spec& spec, const ConstPlainArrays<T>& from, T* to) {
    constexpr int64_t piece = int64_t{1} << 20;
    // Zeroes the padding too: a run that diverged leaves NaN there.
    for (int64_t e = 0; e < spec.parameters; e += piece) {
        stop_point();
        std::fill_n(to + e, std::min(piece, spec.parameters - e), T(0));
    }
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const auto copy = [](const T* plain, T* panel, int64_t n) { std::copy_n(plain, n, panel); };
        for_biases(spec, l, from.intercepts[i], to + l.bias, copy);
        if (l.normalized) {
            for_biases(spec, l, from.gammas[i], to + l.gamma, copy);
            for_biases(spec, l, from.betas[i], to + l.beta, copy);
        }
        for_weights(spec, l, from.coefs[i], to + l.weights, copy, stop_point);
    }
}

template <class T>
void unpack(const Spec& spec, const T* from, const PlainArrays<T>& to) {
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const auto copy = [](T* plain, const T* panel, int64_t n) { std::copy_n(panel, n, plain); };
        for_biases(spec, l, to.intercepts[i], from + l.bias, copy);
        if (l.normalized) {
            for_biases(spec, l, to.gammas[i], from + l.gamma, copy);
            for_biases(spec, l, to.betas[i], from + l.beta, copy);
        }
        for_weights(spec, l, to.coefs[i], from + l.weights, copy, [] {});
    }
}

template <class T>
bool all_finite(const T* values, int64_t n) {
    // x * 0 is zero for finite x and NaN otherwise. Sixteen independent sums can be vectorised.
    T sums[16] = {};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; ++j) sums[j] += values[i + j] * T(0);
    for (; i < n; ++i) sums[0] += values[i] * T(0);
    return std::all_of(sums, sums + 16, [](T s) { return s == T(0); });
}

template <class T>
void Parameters<T>::load(const ConstPlainArrays<T>& arrays) {
    pack(spec_, arrays, values.data());
    if (transposed.size() == 0) return;
    const KernelTable<T>& table = kernels<T>();
    const int P = spec_.panel;
    // Transposes whole blocks, padding included.
    for (size_t i = 1; i < spec_.layers.size(); ++i) {
        const Layer& l = spec_.layers[i];
        if (l.narrow) continue;
        for (int64_t j = 0; j < l.out_panels; ++j) {
            stop_point();
            for (int64_t p = 0; p < l.in_panels; ++p)
                table.transpose(weight_panel(l, j) + p * P * P, transposed_panel(l, p) + j * P * P);
        }
    }
}

template void pack(const Spec&, const ConstPlainArrays<float>&, float*);
template void pack(const Spec&, const ConstPlainArrays<double>&, double*);
template void unpack(const Spec&, const float*, const PlainArrays<float>&);
template void unpack(const Spec&, const double*, const PlainArrays<double>&);
template bool all_finite(const float*, int64_t);
template bool all_finite(const double*, int64_t);
template class Parameters<float>;
template class Parameters<double>;

}  // namespace gdfast
