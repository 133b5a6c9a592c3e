// Activations over contiguous panels. Each has `value`, and `backward`, which multiplies a delta by the
// derivative. The derivative is computed from what the forward pass stores: the output where it determines
// the derivative, the pre-activation otherwise (derivative_from_sum, kernels.h). Those that are not straight
// on each side of a kink have `bend`: the second derivative times the tangent of the pre-activation, from
// what is stored and the tangent of that.
//
// Large arguments, infinity included, give the limit of the function, and NaN propagates. Where a factor
// goes to zero as the argument grows, the argument is clamped to where the factor has reached zero:
// 0 * infinity is NaN, and the square of a large number is infinite.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// n is a multiple of the vector length: panels hold whole vectors, padding included.
template <class T, template <class> class Function>
void activate(int64_t n, const T* z, T* a, T parameter) {
    const Function<T> f(parameter);
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(a + i, f.value(load(z + i)));
}

template <class T, template <class> class Function>
void differentiate(int64_t n, const T* stored, T* delta, T parameter) {
    const Function<T> f(parameter);
    for (int64_t i = 0; i < n; i += Simd<T>::lanes)
        store(delta + i, f.backward(load(stored + i), load(delta + i)));
}

// delta f'(z) and, of that product, the tangent: in, `delta` and `tangent` are those of the outputs; out,
// those of the pre-activations.
template <class T, template <class> class Function>
void differentiate_tangent(int64_t n, const T* stored, const T* stored_tangent, T* delta, T* tangent,
                           T parameter) {
    const Function<T> f(parameter);
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) {
        const Vec<T> a = load(stored + i), d = load(delta + i);
        store(tangent + i, fma(d, f.bend(a, load(stored_tangent + i)), f.backward(a, load(tangent + i))));
        store(delta + i, f.backward(a, d));
    }
}
// The same for a function without `bend`.
template <class T, template <class> class Function>
void differentiate_straight(int64_t n, const T* stored, const T*, T* delta, T* tangent, T parameter) {
    differentiate<T, Function>(n, stored, delta, parameter);
    differentiate<T, Function>(n, stored, tangent, parameter);
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
void differentiate_tangent_identity(int64_t, const T*, const T*, T*, T*, T) {}

template <class T>
struct Logistic {
    explicit Logistic(T) {}
    Vec<T> value(Vec<T> z) const { return logistic<T>(z); }
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return d * (a * (broadcast(T(1)) - a)); }
    Vec<T> bend(Vec<T> a, Vec<T> t) const { return t * (broadcast(T(1)) - (a + a)); }
};

template <class T>
struct Tanh {
    explicit Tanh(T) {}
    Vec<T> value(Vec<T> z) const { return tanh<T>(z); }
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return d * fma(-a, a, broadcast(T(1))); }
    Vec<T> bend(Vec<T> a, Vec<T> t) const { return t * -(a + a); }
};

template <class T>
struct Relu {
    explicit Relu(T) {}
    Vec<T> value(Vec<T> z) const { return max(Vec<T>{}, z); }
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return a <= Vec<T>{} ? Vec<T>{} : d; }
};

template <class T>
struct LeakyRelu {
    const Vec<T> slope, lowest;  // with a slope of zero, minus infinity gives zero
    explicit LeakyRelu(T slope)
        : slope(broadcast(slope)), lowest(broadcast(slope > 0 ? T(-__builtin_huge_val()) : T(0))) {}
    Vec<T> value(Vec<T> z) const { return z > Vec<T>{} ? z : slope * max(lowest, z); }
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return a > Vec<T>{} ? d : slope * d; }
};

template <class T>
struct Elu {
    const Vec<T> alpha;
    explicit Elu(T alpha) : alpha(broadcast(alpha)) {}
    Vec<T> value(Vec<T> z) const { return z > Vec<T>{} ? z : alpha * expm1_negative<T>(min(Vec<T>{}, z)); }
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return a > Vec<T>{} ? d : d * (a + alpha); }
    Vec<T> bend(Vec<T> a, Vec<T> t) const { return a > Vec<T>{} ? Vec<T>{} : t; }
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
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return d * (a > Vec<T>{} ? scale : a + scaled_alpha); }
    Vec<T> bend(Vec<T> a, Vec<T> t) const { return a > Vec<T>{} ? Vec<T>{} : t; }
};

// Hendrycks and Gimpel (2016).
template <class T>
struct Gelu {
    static constexpr T end = NormalTail<T>::end;
    explicit Gelu(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> bounded = max(broadcast(-end), z);
        return bounded * normal<T>(min(broadcast(end), bounded)).cdf;
    }
    Vec<T> backward(Vec<T> z, Vec<T> d) const {
        const Vec<T> clamped = clamp<T>(-end, z, end);
        const Normal<T> n = normal<T>(clamped);
        return d * fma(clamped, n.density, n.cdf);
    }
    Vec<T> bend(Vec<T> z, Vec<T> t) const {
        const Vec<T> clamped = clamp<T>(-end, z, end);
        return t * (normal<T>(clamped).density * fma(-clamped, clamped, broadcast(T(2))));
    }
};

// The tanh approximation of gelu: z logistic(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3).
template <class T>
struct GeluTanh {
    explicit GeluTanh(T) {}
    static constexpr T twice_root = T(1.59576912160573071176);
    static constexpr T end = sizeof(T) == 4 ? 11 : 22;  // the logistic function is 0 or 1 from here on
    static Vec<T> cdf(Vec<T> z) {
        return logistic<T>(broadcast(twice_root) * fma(broadcast(T(0.044715)) * z, z * z, z));
    }
    Vec<T> value(Vec<T> z) const {
        const Vec<T> bounded = max(broadcast(-end), z);
        return bounded * cdf(bounded);
    }
    Vec<T> backward(Vec<T> z, Vec<T> d) const {
        const Vec<T> clamped = clamp<T>(-end, z, end), s = cdf(clamped);
        const Vec<T> du =
            broadcast(twice_root) * fma(broadcast(T(3 * 0.044715)), clamped * clamped, broadcast(T(1)));
        return d * fma(clamped * (s * (broadcast(T(1)) - s)), du, s);
    }
    Vec<T> bend(Vec<T> z, Vec<T> t) const {
        const Vec<T> clamped = clamp<T>(-end, z, end), s = cdf(clamped), rest = broadcast(T(1)) - s;
        const Vec<T> du =
            broadcast(twice_root) * fma(broadcast(T(3 * 0.044715)), clamped * clamped, broadcast(T(1)));
        const Vec<T> ddu = broadcast(twice_root * T(6 * 0.044715)) * clamped;
        return t * (s * rest * fma(clamped, fma(du * du, rest - s, ddu), du + du));
    }
};

// SiLU, also known as swish.
template <class T>
struct Silu {
    using Bounds = LogisticBounds<T>;
    explicit Silu(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> bounded = max(broadcast(Bounds::low), z);
        return bounded * logistic_within<T>(min(broadcast(Bounds::high), bounded));
    }
    Vec<T> backward(Vec<T> z, Vec<T> d) const {
        const Vec<T> clamped = clamp<T>(Bounds::low, z, Bounds::high), s = logistic_within<T>(clamped);
        return d * fma(clamped * s, broadcast(T(1)) - s, s);
    }
    Vec<T> bend(Vec<T> z, Vec<T> t) const {
        const Vec<T> clamped = clamp<T>(Bounds::low, z, Bounds::high), s = logistic_within<T>(clamped);
        const Vec<T> rest = broadcast(T(1)) - s;
        return t * (s * rest * fma(clamped, rest - s, broadcast(T(2))));
    }
};

// z tanh(softplus(z)) (Misra, 2019); with e = exp(z) and w = e (e + 2) that is z w / (w + 2).
template <class T>
struct Mish {
    static constexpr T low = ExpConstants<T>::lowest, high = 25;  // e is 0; quotient and derivative are 1
    explicit Mish(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> bounded = max(broadcast(low), z);
        const Vec<T> two = broadcast(T(2)), e = exp_within<T>(min(broadcast(high), bounded)),
                     w = e * (e + two);
        return bounded * (w / (w + two));
    }
    Vec<T> backward(Vec<T> z, Vec<T> d) const {
        const Vec<T> one = broadcast(T(1)), two = broadcast(T(2)), clamped = clamp<T>(low, z, high);
        const Vec<T> e = exp_within<T>(clamped), w = e * (e + two), t = w / (w + two);
        const Vec<T> t_derivative = (two / (w + two)) * (one + t) * (e / (e + one));
        return d * fma(clamped, t_derivative, t);
    }
    Vec<T> bend(Vec<T> z, Vec<T> tangent) const {
        const Vec<T> one = broadcast(T(1)), two = broadcast(T(2)), clamped = clamp<T>(low, z, high);
        const Vec<T> e = exp_within<T>(clamped), w = e * (e + two), t = w / (w + two), s = e / (e + one);
        const Vec<T> t_derivative = (two / (w + two)) * (one + t) * s;
        return tangent * (t_derivative * fma(clamped, (one - s) - two * t * s, two));
    }
};

template <class T>
struct Softplus {
    explicit Softplus(T) {}
    Vec<T> value(Vec<T> z) const { return softplus<T>(z); }
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return d * -expm1_negative<T>(-a); }
    Vec<T> bend(Vec<T> a, Vec<T> t) const { return t * exp_negative<T>(-a); }
};

template <class T>
struct Softsign {
    static constexpr T end = T(1e30);
    explicit Softsign(T) {}
    Vec<T> value(Vec<T> z) const {
        const Vec<T> clamped = clamp<T>(-end, z, end);
        return clamped / (broadcast(T(1)) + magnitude<T>(clamped));
    }
    Vec<T> backward(Vec<T> a, Vec<T> d) const {
        const Vec<T> rest = broadcast(T(1)) - magnitude<T>(a);
        return d * (rest * rest);
    }
    Vec<T> bend(Vec<T> a, Vec<T> t) const {
        const Vec<T> two = broadcast(T(2));
        return t * (a > Vec<T>{} ? fma(two, a, -two) : a < Vec<T>{} ? fma(two, a, two) : Vec<T>{});
    }
};

template <class T>
struct HardTanh {
    explicit HardTanh(T) {}
    Vec<T> value(Vec<T> z) const { return min(broadcast(T(1)), max(broadcast(T(-1)), z)); }
    Vec<T> backward(Vec<T> a, Vec<T> d) const { return magnitude<T>(a) >= broadcast(T(1)) ? Vec<T>{} : d; }
};

template <class T>
void exponential(int64_t n, T* z) {
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(z + i, exp<T>(load(z + i)));
}

}  // namespace
}  // namespace gdfast
