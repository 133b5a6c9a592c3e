// exp, log, tanh, the logistic function and related functions on vectors. Their largest errors, in units in
// the last place, are tested and documented in docs/performance.md. NaN propagates.
#pragma once

#include "kernels/simd.h"

namespace gdfast {
namespace {

// Coefficients interpolate (e^r - 1 - r) / r^2 at the Chebyshev nodes of |r| <= ln(2) / 2.
template <class T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
    static constexpr int degree = 4;
    static constexpr float c[degree + 1] = {0.5f, 0.16666576989698775f, 0.041666554617204574f,
                                            0.008363179052722578f, 0.0013926183587713553f};
    // ln 2 in two parts, the first with so few bits that its product with an integer exponent is exact.
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr float log2e = 1.44269504088896341f;
    // e^lowest has the exponent -127, for which power_of_two gives zero; e^highest has the exponent 127.
    static constexpr float lowest = -88.0f, highest = 88.02969f;
};
template <>
struct ExpConstants<double> {
    static constexpr int degree = 10;
    static constexpr double c[degree + 1] = {0.5,
                                             0.1666666666666667,
                                             0.041666666666666664,
                                             0.008333333333326125,
                                             0.001388888888888659,
                                             0.0001984126987487792,
                                             2.4801587321732222e-05,
                                             2.7557255317104088e-06,
                                             2.755727509586761e-07,
                                             2.510525342751565e-08,
                                             2.091484139640383e-09};
    static constexpr double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;
    static constexpr double log2e = 1.44269504088896341;
    static constexpr double lowest = -709.0, highest = 708.7;
};

// e^x = 2^n (1 + p), |p| < 0.42
template <class T>
struct ExpParts {
    Int<T> n;
    Vec<T> p;
};

template <class T>
inline ExpParts<T> exp_parts(Vec<T> x) {
    using C = ExpConstants<T>;
    const Vec<T> magic = broadcast(Simd<T>::round_magic);
    const Vec<T> shifted = fma(x, broadcast(C::log2e), magic);
    const Vec<T> whole = shifted - magic;
    Vec<T> r = fma(whole, broadcast(-C::ln2_high), x);
    r = fma(whole, broadcast(-C::ln2_low), r);
    Vec<T> q = broadcast(C::c[C::degree]);
#pragma GCC unroll 16
    for (int i = C::degree - 1; i >= 0; --i) q = fma(q, r, broadcast(C::c[i]));
    // The low bits of `shifted` are the integer itself, because those of `magic` are zero.
    const Int<T> n = (Int<T>)shifted - (Int<T>)magic;
    return {n, fma(q * r, r, r)};
}

// exp over the whole range: 0 below, infinity above. 2^n is split into two factors, so that neither
// overflows.
template <class T>
inline Vec<T> exp(Vec<T> x) {
    using C = ExpConstants<T>;
    x = min(broadcast(2 * C::highest), max(broadcast(2 * C::lowest), x));
    const ExpParts<T> e = exp_parts<T>(x);
    const Int<T> half = e.n >> 1;
    const Vec<T> scale = power_of_two<T>(half);
    return fma(scale, e.p, scale) * power_of_two<T>(e.n - half);
}

template <class T>
constexpr T kMaxFinite = sizeof(T) == 4 ? T(__FLT_MAX__) : T(__DBL_MAX__);

template <class T>
inline Vec<T> clamp(T low, Vec<T> x, T high) {
    return min(broadcast(high), max(broadcast(low), x));
}

// exp for arguments within [lowest, highest]: 0 at the lower end, the largest power of two at the upper end.
template <class T>
inline Vec<T> exp_within(Vec<T> x) {
    const ExpParts<T> e = exp_parts<T>(x);
    const Vec<T> scale = power_of_two<T>(e.n);
    return fma(scale, e.p, scale);
}

// exp of the argument clamped to [lowest, highest].
template <class T>
inline Vec<T> exp_saturating(Vec<T> x) {
    return exp_within<T>(clamp<T>(ExpConstants<T>::lowest, x, ExpConstants<T>::highest));
}

// exp for arguments that are never positive.
template <class T>
inline Vec<T> exp_negative(Vec<T> x) {
    return exp_within<T>(max(broadcast(ExpConstants<T>::lowest), x));
}

// The bounds of logistic_within. The function is 0 below them, denormals being flushed, and 1 above.
template <class T>
struct LogisticBounds {
    static constexpr T low = -ExpConstants<T>::highest, high = -ExpConstants<T>::lowest;
};
template <class T>
inline Vec<T> logistic_within(Vec<T> x) {
    const Vec<T> one = broadcast(T(1));
    return one / (one + exp_within<T>(-x));
}

template <class T>
inline Vec<T> logistic(Vec<T> x) {
    return logistic_within<T>(clamp<T>(LogisticBounds<T>::low, x, LogisticBounds<T>::high));
}

template <class T>
inline Vec<T> magnitude(Vec<T> x) {
    return (Vec<T>)((Int<T>)x & ~(Int<T>)broadcast(T(-0.0)));
}

// tanh |x| = e / (e + 2) with e = exp(2 |x|) - 1, accurate in relative terms down to zero.
template <class T>
inline Vec<T> tanh(Vec<T> x) {
    const Int<T> sign_bit = (Int<T>)broadcast(T(-0.0));
    const Int<T> sign = (Int<T>)x & sign_bit;
    const Vec<T> size = magnitude<T>(x);
    const Vec<T> twice = min(broadcast(T(sizeof(T) == 4 ? 40 : 80)), size + size);  // tanh is 1 from there on
    const ExpParts<T> e = exp_parts<T>(twice);
    const Vec<T> scale = power_of_two<T>(e.n);
    const Vec<T> expm1 = fma(scale, e.p, scale - broadcast(T(1)));
    const Vec<T> t = expm1 / (expm1 + broadcast(T(2)));
    return (Vec<T>)((Int<T>)t | sign);
}

// For positive normal x: x = 2^n m with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(s), s = (m - 1) / (m + 1).
template <class T>
inline Vec<T> log(Vec<T> x) {
    using C = ExpConstants<T>;
    constexpr int bits = Simd<T>::mantissa_bits;
    const Int<T> root_half = (Int<T>)broadcast(T(0.70710678118654752));
    const Int<T> offset = (Int<T>)x - root_half;
    const Int<T> n = offset >> bits;  // arithmetic: negative for x below sqrt(1/2)
    const Vec<T> m = (Vec<T>)((Int<T>)x - (n << bits));
    const Vec<T> f = m - broadcast(T(1));
    const Vec<T> s = f / (f + broadcast(T(2)));
    const Vec<T> z = s * s;
    constexpr int terms = sizeof(T) == 4 ? 4 : 10;  // z < 0.0295: the next term is under half an ulp
    Vec<T> r = broadcast(T(1) / T(2 * terms + 1));
#pragma GCC unroll 16
    for (int i = terms - 1; i >= 1; --i) r = fma(r, z, broadcast(T(1) / T(2 * i + 1)));
    const Vec<T> whole = __builtin_convertvector(n, Vec<T>);
    const Vec<T> twice_s = s + s;
    const Vec<T> tail = fma(twice_s * z, r, whole * broadcast(C::ln2_low));
    const Vec<T> result = fma(whole, broadcast(C::ln2_high), twice_s + tail);
    return x < broadcast(T(__builtin_huge_val())) ? result : x;  // log(infinity) is infinity, log(NaN) is NaN
}

// e^x - 1 for x <= 0, accurate in relative terms down to zero.
template <class T>
inline Vec<T> expm1_negative(Vec<T> x) {
    const ExpParts<T> e = exp_parts<T>(max(broadcast(ExpConstants<T>::lowest), x));
    const Vec<T> scale = power_of_two<T>(e.n);
    return fma(scale, e.p, scale - broadcast(T(1)));
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), the logarithm as 2 atanh(u / (2 + u)).
template <class T>
inline Vec<T> softplus(Vec<T> x) {
    const Vec<T> u = exp_negative<T>(-magnitude<T>(x));
    const Vec<T> s = u / (u + broadcast(T(2)));
    const Vec<T> z = s * s;
    constexpr int terms = sizeof(T) == 4 ? 7 : 16;  // z <= 1/9: the next term is under half an ulp
    Vec<T> r = broadcast(T(1) / T(2 * terms + 1));
#pragma GCC unroll 16
    for (int i = terms - 1; i >= 1; --i) r = fma(r, z, broadcast(T(1) / T(2 * i + 1)));
    const Vec<T> twice_s = s + s;
    return max(Vec<T>{}, x) + fma(twice_s * z, r, twice_s);
}

// The normal distribution's lower tail is e^(-y^2 / 2) g(y) with g(y) = erfcx(y / sqrt(2)) / 2, and g is
// smooth in t = (y - k) / (y + k), which maps [0, inf) to [-1, 1): the coefficients interpolate g at
// Chebyshev nodes (Shepherd and Laframboise, 1981).
template <class T>
struct NormalTail;
template <>
struct NormalTail<float> {
    static constexpr int degree = 11;
    static constexpr float k = 3.5f, end = 13.21f;
    static constexpr float c[degree + 1] = {0.1063451525f,    -0.1871396984f,   0.1258553354f,
                                            -0.06163944085f,  0.0190645846f,    -0.001561345298f,
                                            -0.00137655191f,  0.0003906605917f, 0.0001229966971f,
                                            -5.586634549e-5f, -1.151825008e-5f, 5.690656062e-6f};
};
template <>
struct NormalTail<double> {
    static constexpr int degree = 24;
    static constexpr double k = 5, end = 37.64;
    static constexpr double c[degree + 1] = {
        0.07691930497500629,    -0.14345755526401197,    0.11606881188600329,     -0.08088387726412773,
        0.04785535228416882,    -0.02341390048768684,    0.008991370550635857,    -0.002378844356699341,
        0.0002195507369271503,  0.0001342768427993482,   -6.04274773014077e-05,   9.6131306025346e-07,
        6.6443960338695655e-06, -1.2701151713958727e-06, -6.750090327905746e-07,  2.4347540866204384e-07,
        7.69947625569609e-08,   -3.942547465584787e-08,  -1.090496953444988e-08,  6.001959109358174e-09,
        1.8245563682875638e-09, -7.821126431047727e-10,  -2.8298335316958945e-10, 6.205719132560224e-11,
        2.6192875820173715e-11};
};

// The standard normal distribution function and its density, for arguments within [-end, end]. At -end both
// are denormal numbers, which count as zero.
template <class T>
struct Normal {
    Vec<T> cdf, density;
};
template <class T>
inline Normal<T> normal(Vec<T> x) {
    using C = NormalTail<T>;
    const Vec<T> y = magnitude<T>(x), k = broadcast(C::k), half = broadcast(T(0.5)), one = broadcast(T(1));
    const Vec<T> bell = exp_within<T>(-half * (y * y));
    const Vec<T> t = (y - k) / (y + k);
    Vec<T> g = broadcast(C::c[C::degree]);
#pragma GCC unroll 32
    for (int i = C::degree - 1; i >= 0; --i) g = fma(g, t, broadcast(C::c[i]));
    const Vec<T> tail = bell * g;
    return {x < Vec<T>{} ? tail : one - tail, bell * broadcast(T(0.39894228040143267794))};
}

}  // namespace
}  // namespace gdfast
