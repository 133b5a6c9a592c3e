// The first layer on sparse rows: its cost is proportional to the stored entries, however many inputs there
// are. Sums run over the entries in the order in which they are stored, so that sorted entries give the
// same bits as dense rows.
#pragma once

#include "kernels/kernels.h"
#include "kernels/random.inl.h"
#include "kernels/simd.h"

namespace gdfast {
namespace {

template <class T, int NV, bool kPlain>
void sparse_product_columns(const SparseProduct<T>& p) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    const int last = p.columns - (NV - 1) * L;  // columns in the last vector
    const auto load_b = [&](const T* b, V* v) __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j)
            v[j] = kPlain && j == NV - 1 && last < L ? load_part(b + j * L, last) : load(b + j * L);
    };
    V bias[NV];
    load_b(p.bias, bias);
    for (int64_t i = 0; i < p.rows.count; ++i) {
        V acc[NV], v[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) acc[j] = bias[j];
        for (int64_t e = p.rows.start[i]; e < p.rows.start[i + 1]; ++e) {
            load_b(p.b + p.rows.column[e] * p.b_stride, v);
            const V x = broadcast(p.rows.value[e]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[j] = fma(x, v[j], acc[j]);
        }
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j)
            store(p.c + i * P + j * L, p.epilogue == Epilogue::relu ? max(V{}, acc[j]) : acc[j]);
    }
}

template <class T, bool kPlain, int NV = kPanelVectors>
void sparse_product(const SparseProduct<T>& p) {
    if constexpr (NV > 1)
        if (p.columns <= (NV - 1) * Simd<T>::lanes) return sparse_product<T, kPlain, NV - 1>(p);
    sparse_product_columns<T, NV, kPlain>(p);
}

// The same order of summation as dots(): lane by lane, the tree, the bias.
template <class T>
void sparse_dots(const SparseDots<T>& d) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    alignas(64) T acc[L][P];  // a narrow layer has fewer outputs than lanes
    for (int64_t i = 0; i < d.rows.count; ++i) {
        for (int n = 0; n < d.columns; ++n)
            for (int j = 0; j < P; j += L) store(acc[n] + j, Vec<T>{});
        for (int64_t e = d.rows.start[i]; e < d.rows.start[i + 1]; ++e) {
            const int64_t k = d.rows.column[e];
            const T x = d.rows.value[e];
            const T* w = d.w + k / P * d.panel_stride + k % P * d.input_stride;
            for (int n = 0; n < d.columns; ++n) {
                T* lane = acc[n] + k % P;
                *lane = fma_lane(x, w[n * d.output_stride], *lane);
            }
        }
        for (int n = 0; n < d.columns; ++n) {
            Vec<T> sums[kPanelVectors];
            for (int j = 0; j < kPanelVectors; ++j) sums[j] = load(acc[n] + j * L);
            d.c[i * P + n] = d.bias[n] + sum_lanes<T>(sum_vectors<T>(sums));
        }
    }
}

template <class T>
void clear(int64_t n, T* g) {
    for (int64_t i = 0; i < n; i += Simd<T>::lanes) store(g + i, Vec<T>{});
}

template <class T, int NV>
void sparse_outer_columns(const SparseOuter<T>& o) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    for (int64_t e = 0; e < o.count; ++e) {
        const BlockEntry<T>& entry = o.entries[e];
        const Vec<T> x = broadcast(entry.value);
        const T* b = o.b + entry.row_offset;
        T* g = o.g + entry.input * P;
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) store(g + j * L, fma(x, load(b + j * L), load(g + j * L)));
    }
}

template <class T, int NV = kPanelVectors>
void sparse_outer(const SparseOuter<T>& o) {
    if constexpr (NV > 1)
        if (o.columns <= (NV - 1) * Simd<T>::lanes) return sparse_outer<T, NV - 1>(o);
    clear(o.height * kPanel<T>, o.g);
    sparse_outer_columns<T, NV>(o);
}

template <class T>
void sparse_outer_narrow(const SparseOuter<T>& o) {
    constexpr int P = kPanel<T>;
    clear(o.columns * P, o.g);
    for (int64_t e = 0; e < o.count; ++e) {
        const BlockEntry<T>& entry = o.entries[e];
        const T* b = o.b + entry.row_offset;
        T* g = o.g + entry.input;
        for (int n = 0; n < o.columns; ++n) g[n * P] = fma_lane(b[n], entry.value, g[n * P]);
    }
}

// The same as drop() for the elements (row, column[0]), (row, column[1]), ...
template <class T>
void drop_entries(const EntryDropout<T>& d) {
    alignas(64) uint32_t numbers[kWords];
    for (int64_t first = 0; first < d.count; first += kWords) {
        const int n = d.count - first < kWords ? static_cast<int>(d.count - first) : kWords;
        Words words[2] = {Words{} + static_cast<uint32_t>(d.row / kCounterRows), Words{}};
        for (int i = 0; i < n; ++i) words[1][i] = static_cast<uint32_t>(d.column[first + i]);
        threefry<13>(d.key, words[0], words[1]);
        __builtin_memcpy(numbers, words + d.row % kCounterRows / 2, sizeof numbers);
        const int shift = d.row % 2 ? 16 : 0;
        for (int i = 0; i < n; ++i) {
            T& value = d.value[first + i];
            const bool dropped = (numbers[i] >> shift & 0xFFFF) < d.threshold;
            value = dropped ? T(-0.0) : fma_lane(value, d.factor, T(0));
        }
    }
}

}  // namespace
}  // namespace gdfast
