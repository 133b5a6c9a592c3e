// Batch normalisation over panels (Ioffe and Szegedy, "Batch normalization: accelerating deep network
// training by reducing internal covariate shift", 2015). The mean is always subtracted first, so that
// pre-activations far from zero lose no precision.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// y = (z - center) scale + shift, for each column of a panel; y may be z.
template <class T>
void normalize(int64_t rows, const T* z, const T* center, const T* scale, const T* shift, T* y) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    for (int j = 0; j < P; j += L) {
        const Vec<T> c = load(center + j), s = load(scale + j), b = load(shift + j);
        for (int64_t i = 0; i < rows; ++i) store(y + i * P + j, fma(load(z + i * P + j) - c, s, b));
    }
}

// delta = delta scale + (z - center) factor + shift
template <class T>
void normalize_backward(int64_t rows, const T* z, const T* center, const T* scale, const T* factor,
                        const T* shift, T* delta) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    for (int j = 0; j < P; j += L) {
        const Vec<T> c = load(center + j), s = load(scale + j), k = load(factor + j), b = load(shift + j);
        for (int64_t i = 0; i < rows; ++i) {
            T* d = delta + i * P + j;
            store(d, fma(load(d), s, fma(load(z + i * P + j) - c, k, b)));
        }
    }
}

// sums (+)= the sum over rows of a (b - center), or of (b - center)^2 if a is null. Four interleaved sums
// hide the latency of a multiply-add.
template <class T>
void column_products(int64_t rows, const T* a, const T* b, const T* center, T* sums, bool accumulate) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    for (int j = 0; j < P; j += L) {
        const Vec<T> c = load(center + j);
        Vec<T> part[4] = {};
        const auto add = [&](int64_t i, Vec<T>& to) {
            const Vec<T> d = load(b + i * P + j) - c;
            to = fma(a ? load(a + i * P + j) : d, d, to);
        };
        int64_t i = 0;
        for (; i + 4 <= rows; i += 4)
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) add(i + k, part[k]);
        for (int k = 0; i < rows; ++i, ++k) add(i, part[k]);
        const Vec<T> sum = (part[0] + part[2]) + (part[1] + part[3]);
        store(sums + j, accumulate ? load(sums + j) + sum : sum);
    }
}

}  // namespace
}  // namespace gdfast
