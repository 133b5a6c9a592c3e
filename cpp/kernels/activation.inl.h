// Activations over contiguous panels, and their derivatives told from what the forward pass stored.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// z = f(z), vector by vector; panels hold whole vectors, padding included.
template <class T, Vec<T> (*f)(Vec<T>)>
void map(int64_t n, T* z) {
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(z + i, f(load(z + i)));
}

template <class T>
inline Vec<T> relu(Vec<T> z) {
    return max(Vec<T>{}, z);
}

template <class T>
void differentiate_logistic(int64_t n, const T* activated, T* delta) {
    const Vec<T> one = broadcast(T(1));
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) {
        const Vec<T> a = load(activated + i);
        store(delta + i, load(delta + i) * (a * (one - a)));
    }
}

template <class T>
void differentiate_tanh(int64_t n, const T* activated, T* delta) {
    const Vec<T> one = broadcast(T(1));
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) {
        const Vec<T> a = load(activated + i);
        store(delta + i, load(delta + i) * fma(-a, a, one));
    }
}

template <class T>
void differentiate_relu(int64_t n, const T* activated, T* delta) {
    for (int64_t i = 0; i < n; i += Simd<T>::lanes)
        store(delta + i, load(activated + i) > Vec<T>{} ? load(delta + i) : Vec<T>{});
}

}  // namespace
}  // namespace gdfast
