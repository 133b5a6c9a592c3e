// Output functions and losses, row by row. A loss replaces the pre-activations of the output layer by their
// deltas, in place. For four pairs of output and loss (softmax and cross-entropy, logistic and binary
// cross-entropy, identity and half the squared error, exp and Poisson deviance) the delta is
// prediction - target, because the output function is the inverse of the loss's canonical link. Padding is
// set to zero.
//
// Losses and deltas keep their limits for large arguments: a result is infinite only if it overflows
// itself, not if an intermediate does. Differences that are scaled down afterwards are therefore taken of
// halves. NaN propagates.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// Probabilities are clipped to [kClip, 1 - kClip] before their logarithm is taken, as in scikit-learn.
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

// The value that is subtracted from a row before exp: finite, because infinity - infinity is NaN.
template <class T>
inline T finite_max(T largest) {
    return largest < kMaxFinite<T> ? largest : kMaxFinite<T>;
}

// exp(z - the row's finite maximum). Only an infinite z is above that maximum; its exp is exp(kAbove), beside
// which the other terms vanish.
template <class T>
constexpr T kAbove = sizeof(T) == 4 ? 80 : 700;
template <class T>
inline Vec<T> shifted_exp(Vec<T> z) {
    return exp_within<T>(clamp<T>(ExpConstants<T>::lowest, z, kAbove<T>));
}

// 1 / the sum of a row's exp; NaN if the sum has exp(kAbove) twice: softmax of two infinities is undefined.
template <class T>
inline T one_over(T total) {
    constexpr T twice = sizeof(T) == 4 ? T(8e34) : T(1.5e304);  // between exp(kAbove) and twice that
    return total < twice ? T(1) / total : T(__builtin_nan(""));
}

// Passes one row's probabilities, vector by vector, to `use` (pointer, first column, probabilities), which
// stores them.
template <class T, class Use>
inline void softmax_row(int64_t i, int64_t columns, T* z, int64_t z_stride, Use&& use) {
    using V = Vec<T>;
    const V none = broadcast(T(-__builtin_huge_val()));
    V high = none, sum{};
    for_row<T>(i, columns, z, z_stride,
               [&](T* p, int64_t n) { high = max(high, lanes_below<T>(n) ? load(p) : none); });
    const V row_max = broadcast(finite_max<T>(max_lanes<T>(high)));
    for_row<T>(i, columns, z, z_stride, [&](T* p, int64_t n) {
        const V e = lanes_below<T>(n) ? shifted_exp<T>(load(p) - row_max) : V{};
        store(p, e);
        sum += e;
    });
    const V scale = broadcast(one_over<T>(sum_lanes<T>(sum)));
    for_row<T>(i, columns, z, z_stride, [&](T* p, int64_t n) { use(p, columns - n, load(p) * scale); });
}

// The same for a row of two vectors at most, which stays in registers.
template <class T>
constexpr int kInRegisters = 2 * Simd<T>::lanes;
template <class T, class Use>
inline void softmax_panel(int64_t rows, int64_t columns, T* z, Use&& use) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    const Int<T> real_0 = lanes_below<T>(columns), real_1 = lanes_below<T>(columns - L);
    const V none = broadcast(T(-__builtin_huge_val()));
    for (int64_t i = 0; i < rows; ++i) {
        T* p = z + i * P;
        const V z0 = real_0 ? load(p) : none, z1 = real_1 ? load(p + L) : none;
        const V row_max = broadcast(finite_max<T>(max_lanes<T>(max(z0, z1))));
        const V e0 = real_0 ? shifted_exp<T>(z0 - row_max) : V{},
                e1 = real_1 ? shifted_exp<T>(z1 - row_max) : V{};
        const V scale = broadcast(one_over<T>(sum_lanes<T>(e0 + e1)));
        use(i, p, e0 * scale, e1 * scale);
    }
}

template <class T>
void softmax(int64_t rows, int64_t columns, T* z, int64_t z_stride) {
    using V = Vec<T>;
    if (columns <= kInRegisters<T>) {
        softmax_panel<T>(rows, columns, z, [](int64_t, T* p, V p0, V p1) {
            store(p, p0);
            store(p + Simd<T>::lanes, p1);
        });
        return;
    }
    for (int64_t i = 0; i < rows; ++i)
        softmax_row<T>(i, columns, z, z_stride, [](T* p, int64_t, V probability) { store(p, probability); });
}

// Cross-entropy with label smoothing: the target is (1 - smoothing) one-hot + smoothing / columns. The loss
// is computed from the pre-activations, because the logarithm of every probability enters.
template <class T>
void smoothed_cross_entropy(const LossRows<T>& l) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>;
    const T smoothing = l.parameters[0], uniform = smoothing / static_cast<T>(l.columns);
    const Int<T> index = lane_numbers<T>();
    const V none = broadcast(T(-__builtin_huge_val()));
    const V hit_target = broadcast(T(1) - smoothing), uniform_target = broadcast(uniform);
    const V half = broadcast(T(0.5)), twice_uniform = uniform_target + uniform_target;
    for (int64_t i = 0; i < l.rows; ++i) {
        const T weight = l.weight ? l.weight[i] : T(1);
        const V factor = broadcast(weight * l.scale);
        const T hit_z = l.z[l.label[i] / P * l.z_stride + i * P + l.label[i] % P];
        V high = none;
        for_row<T>(i, l.columns, l.z, l.z_stride,
                   [&](T* p, int64_t n) { high = max(high, lanes_below<T>(n) ? load(p) : none); });
        const T largest = max_lanes<T>(high), row_max = finite_max<T>(largest);
        const V half_max = half * broadcast(row_max);
        const auto half_shifted = [&](V z) { return min(V{}, fma(half, z, -half_max)); };
        V below{}, sum{};
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            const Int<T> real = lanes_below<T>(n);
            const V z = load(p);
            const V e = real ? shifted_exp<T>(z - broadcast(row_max)) : V{};
            below = fma(twice_uniform, real ? half_shifted(z) : V{}, below);
            sum += e;
            store(p, e);
        });
        const T total = sum_lanes<T>(sum);
        const V scale = broadcast(one_over<T>(total));
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            const int64_t hit = l.label[i] - (l.columns - n);
            const V target = uniform_target + (index == whole<T>(hit) ? hit_target : V{});
            store(p, lanes_below<T>(n) ? (load(p) * scale - target) * factor : V{});
        });
        T missed = T(-2) * (T(1) - smoothing) * half_shifted(broadcast(hit_z))[0] - sum_lanes<T>(below);
        T log_total = log<T>(broadcast(total))[0];
        if (largest > kMaxFinite<T>) {  // all other terms are infinitely smaller
            log_total = T(0) * one_over<T>(total);
            if (missed > 0) missed = largest;
        }
        l.row_loss[i] = weight * (log_total + missed);
    }
}

template <class T>
void cross_entropy(const LossRows<T>& l) {
    using V = Vec<T>;
    if (l.parameters && l.parameters[0] > 0) return smoothed_cross_entropy(l);
    constexpr int L = Simd<T>::lanes;
    const V one = broadcast(T(1));
    const Int<T> index = lane_numbers<T>();
    const auto factor = [&](int64_t i) { return broadcast(l.weight ? l.weight[i] * l.scale : l.scale); };
    const auto delta = [&](V p, int64_t hit, V f) { return (p - (index == whole<T>(hit) ? one : V{})) * f; };
    if (l.columns <= kInRegisters<T>) {
        softmax_panel<T>(l.rows, l.columns, l.z, [&](int64_t i, T* p, V p0, V p1) {
            store(p, p0);
            store(p + L, p1);
            l.row_loss[i] = p[l.label[i]];
            store(p, delta(p0, l.label[i], factor(i)));
            store(p + L, delta(p1, l.label[i] - L, factor(i)));
        });
    } else {
        for (int64_t i = 0; i < l.rows; ++i)
            softmax_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t first, V probability) {
                const int64_t hit = l.label[i] - first;
                store(p, probability);
                if (hit >= 0 && hit < L) l.row_loss[i] = p[hit];
                store(p, delta(probability, hit, factor(i)));
            });
    }
    int64_t i = 0;
    for (; i + L <= l.rows; i += L) store(l.row_loss + i, -log<T>(clip_probability<T>(load(l.row_loss + i))));
    const int rest = static_cast<int>(l.rows - i);
    if (rest) store_part(l.row_loss + i, -log<T>(clip_probability<T>(load_part(l.row_loss + i, rest))), rest);
    if (l.weight)
        for (i = 0; i < l.rows; ++i) l.row_loss[i] *= l.weight[i];
}

// Losses that are sums over outputs. Piece has predict(z), loss(z, prediction, target),
// derivative(prediction, target) and curvature(prediction, target), the first and the second derivative of
// the loss by z, on vectors.
template <class T, class Piece>
void separable_loss(const LossRows<T>& l) {
    using V = Vec<T>;
    const Piece piece(l.parameters);
    const int64_t to_target = l.target - l.z;
    for (int64_t i = 0; i < l.rows; ++i) {
        const T weight = l.weight ? l.weight[i] : T(1);
        const V factor = broadcast(weight * l.scale);
        V sum{};
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            const V y = load(p + to_target);
            const V z = load(p), prediction = piece.predict(z);
            const Int<T> real = lanes_below<T>(n);
            sum += real ? piece.loss(z, prediction, y) : V{};
            store(p, real ? piece.derivative(prediction, y) * factor : V{});
        });
        l.row_loss[i] = weight * sum_lanes<T>(sum);
    }
}

template <class T>
struct Canonical {
    explicit Canonical(const T*) {}
    Vec<T> derivative(Vec<T> p, Vec<T> y) const { return p - y; }
};

template <class T>
struct SquaredError : Canonical<T> {
    using Canonical<T>::Canonical;
    Vec<T> predict(Vec<T> z) const { return z; }
    Vec<T> loss(Vec<T>, Vec<T> p, Vec<T> y) const { return (broadcast(T(0.5)) * (p - y)) * (p - y); }
    Vec<T> curvature(Vec<T>, Vec<T>) const { return broadcast(T(1)); }
};

template <class T>
struct BinaryCrossEntropy : Canonical<T> {
    using Canonical<T>::Canonical;
    Vec<T> predict(Vec<T> z) const { return logistic<T>(z); }
    Vec<T> loss(Vec<T>, Vec<T> p, Vec<T> y) const {
        const Vec<T> one = broadcast(T(1)), clipped = clip_probability<T>(p);
        return -(y * log<T>(clipped) + (one - y) * log<T>(one - clipped));
    }
    Vec<T> curvature(Vec<T> p, Vec<T>) const { return p * (broadcast(T(1)) - p); }
};

// Half the Poisson deviance, y log(y / p) - y + p, where 0 log 0 = 0. log p is z, also where p underflows.
// z is clamped to `overflow`, the least z with an infinite p, so that y z stays finite.
template <class T>
struct Poisson : Canonical<T> {
    static constexpr T overflow = sizeof(T) == 4 ? T(89) : T(710);
    using Canonical<T>::Canonical;
    Vec<T> predict(Vec<T> z) const { return exp<T>(z); }
    Vec<T> loss(Vec<T> z, Vec<T> p, Vec<T> y) const {
        const Vec<T> log_ratio = log<T>(y) - min(broadcast(overflow), z);
        return (y > Vec<T>{} ? y * log_ratio : Vec<T>{}) + (p - y);
    }
    Vec<T> curvature(Vec<T> p, Vec<T>) const { return p; }
};

template <class T>
struct AbsoluteError {
    explicit AbsoluteError(const T*) {}
    Vec<T> predict(Vec<T> z) const { return z; }
    Vec<T> loss(Vec<T>, Vec<T> p, Vec<T> y) const { return magnitude<T>(p - y); }
    Vec<T> derivative(Vec<T> p, Vec<T> y) const {
        const Vec<T> one = broadcast(T(1)), d = p - y;
        return d > Vec<T>{} ? one : d < Vec<T>{} ? -one : d;  // 0 at 0; NaN propagates
    }
    Vec<T> curvature(Vec<T>, Vec<T>) const { return Vec<T>{}; }
};

// Huber (1964): half the square up to delta, a straight line beyond.
template <class T>
struct Huber {
    const Vec<T> delta;
    explicit Huber(const T* parameters) : delta(broadcast(parameters[0])) {}
    Vec<T> predict(Vec<T> z) const { return z; }
    Vec<T> derivative(Vec<T> p, Vec<T> y) const { return max(-delta, min(delta, p - y)); }
    Vec<T> curvature(Vec<T> p, Vec<T> y) const {
        return magnitude<T>(p - y) <= delta ? broadcast(T(1)) : Vec<T>{};
    }
    Vec<T> loss(Vec<T>, Vec<T> p, Vec<T> y) const {
        const Vec<T> half = broadcast(T(0.5)), half_d = magnitude<T>(fma(half, p, -half * y));
        const Vec<T> clipped = min(delta, half_d + half_d);
        return (clipped + clipped) * fma(broadcast(T(-0.25)), clipped, half_d);
    }
};

template <class T>
void quantiles(int64_t rows, int64_t columns, T* z, int64_t z_stride) {
    constexpr int P = kPanel<T>;
    for (int64_t i = 0; i < rows; ++i) {
        const T first = z[i * P];
        for_row<T>(i, columns, z, z_stride, [&](T* p, int64_t) { store(p, softplus<T>(load(p))); });
        T last = z[i * P] = first;
        for (int64_t j = 1; j < columns; ++j) {
            T* p = z + j / P * z_stride + i * P + j % P;
            last = *p = last + *p;
        }
    }
}

// Pinball loss of several quantiles of one target (Koenker and Bassett, 1978). The quantiles cannot cross:
// z[0] is the first, and each further one adds softplus(z[j]) to the one before. Parameters: the levels
// tau, then their sums from the end, tau[j] + ... + tau[columns - 1]. With c quantiles at or below the
// target, the derivative of the loss by increment j is columns - max(j, c) minus the sum from tau[j] on.
template <class T>
void quantile_loss(const LossRows<T>& l) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    const T *level = l.parameters, *level_sum = l.parameters + l.columns;
    V lanes{};
    for (int i = 0; i < L; ++i) lanes[i] = static_cast<T>(i);
    const V one = broadcast(T(1)), columns = broadcast(static_cast<T>(l.columns));
    for (int64_t i = 0; i < l.rows; ++i) {
        const T weight = l.weight ? l.weight[i] : T(1), y = l.target[i * P], first = l.z[i * P];
        if (l.columns > 1)
            for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t) { store(p, softplus<T>(load(p))); });
        T loss = 0, quantile = first, below = 0;
        for (int64_t j = 0; j < l.columns; ++j) {
            if (j > 0) quantile += l.z[j / P * l.z_stride + i * P + j % P];
            const T half_d = T(0.5) * y - T(0.5) * quantile;
            if (!(half_d < 0)) below = static_cast<T>(j + 1);
            loss += T(2) * (half_d < 0 ? level[j] - T(1) : level[j]) * half_d;
        }
        l.row_loss[i] = weight * loss;
        const V factor = broadcast(loss == loss ? weight * l.scale : loss);
        for_row<T>(i, l.columns, l.z, l.z_stride, [&](T* p, int64_t n) {
            const int64_t j = l.columns - n;
            const int real = static_cast<int>(n < L ? n : L);
            const V at = lanes + broadcast(static_cast<T>(j));
            const V by_quantile = columns - max(at, broadcast(below)) - load_part(level_sum + j, real);
            // d softplus(z) / dz, computed from softplus(z); 1 for the first quantile.
            const V by_sum = at > V{} ? -expm1_negative<T>(-load(p)) : one;
            store(p, lanes_below<T>(n) ? by_quantile * by_sum * factor : V{});
        });
    }
}

}  // namespace
}  // namespace gdfast
