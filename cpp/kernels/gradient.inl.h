// Operations on a gradient before the optimizer rule: norms, penalties, clipping, scaling.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// Sums in double and in eight interleaved parts, on every instruction set: the squares of exploding gradients
// must not overflow.
template <class T, class Term>
double sum_terms(int64_t n, Term term) {
    double part[8] = {};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; ++j) part[j] += term(i + j);
    for (int j = 0; i < n; ++i, ++j) part[j] += term(i);
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

template <class T>
double sum_squares(int64_t n, const T* x) {
    return sum_terms<T>(n, [=](int64_t i) { return static_cast<double>(x[i]) * static_cast<double>(x[i]); });
}

// The square root of the sum of squares. Where the sum overflows, the elements are divided by the largest
// magnitude first.
template <class T>
double norm(int64_t n, const T* x) {
    constexpr double infinity = __builtin_huge_val();
    const double squares = sum_squares(n, x);
    if (!(squares == infinity)) return __builtin_sqrt(squares);
    double largest = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double size = __builtin_fabs(static_cast<double>(x[i]));
        largest = size > largest ? size : largest;
    }
    if (largest == infinity) return infinity;
    return largest * __builtin_sqrt(sum_terms<T>(n, [=](int64_t i) {
               const double part = static_cast<double>(x[i]) / largest;
               return part * part;
           }));
}

template <class T>
double sum_magnitudes(int64_t n, const T* x) {
    return sum_terms<T>(n, [=](int64_t i) { return __builtin_fabs(static_cast<double>(x[i])); });
}

template <class T>
double sum_squared_differences(int64_t n, const T* x, const T* y) {
    return sum_terms<T>(n, [=](int64_t i) {
        const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
        return d * d;
    });
}

// n is a multiple of the vector length, as in panels.
template <class T, class Change>
void change(int64_t n, T* x, Change change) {
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(x + i, change(i, load(x + i)));
}

// g += l2 w + l1 sign(w)
template <class T>
void penalize(int64_t n, const T* w, T* g, T l2, T l1) {
    const Vec<T> a = broadcast(l2), b = broadcast(l1);
    change(n, g, [=](int64_t i, Vec<T> v) {
        const Vec<T> weight = load(w + i);
        const Vec<T> sign = weight > Vec<T>{} ? b : weight < Vec<T>{} ? -b : Vec<T>{};
        return fma(a, weight, v) + sign;
    });
}

template <class T>
void clip(int64_t n, T* g, T bound) {
    const Vec<T> high = broadcast(bound);
    change(n, g, [=](int64_t, Vec<T> v) { return min(high, max(-high, v)); });
}

template <class T>
void scale(int64_t n, T* x, T factor) {
    const Vec<T> f = broadcast(factor);
    change(n, x, [=](int64_t, Vec<T> v) { return f * v; });
}

}  // namespace
}  // namespace gdfast
