// A counter-based random number generator: neither threads nor resuming change its numbers. Threefry-2x32
// with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// x0 and x1 hold the counter on entry and the random words on return. Word is a 32-bit unsigned integer or a
// vector of them.
template <class Word>
inline void threefry(RandomKey key, Word& x0, Word& x1) {
    constexpr int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t keys[3] = {key.first, key.second, 0x1BD11BDA ^ key.first ^ key.second};
    x0 += keys[0];
    x1 += keys[1];
#pragma GCC unroll 5
    for (uint32_t group = 0; group < 5; ++group) {
#pragma GCC unroll 4
        for (int round = 0; round < 4; ++round) {
            const int r = rotations[(group % 2) * 4 + static_cast<uint32_t>(round)];
            x0 += x1;
            x1 = ((x1 << r) | (x1 >> (32 - r))) ^ x0;
        }
        x0 += keys[(group + 1) % 3];
        x1 += keys[(group + 2) % 3] + (group + 1);
    }
}

// A separate key for each step and layer.
inline RandomKey derive_key(RandomKey key, uint32_t x0, uint32_t x1) {
    threefry(key, x0, x1);
    return {x0, x1};
}

constexpr int kWords = GDFAST_VECTOR_BYTES / 4;

inline Words counters(uint32_t first) {
    Words w{};
    for (int i = 0; i < kWords; ++i) w[i] = first + static_cast<uint32_t>(i);
    return w;
}

// out = a times `factor`, or zero where the element is dropped. Element (row, column) draws word row % 2 of
// counter (row / 2, column), and is dropped if that is below `threshold`. `a` holds the rows from first_row
// on of the panel that begins at column `column`.
template <class T>
void drop(const Dropout<T>& d) {
    constexpr int P = kPanel<T>;
    alignas(64) uint32_t words[2][P];
    int64_t drawn = -1;
    for (int64_t i = 0; i < d.rows; ++i) {
        const int64_t row = d.first_row + i;
        if (row / 2 != drawn) {
            drawn = row / 2;
            for (int j = 0; j < P; j += kWords) {
                Words x0 = Words{} + static_cast<uint32_t>(drawn);
                Words x1 = counters(static_cast<uint32_t>(d.column + j));
                threefry(d.key, x0, x1);
                __builtin_memcpy(words[0] + j, &x0, sizeof x0);
                __builtin_memcpy(words[1] + j, &x1, sizeof x1);
            }
        }
        const uint32_t* word = words[row % 2];
        const T* from = d.a + i * P;
        T* to = d.out + i * P;
        for (int j = 0; j < P; ++j) to[j] = word[j] < d.threshold ? T(0) : from[j] * d.factor;
    }
}

// The normal variate whose two-sided tail has the probability v. It uses Giles's approximation of the
// inverse error function ("Approximating the erfinv function", GPU Computing Gems, 2012, table 5), which is
// accurate to single precision.
template <class T>
inline Vec<T> normal_from_tail(Vec<T> v) {
    const Vec<T> two = broadcast(T(2)), three = broadcast(T(3)), five = broadcast(T(5));
    const Vec<T> w = -log<T>(v * (two - v));
    const Vec<T> near = w - broadcast(T(2.5)), far = sqrt(w) - three;
    constexpr T near_c[9] = {T(1.50140941),     T(0.246640727),    T(-0.00417768164),
                             T(-0.00125372503), T(0.00021858087),  T(-4.39150654e-06),
                             T(-3.5233877e-06), T(3.43273939e-07), T(2.81022636e-08)};
    constexpr T far_c[9] = {T(2.83297682),    T(1.00167406),     T(0.00943887047),
                            T(-0.0076224613), T(0.00573950773),  T(-0.00367342844),
                            T(0.00134934322), T(0.000100950558), T(-0.000200214257)};
    Vec<T> p = broadcast(near_c[8]), q = broadcast(far_c[8]);
#pragma GCC unroll 8
    for (int i = 7; i >= 0; --i) {
        p = fma(p, near, broadcast(near_c[i]));
        q = fma(q, far, broadcast(far_c[i]));
    }
    return broadcast(T(1.41421356237309505)) * (broadcast(T(1)) - v) * (w < five ? p : q);
}

// g += sigma N(0, 1), for elements first .. first + n of all parameters. n and first are multiples of P.
template <class T>
void add_noise(int64_t n, int64_t first, RandomKey key, T sigma, T* g) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes;
    alignas(64) uint32_t words[2 * kWords];
    alignas(64) T tail[P], sign[P];
    for (int64_t i = 0; i < n; i += P) {
        const uint64_t counter = static_cast<uint64_t>((first + i) / P) * kWords;
        Words x0 = counters(static_cast<uint32_t>(counter)),
              x1 = Words{} + static_cast<uint32_t>(counter >> 32);
        threefry(key, x0, x1);
        __builtin_memcpy(words, &x0, sizeof x0);
        __builtin_memcpy(words + kWords, &x1, sizeof x1);
        for (int j = 0; j < P; ++j) {
            // 31 bits give the tail, in (0, 1), and one bit gives the sign.
            const int32_t bits = static_cast<int32_t>(words[j] >> 1);
            tail[j] = (static_cast<T>(bits) + T(0.5)) * T(4.656612873077393e-10);
            sign[j] = words[j] & 1 ? sigma : -sigma;
        }
        for (int j = 0; j < P; j += L)
            store(g + i + j, fma(load(sign + j), normal_from_tail<T>(load(tail + j)), load(g + i + j)));
    }
}

}  // namespace
}  // namespace gdfast
