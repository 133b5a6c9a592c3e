// Activations over contiguous panels. Each has `value`, and `back`, which takes a delta through the
// derivative; that is computed from what the forward pass keeps: the value where it determines the
// derivative, the sum where it does not (derivative_from_sum, kernels.h).
//
// Far out each keeps its limit, at infinity too, and NaN passes through. Where a factor goes to zero as the
// argument grows, the argument that it meets is clamped to where it has got there: 0 * infinity has no value,
// and the square of a large number is infinite.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// Vector by vector; panels hold whole vectors, padding included.
template <class T, template <class> class Function>
void activate(int64_t n, const T* z, T* a, T parameter) {
    const Function<T> f(parameter);
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(a + i, f.value(load(z + i)));
}

template <class T, template <class> class Function>
void differentiate(int64_t n, const T* kept, T* delta, T parameter) {
    const Function<T> f(parameter);
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(delta + i, f.back(load(kept + i), load(delta + i)));
}

// In place there is nothing to do.
template <class T>
void activate_identity(int64_t n, const T* z, T* a, T) {
    if (a == z) return;
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(a + i, load(z + i));
}
template <class T>
void differentiate_identity(int64_t, const T*, T*, T) {}

template <class T>
struct Logistic {
    explicit Logistic(T) {}
    Vec<T> value(Vec<T> z) const { return logistic<T>(z); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return d * (a * (broadcast(T(1)) - a)); }
};

template <class T>
struct Tanh {
    explicit Tanh(T) {}
    Vec<T> value(Vec<T> z) const { return tanh<T>(z); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return d * fma(-a, a, broadcast(T(1))); }
};

template <class T>
struct Relu {
    explicit Relu(T) {}
    Vec<T> value(Vec<T> z) const { return max(Vec<T>{}, z); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return a <= Vec<T>{} ? Vec<T>{} : d; }
};

template <class T>
struct LeakyRelu {
    const Vec<T> slope, lowest;  // a slope of zero takes minus infinity to zero
    explicit LeakyRelu(T slope)
        : slope(broadcast(slope)), lowest(broadcast(slope > 0 ? T(-__builtin_huge_val()) : T(0))) {}
    Vec<T> value(Vec<T> z) const { return z > Vec<T>{} ? z : slope * max(lowest, z); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return a > Vec<T>{} ? d : slope * d; }
};

template <class T>
struct Elu {
    const Vec<T> alpha;
    explicit Elu(T alpha) : alpha(broadcast(alpha)) {}
    Vec<T> value(Vec<T> z) const { return z > Vec<T>{} ? z : alpha * expm1_negative<T>(min(Vec<T>{}, z)); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return a > Vec<T>{} ? d : d * (a + alpha); }
};

// Klambauer et al. (2017), equation 2.
template <class T>
struct Selu {
    const Vec<T> scale = broadcast(T(1.0507009873554804934193)),
                 scaled_alpha = broadcast(T(1.7580993408473768599403));
    explicit Selu(T) {}
    Vec<T> value(Vec<T> z) const {
        return z > Vec<T>{} ? scale * z : scaled_alpha * expm1_negative<T>(min(Vec<T>{}, z));
    }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return d * (a > Vec<T>{} ? scale : a + scaled_alpha); }
};

// Hendrycks and Gimpel (2016).
template <class T>
struct Gelu {
    static constexpr T end = NormalTail<T>::end;
    explicit Gelu(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> from = max(broadcast(-end), z);
        return from * normal<T>(min(broadcast(end), from)).below;
    }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Vec<T> near = clamp<T>(-end, z, end);
        const Normal<T> n = normal<T>(near);
        return d * fma(near, n.density, n.below);
    }
};

// The same with its approximation by tanh: z logistic(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3).
template <class T>
struct GeluTanh {
    explicit GeluTanh(T) {}
    static constexpr T twice_root = T(1.59576912160573071176);
    static constexpr T end = sizeof(T) == 4 ? 11 : 22;  // the logistic function's beyond its bounds
    static Vec<T> below(Vec<T> z) {
        return logistic<T>(broadcast(twice_root) * fma(broadcast(T(0.044715)) * z, z * z, z));
    }
    Vec<T> value(Vec<T> z) const {
        const Vec<T> from = max(broadcast(-end), z);
        return from * below(from);
    }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Vec<T> near = clamp<T>(-end, z, end), s = below(near);
        const Vec<T> du =
            broadcast(twice_root) * fma(broadcast(T(3 * 0.044715)), near * near, broadcast(T(1)));
        return d * fma(near * (s * (broadcast(T(1)) - s)), du, s);
    }
};

// Also known as swish.
template <class T>
struct Silu {
    using Bounds = LogisticBounds<T>;
    explicit Silu(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> from = max(broadcast(Bounds::low), z);
        return from * logistic_within<T>(min(broadcast(Bounds::high), from));
    }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Vec<T> near = clamp<T>(Bounds::low, z, Bounds::high), s = logistic_within<T>(near);
        return d * fma(near * s, broadcast(T(1)) - s, s);
    }
};

// z tanh(softplus(z)) (Misra, 2019); with e = exp(z) and w = e (e + 2) that is z w / (w + 2).
template <class T>
struct Mish {
    static constexpr T low = ExpConstants<T>::lowest, high = 25;  // e is 0; the quotient and the slope are 1
    explicit Mish(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> from = max(broadcast(low), z);
        const Vec<T> two = broadcast(T(2)), e = exp_within<T>(min(broadcast(high), from)), w = e * (e + two);
        return from * (w / (w + two));
    }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Vec<T> one = broadcast(T(1)), two = broadcast(T(2)), near = clamp<T>(low, z, high);
        const Vec<T> e = exp_within<T>(near), w = e * (e + two), t = w / (w + two);
        const Vec<T> slope_of_t = (two / (w + two)) * (one + t) * (e / (e + one));
        return d * fma(near, slope_of_t, t);
    }
};

template <class T>
struct Softplus {
    explicit Softplus(T) {}
    Vec<T> value(Vec<T> z) const { return softplus<T>(z); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return d * -expm1_negative<T>(-a); }
};

template <class T>
struct Softsign {
    static constexpr T end = T(1e30);
    explicit Softsign(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> near = clamp<T>(-end, z, end);
        return near / (broadcast(T(1)) + magnitude<T>(near));
    }
    Vec<T> back(Vec<T> a, Vec<T> d) const {
        const Vec<T> rest = broadcast(T(1)) - magnitude<T>(a);
        return d * (rest * rest);
    }
};

template <class T>
struct HardTanh {
    explicit HardTanh(T) {}
    Vec<T> value(Vec<T> z) const { return min(broadcast(T(1)), max(broadcast(T(-1)), z)); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return magnitude<T>(a) >= broadcast(T(1)) ? Vec<T>{} : d; }
};

template <class T>
void exponential(int64_t n, T* z) {
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(z + i, exp<T>(load(z + i)));
}

}  // namespace
}  // namespace gdfast
