// Output functions and losses, row by row. A loss turns the output layer's sums into its deltas where they
// lie: for each pair of output and loss here (softmax and cross-entropy, logistic and binary cross-entropy,
// identity and half the squared error, exp and Poisson deviance) that is prediction - target, because the
// output function is the inverse of the loss's canonical link. Padding is left zero.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// Probabilities are kept this far from 0 and 1 before their logarithm is taken, as scikit-learn does.
template <class T>
constexpr T kClip = sizeof(T) == 4 ? T(1.1920929e-07) : T(2.220446049250313e-16);

template <class T>
inline Vec<T> clip_probability(Vec<T> p) {
    return min(broadcast(T(1) - kClip<T>), max(broadcast(kClip<T>), p));
}

// Calls body(pointer, columns in the vector) for each vector of row i of a matrix in panels.
template <class T, class Body>
inline void for_row(int64_t i, int64_t columns, T* z, int64_t z_stride, Body&& body) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    T* row = z + i * P;
    for (int64_t first = 0; first < columns; first += P, row += z_stride)
        for (int j = 0; j < P && first + j < columns; j += L) body(row + j, columns - first - j);
}

// Leaves the row's probabilities in z.
template <class T>
inline void softmax_row(int64_t i, int64_t columns, T* z, int64_t z_stride) {
    using V = Vec<T>;
    const V none = broadcast(T(-__builtin_huge_val()));
    V high = none;
    for_row<T>(i, columns, z, z_stride,
               [&](T* p, int64_t n) { high = max(high, lanes_below<T>(n) ? load(p) : none); });
    const V top = broadcast(max_lanes<T>(high));
    V sum{};
    for_row<T>(i, columns, z, z_stride, [&](T* p, int64_t n) {
        const V e = lanes_below<T>(n) ? exp_saturating<T>(load(p) - top) : V{};
        store(p, e);
        sum += e;
    });
    const V scale = broadcast(T(1) / sum_lanes<T>(sum));
    for_row<T>(i, columns, z, z_stride, [&](T* p, int64_t) { store(p, load(p) * scale); });
}

template <class T>
void softmax(int64_t rows, int64_t columns, T* z, int64_t z_stride) {
    for (int64_t i = 0; i < rows; ++i) softmax_row<T>(i, columns, z, z_stride);
}

template <class T>
void cross_entropy(const LossRows<T>& l) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    for (int64_t i = 0; i < l.rows; ++i) {
        softmax_row<T>(i, l.columns, l.z, l.z_stride);
        T* hit = l.z + (l.label[i] / P) * l.z_stride + i * P + l.label[i] % P;
        l.row_loss[i] = *hit;
        *hit -= T(1);
        const Vec<T> factor = broadcast(l.weight ? l.weight[i] * l.scale : l.scale);
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t) { store(p, load(p) * factor); });
    }
    int64_t i = 0;
    for (; i + L <= l.rows; i += L) store(l.row_loss + i, -log<T>(clip_probability<T>(load(l.row_loss + i))));
    const int rest = static_cast<int>(l.rows - i);
    if (rest)
        store_part(l.row_loss + i, -log<T>(clip_probability<T>(load_part(l.row_loss + i, rest))), rest);
    if (l.weight)
        for (i = 0; i < l.rows; ++i) l.row_loss[i] *= l.weight[i];
}

// The losses that add up over outputs. Piece has predict(z) and loss(prediction, target), on vectors.
template <class T, class Piece>
void separable_loss(const LossRows<T>& l) {
    using V = Vec<T>;
    const int64_t to_target = l.target - l.z;
    for (int64_t i = 0; i < l.rows; ++i) {
        const T weight = l.weight ? l.weight[i] : T(1);
        const V factor = broadcast(weight * l.scale);
        V sum{};
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            const V y = load(p + to_target);
            const V prediction = Piece::predict(load(p));
            const Int<T> real = lanes_below<T>(n);
            sum += real ? Piece::loss(prediction, y) : V{};
            store(p, real ? (prediction - y) * factor : V{});
        });
        l.row_loss[i] = weight * sum_lanes<T>(sum);
    }
}

template <class T>
struct SquaredError {
    static Vec<T> predict(Vec<T> z) { return z; }
    static Vec<T> loss(Vec<T> p, Vec<T> y) { return broadcast(T(0.5)) * ((p - y) * (p - y)); }
};

template <class T>
struct BinaryCrossEntropy {
    static Vec<T> predict(Vec<T> z) { return logistic<T>(z); }
    static Vec<T> loss(Vec<T> p, Vec<T> y) {
        const Vec<T> one = broadcast(T(1)), kept = clip_probability<T>(p);
        return -(y * log<T>(kept) + (one - y) * log<T>(one - kept));
    }
};

// Half the Poisson deviance, y log(y / p) - y + p, where 0 log 0 = 0.
template <class T>
struct Poisson {
    static Vec<T> predict(Vec<T> z) { return exp<T>(z); }
    static Vec<T> loss(Vec<T> p, Vec<T> y) {
        const Vec<T> ratio = y / p;
        return (y > Vec<T>{} ? y * log<T>(ratio) : Vec<T>{}) - y + p;
    }
};

}  // namespace
}  // namespace gdfast
