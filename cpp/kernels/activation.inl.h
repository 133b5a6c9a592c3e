// Activations over contiguous panels. Each has `value`, and `back`, which takes a delta through the
// derivative; that is told by what the forward pass keeps: the value where it determines the derivative, the
// sum where it does not (told_by_sum, kernels.h).
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
    Vec<T> back(Vec<T> a, Vec<T> d) const { return a > Vec<T>{} ? d : Vec<T>{}; }
};

template <class T>
struct LeakyRelu {
    const Vec<T> slope;
    explicit LeakyRelu(T slope) : slope(broadcast(slope)) {}
    Vec<T> value(Vec<T> z) const { return z > Vec<T>{} ? z : slope * z; }
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
    explicit Gelu(T) {}
    Vec<T> value(Vec<T> z) const { return z * normal<T>(z).below; }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Normal<T> n = normal<T>(z);
        return d * fma(z, n.density, n.below);
    }
};

// The same with its approximation by tanh: z logistic(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3).
template <class T>
struct GeluTanh {
    explicit GeluTanh(T) {}
    static constexpr T twice_root = T(1.59576912160573071176);
    Vec<T> value(Vec<T> z) const {
        return z * logistic<T>(broadcast(twice_root) * fma(broadcast(T(0.044715)) * z, z * z, z));
    }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Vec<T> s = logistic<T>(broadcast(twice_root) * fma(broadcast(T(0.044715)) * z, z * z, z));
        const Vec<T> du = broadcast(twice_root) * fma(broadcast(T(3 * 0.044715)), z * z, broadcast(T(1)));
        return d * fma(z * (s * (broadcast(T(1)) - s)), du, s);
    }
};

// Also known as swish.
template <class T>
struct Silu {
    explicit Silu(T) {}
    Vec<T> value(Vec<T> z) const { return z * logistic<T>(z); }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Vec<T> s = logistic<T>(z);
        return d * fma(z * s, broadcast(T(1)) - s, s);
    }
};

// z tanh(softplus(z)) (Misra, 2019); with e = exp(z) and w = e (e + 2) that is z w / (w + 2).
template <class T>
struct Mish {
    explicit Mish(T) {}
    // Beyond 20 the quotient is 1.
    static Vec<T> exponential(Vec<T> z) { return exp_saturating<T>(min(broadcast(T(20)), z)); }
    Vec<T> value(Vec<T> z) const {
        const Vec<T> two = broadcast(T(2)), e = exponential(z), w = e * (e + two);
        return z * (w / (w + two));
    }
    Vec<T> back(Vec<T> z, Vec<T> d) const {
        const Vec<T> one = broadcast(T(1)), two = broadcast(T(2));
        const Vec<T> e = exponential(z), w = e * (e + two), t = w / (w + two);
        const Vec<T> slope_of_t = (two / (w + two)) * (one + t) * (e / (e + one));
        return d * fma(z, slope_of_t, t);
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
    explicit Softsign(T) {}
    Vec<T> value(Vec<T> z) const { return z / (broadcast(T(1)) + magnitude<T>(z)); }
    Vec<T> back(Vec<T> a, Vec<T> d) const {
        const Vec<T> rest = broadcast(T(1)) - magnitude<T>(a);
        return d * (rest * rest);
    }
};

template <class T>
struct HardTanh {
    explicit HardTanh(T) {}
    Vec<T> value(Vec<T> z) const { return min(broadcast(T(1)), max(broadcast(T(-1)), z)); }
    Vec<T> back(Vec<T> a, Vec<T> d) const { return magnitude<T>(a) < broadcast(T(1)) ? d : Vec<T>{}; }
};

template <class T>
void exponential(int64_t n, T* z) {
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(z + i, exp<T>(load(z + i)));
}

}  // namespace
}  // namespace gdfast
