// Copies: rows into panels, and blocks of weights into their transposed form.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gdfast {
namespace {

template <class T>
void transpose(const T* block, T* transposed) {
    constexpr int P = kPanel<T>, S = kSquareBytes / sizeof(T);
    for (int i = 0; i < P; i += S)
        for (int j = 0; j < P; j += S) transpose_square(block + i * P + j, P, transposed + j * P + i, P);
}

template <class T>
void gather(int64_t rows, int64_t columns, const T* x, int64_t x_stride, const int64_t* order, T* panels,
            int64_t stride) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    constexpr int64_t ahead = 4;  // the CPU does not prefetch rows in random order
    for (int64_t i = 0; i < rows; ++i) {
        if (order && i + ahead < rows) {
            const T* next = x + order[i + ahead] * x_stride;
            for (int64_t k = 0; k < columns; k += 64 / static_cast<int64_t>(sizeof(T)))
                __builtin_prefetch(next + k);
        }
        const T* from = x + (order ? order[i] : i) * x_stride;
        T* to = panels + i * P;
        int64_t left = columns;
        for (; left >= P; left -= P, from += P, to += stride) {
#pragma GCC unroll 4
            for (int j = 0; j < P; j += L) store(to + j, load(from + j));
        }
        for (; left > L; left -= L, from += L, to += L) store(to, load(from));
        if (left > 0) store(to, load_part(from, static_cast<int>(left)));
    }
}

}  // namespace
}  // namespace gdfast
