// The three matrix products of a training step, on panels, and the column sums that go with them.
//
// A tile is a few rows by one or two vectors of columns, held in registers while the loop runs over the
// summed dimension. The number of rows is a template parameter, so that a smaller last tile costs no more
// than its rows. Rows are divided evenly: a tile of one row would be bound by the latency of its
// multiply-adds.
//
// Each product has one element of a row of the first matrix as its factor. Where a multiply-add takes a lane
// of a vector as that factor (kLaneFactors), a vector of them is loaded at once; elsewhere each is loaded
// into all lanes, which costs an x86 CPU no more than a load.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gdfast {
namespace {

template <class T, int R, int NV, bool kPlain>
inline __attribute__((always_inline)) void product_tile(const Product<T>& p, int64_t row) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    V acc[R][NV];
    const int last = p.columns - (NV - 1) * L;  // columns in the last vector
    const auto load_b = [&](const T* b, V* v) {
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j)
            v[j] = kPlain && j == NV - 1 && last < L ? load_part(b + j * L, last) : load(b + j * L);
    };

    if (p.start == Start::output) {
#pragma GCC unroll 32
        for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[i][j] = load(p.c + (row + i) * P + j * L);
    } else {
        V start[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) start[j] = V{};
        if (p.start == Start::bias) load_b(p.bias, start);
#pragma GCC unroll 32
        for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[i][j] = start[j];
    }

    const int64_t b_stride = kPlain ? p.b_stride : P;
    const T* a = p.a + row * P;
    const T* b = p.b;
    const auto add = [&](int k) __attribute__((always_inline)) {
        V v[NV];
        load_b(b + k * b_stride, v);
#pragma GCC unroll 32
        for (int i = 0; i < R; ++i) {
            const V x = broadcast(a[i * P + k]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[i][j] = fma(x, v[j], acc[i][j]);
        }
    };
    // The same for k, k + 1, ..., k + L - 1.
    [[maybe_unused]] const auto add_lanes = [&](int k) __attribute__((always_inline)) {
        V x[R];
#pragma GCC unroll 32
        for (int i = 0; i < R; ++i) x[i] = load(a + i * P + k);
        each_lane<T>([&](auto lane) __attribute__((always_inline)) {
            V v[NV];
            load_b(b + (k + lane.number) * b_stride, v);
#pragma GCC unroll 32
            for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j) acc[i][j] = fma_by_lane<lane.number>(x[i], v[j], acc[i][j]);
        });
    };
    for (int64_t left = p.depth; left > 0; left -= P) {
        const int n = static_cast<int>(left < P ? left : P);
        int k = 0;
        if constexpr (kLaneFactors) {
            for (; k + L <= n; k += L) add_lanes(k);
            for (; k < n; ++k) add(k);
        } else if (n == P) {
#pragma GCC unroll 4
            for (; k < P; ++k) add(k);
        } else {
            for (; k < n; ++k) add(k);
        }
        a += p.a_stride;
        b += P * b_stride;
    }

    T* c = p.c + row * P;
    const T* activated = p.activated + row * P;
#pragma GCC unroll 32
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) {
            V v = acc[i][j];
            if (p.epilogue == Epilogue::relu) v = max(V{}, v);
            if (p.epilogue == Epilogue::relu_derivative)
                v = load(activated + i * P + j * L) <= V{} ? V{} : v * broadcast(p.factor);
            if (p.epilogue == Epilogue::drop)
                v = is_negative_zero<T>(load(activated + i * P + j * L)) ? V{} : v * broadcast(p.factor);
            store(c + i * P + j * L, v);
        }
}

// Computes `tiles` tiles of R rows each, starting at `row`.
template <class T, int R, int NV, bool kPlain>
void product_tiles(const Product<T>& p, int64_t row, int64_t tiles) {
    for (; tiles > 0; --tiles, row += R) product_tile<T, R, NV, kPlain>(p, row);
}

template <class T, int R, int NV>
inline __attribute__((always_inline)) void outer_tile(const Outer<T>& o, int64_t first) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    constexpr int kInVectors = kLaneFactors ? R / L * L : 0;  // factors that are loaded as vectors
    V acc[R][NV];
    T* g = o.g + first * P;
#pragma GCC unroll 32
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) acc[i][j] = o.accumulate ? load(g + i * P + j * L) : V{};
    const T* a = o.a + first;
    const T* b = o.b;
#pragma GCC unroll 4
    for (int64_t m = 0; m < o.rows; ++m) {
        V v[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) v[j] = load(b + j * L);
#pragma GCC unroll 32
        for (int i = 0; i < kInVectors; i += L) {
            const V x = load(a + i);
            each_lane<T>([&](auto lane) __attribute__((always_inline)) {
#pragma GCC unroll 4
                for (int j = 0; j < NV; ++j) {
                    V& sum = acc[i + lane.number][j];
                    sum = fma_by_lane<lane.number>(x, v[j], sum);
                }
            });
        }
#pragma GCC unroll 32
        for (int i = kInVectors; i < R; ++i) {
            const V x = broadcast(a[i]);
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[i][j] = fma(x, v[j], acc[i][j]);
        }
        a += P;
        b += P;
    }
#pragma GCC unroll 32
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < kPanelVectors; ++j)
            store(g + i * P + j * L, j < NV ? acc[i][j < NV ? j : 0] : V{});
}

template <class T, int R, int NV>
void outer_tiles(const Outer<T>& o, int64_t first, int64_t tiles) {
    for (; tiles > 0; --tiles, first += R) outer_tile<T, R, NV>(o, first);
}

// Tables of tiles by their number of rows, filled by recursion: ISA files do not use the standard library
// (see docs/architecture.md).
template <class Argument>
struct TileTable {
    void (*tiles[kTileRows<1> + 1])(const Argument&, int64_t first, int64_t count);
};

template <class T, int NV, bool kPlain, int R>
struct FillProduct {
    static constexpr void fill(TileTable<Product<T>>& t) {
        t.tiles[R] = product_tiles<T, R, NV, kPlain>;
        FillProduct<T, NV, kPlain, R - 1>::fill(t);
    }
};
template <class T, int NV, bool kPlain>
struct FillProduct<T, NV, kPlain, 0> {
    static constexpr void fill(TileTable<Product<T>>&) {}
};
template <class T, int NV, int R>
struct FillOuter {
    static constexpr void fill(TileTable<Outer<T>>& t) {
        t.tiles[R] = outer_tiles<T, R, NV>;
        FillOuter<T, NV, R - 1>::fill(t);
    }
};
template <class T, int NV>
struct FillOuter<T, NV, 0> {
    static constexpr void fill(TileTable<Outer<T>>&) {}
};

template <class Argument, class Fill>
constexpr TileTable<Argument> filled() {
    TileTable<Argument> t{};
    Fill::fill(t);
    return t;
}

// Covers `rows` rows with the fewest tiles of at most `most` rows, as even in height as possible.
template <class Argument>
inline void in_tiles(const TileTable<Argument>& table, const Argument& argument, int64_t rows, int64_t most) {
    if (rows == 0) return;
    const int64_t tiles = (rows + most - 1) / most, fewest = rows / tiles, taller = rows % tiles;
    if (taller) table.tiles[fewest + 1](argument, 0, taller);
    table.tiles[fewest](argument, taller * (fewest + 1), tiles - taller);
}

// Each for the fewest vectors that hold the columns.
template <class T, bool kPlain, int NV = kPanelVectors>
void product(const Product<T>& p) {
    if constexpr (NV > 1)
        if (p.columns <= (NV - 1) * Simd<T>::lanes) return product<T, kPlain, NV - 1>(p);
    static constexpr auto table = filled<Product<T>, FillProduct<T, NV, kPlain, kTileRows<NV>>>();
    in_tiles(table, p, p.rows, kTileRows<NV>);
}

template <class T, int NV = kPanelVectors>
void outer(const Outer<T>& o) {
    if constexpr (NV > 1)
        if (o.columns <= (NV - 1) * Simd<T>::lanes) return outer<T, NV - 1>(o);
    constexpr int most = kTileRows<NV> < kPanel<T> ? kTileRows<NV> : kPanel<T>;
    static constexpr auto table = filled<Outer<T>, FillOuter<T, NV, most>>();
    in_tiles(table, o, o.height, most);
}

// Sums lane by lane over the inputs, then over a panel's vectors and over the lanes as trees, then adds the
// bias.
template <class T, int N>
void dots_columns(const Dots<T>& d, int first) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    for (int64_t i = 0; i < d.rows; ++i) {
        V acc[N][kPanelVectors] = {};
        const T* a = d.a + i * P;
        const T* w = d.w + first * P;
        for (int64_t k = 0; k < d.depth; k += P) {
            // The padding of weights is zero, but the padding of activations may be NaN after an overflow.
            const int64_t left = d.depth - k;
#pragma GCC unroll 4
            for (int j = 0; j < kPanelVectors; ++j) {
                const int64_t here = left - j * L;
                const V x = here >= L  ? load(a + j * L)
                            : here > 0 ? load_part(a + j * L, static_cast<int>(here))
                                       : V{};
#pragma GCC unroll 4
                for (int n = 0; n < N; ++n) acc[n][j] = fma(x, load(w + n * P + j * L), acc[n][j]);
            }
            a += d.a_stride;
            w += d.w_stride;
        }
        for (int n = 0; n < N; ++n)
            d.c[i * P + first + n] = d.bias[first + n] + sum_lanes<T>(sum_vectors<T>(acc[n]));
    }
}

template <class T>
void dots(const Dots<T>& d) {
    int n = 0;
    for (; n + 4 <= d.columns; n += 4) dots_columns<T, 4>(d, n);
    if (d.columns - n == 3) dots_columns<T, 3>(d, n);
    if (d.columns - n == 2) dots_columns<T, 2>(d, n);
    if (d.columns - n == 1) dots_columns<T, 1>(d, n);
}

// Four interleaved partial sums hide the latency of an addition.
template <class T>
void column_sums(int64_t rows, const T* b, T* g, bool accumulate) {
    using V = Vec<T>;
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    for (int j = 0; j < P; j += L) {
        V s[4] = {};
        int64_t m = 0;
        for (; m + 4 <= rows; m += 4)
            for (int i = 0; i < 4; ++i) s[i] += load(b + (m + i) * P + j);
        for (; m < rows; ++m) s[0] += load(b + m * P + j);
        V sum = (s[0] + s[1]) + (s[2] + s[3]);
        if (accumulate) sum += load(g + j);
        store(g + j, sum);
    }
}

}  // namespace
}  // namespace gdfast
