// Second derivatives of the losses with respect to the output layer's pre-activations. With the canonical
// link they do not depend on the target: cross-entropy has diag(p) - p p', the others are diagonal. Where a
// loss has a kink, its second derivative is taken as zero. Padding is set to zero.
#pragma once

#include "kernels/loss.inl.h"

namespace gdfast {
namespace {

template <class T>
inline Vec<T> row_factor(const LossCurvature<T>& l, int64_t i) {
    return broadcast(l.weight ? l.weight[i] * l.scale : l.scale);
}

template <class T, class Piece>
void separable_curvature(const LossCurvature<T>& l) {
    const Piece piece(l.parameters);
    const int64_t to_t = l.t - l.z, to_target = l.target - l.z;
    for (int64_t i = 0; i < l.rows; ++i) {
        const Vec<T> factor = row_factor(l, i);
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            const Vec<T> curvature = piece.curvature(piece.predict(load(p)), load(p + to_target));
            store(p, lanes_below<T>(n) ? curvature * load(p + to_t) * factor : Vec<T>{});
        });
    }
}

template <class T>
void cross_entropy_curvature(const LossCurvature<T>& l) {
    const int64_t to_t = l.t - l.z;
    softmax<T>(l.rows, l.columns, l.z, l.z_stride);
    for (int64_t i = 0; i < l.rows; ++i) {
        Vec<T> sum{};
        for_row<T>(i, l.columns, l.z, l.z_stride,
                   [&](T* p, int64_t n) { sum += lanes_below<T>(n) ? load(p) * load(p + to_t) : Vec<T>{}; });
        const Vec<T> mean = broadcast(sum_lanes<T>(sum)), factor = row_factor(l, i);
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            store(p, lanes_below<T>(n) ? load(p) * (load(p + to_t) - mean) * factor : Vec<T>{});
        });
    }
}

// The loss is straight in the quantiles, and each increment of theirs is the softplus of its z: what bends is
// softplus, whose second derivative is its first one times 1 - logistic(z).
template <class T>
void quantile_curvature(const LossCurvature<T>& l) {
    const int64_t to_t = l.t - l.z, to_delta = l.delta - l.z;
    for (int64_t i = 0; i < l.rows; ++i) {
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            const Vec<T> rest = logistic<T>(-load(p));
            store(p, lanes_below<T>(n) ? load(p + to_delta) * rest * load(p + to_t) : Vec<T>{});
        });
        l.z[i * kPanel<T>] = 0;
    }
}

// Writes value(i) to column `column` and zero to the other columns of row i.
template <class T, class Value>
inline void one_column(const LossRoot<T>& l, Value&& value) {
    constexpr int P = kPanel<T>;
    for (int64_t i = 0; i < l.rows; ++i) {
        for_row<T>(i, l.columns, l.root, l.z_stride, [](T* p, int64_t) { store(p, Vec<T>{}); });
        const int64_t at = l.column / P * l.z_stride + i * P + l.column % P;
        l.root[at] = value(at);
    }
}

template <class T, class Piece>
void separable_root(const LossRoot<T>& l) {
    const Piece piece(l.parameters);
    one_column(
        l, [&](int64_t at) { return sqrt(piece.curvature(broadcast(l.p[at]), broadcast(l.target[at])))[0]; });
}

// sqrt(p_c) (e_c - p): the sum of the outer products is diag(p) - p p', because those p sum to one.
template <class T>
void cross_entropy_root(const LossRoot<T>& l) {
    constexpr int P = kPanel<T>;
    const Int<T> index = lane_numbers<T>();
    const int64_t to_p = l.p - l.root;
    for (int64_t i = 0; i < l.rows; ++i) {
        const T of_column = l.p[l.column / P * l.z_stride + i * P + l.column % P];
        const Vec<T> root = sqrt(broadcast(of_column)), one = broadcast(T(1));
        for_row<T>(i, l.columns, l.root, l.z_stride, [&](T* r, int64_t n) {
            const int64_t hit = l.column - (l.columns - n);
            const Vec<T> difference = (index == whole<T>(hit) ? one : Vec<T>{}) - load(r + to_p);
            store(r, lanes_below<T>(n) ? root * difference : Vec<T>{});
        });
    }
}

template <class T>
void no_root(const LossRoot<T>&) {}

}  // namespace
}  // namespace gdfast
