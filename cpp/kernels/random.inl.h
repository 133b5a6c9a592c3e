// A counter-based random number generator: neither threads nor resuming change its numbers. Threefry-2x32
// (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): 20 rounds as the authors advise, and
// 13, the fewest in which they found no flaw, where speed matters.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

// x0 and x1 hold the counter on entry and the random words on return. Word is a 32-bit unsigned integer or a
// vector of them.
template <int rounds, class Word>
inline void threefry(RandomKey key, Word& x0, Word& x1) {
    constexpr int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t keys[3] = {key.first, key.second, 0x1BD11BDA ^ key.first ^ key.second};
    x0 += keys[0];
    x1 += keys[1];
#pragma GCC unroll 20
    for (uint32_t round = 0; round < rounds; ++round) {
        const int r = rotations[round % 8];
        x0 += x1;
        x1 = ((x1 << r) | (x1 >> (32 - r))) ^ x0;
        if (round % 4 != 3) continue;
        const uint32_t group = round / 4 + 1;
        x0 += keys[group % 3];
        x1 += keys[(group + 1) % 3] + group;
    }
}

// A separate key for each step and layer.
inline RandomKey derive_key(RandomKey key, uint32_t x0, uint32_t x1) {
    threefry<20>(key, x0, x1);
    return {x0, x1};
}

constexpr int kWords = GDFAST_VECTOR_BYTES / 4;

inline Words counters(uint32_t first) {
    Words w{};
    for (int i = 0; i < kWords; ++i) w[i] = first + static_cast<uint32_t>(i);
    return w;
}

// Rows 4 i to 4 i + 3 of a column draw their 16 bits from the two words of the counter (i, column): the lower
// half of the first word, its upper half, and those of the second word.
constexpr int kCounterRows = 4;

// The columns from `first` on, one for each word. A vector of doubles has two words to a lane: the lower ones
// are for the first vector of columns, the upper ones are for the second.
template <class T>
inline Words drawing_columns(uint32_t first) {
    constexpr int L = Simd<T>::lanes, vectors = kWords / L;
    Words w{};
    for (int i = 0; i < kWords; ++i) w[i] = first + static_cast<uint32_t>(i % vectors * L + i / vectors);
    return w;
}

// out = a times `factor`, or -0 where the element is dropped, which it is if its number is below `threshold`.
// No other is -0, for -0 + 0 is 0: so the backward pass sees what was dropped. `a` holds the rows from
// first_row on of the panel that begins at column `column`.
template <class T>
void drop(const Dropout<T>& dropout) {
    constexpr int P = kPanel<T>, L = Simd<T>::lanes, bits = 8 * static_cast<int>(sizeof(T));
    const Dropout<T> d = dropout;  // a copy stays in registers: stores through vectors may alias anything
    // Numbers are compared in the upper bits of a lane, where a shift to the left is all it takes.
    using Lane = decltype(Unsigned<T>{}[0] + 0);
    const Unsigned<T> threshold = Unsigned<T>{} + (static_cast<Lane>(d.threshold) << (bits - 16));
    const Vec<T> factor = broadcast(d.factor);
    // The row of `a` with which a counter begins. The first one may lie before `a`.
    for (int64_t first = -(d.first_row % kCounterRows); first < d.rows; first += kCounterRows) {
        const bool whole = first >= 0 && first + kCounterRows <= d.rows;
#pragma GCC unroll 2
        for (int j = 0; j < P; j += kWords) {
            Words words[2] = {Words{} + static_cast<uint32_t>((d.first_row + first) / kCounterRows),
                              drawing_columns<T>(static_cast<uint32_t>(d.column + j))};
            threefry<13>(d.key, words[0], words[1]);
            const auto drop_row = [&](int64_t r) __attribute__((always_inline)) {
#pragma GCC unroll 2
                for (int v = 0; v < kWords / L; ++v) {
                    const int64_t at = (first + r) * P + j + v * L;
                    const int shift = bits - 16 - 32 * v - 16 * static_cast<int>(r % 2);
                    const auto dropped = (Unsigned<T>)words[r / 2] << shift < threshold;
                    store(d.out + at, dropped ? broadcast(T(-0.0)) : fma(load(d.a + at), factor, Vec<T>{}));
                }
            };
            if (whole) {
#pragma GCC unroll 4
                for (int64_t r = 0; r < kCounterRows; ++r) drop_row(r);
            } else {
                for (int64_t r = 0; r < kCounterRows; ++r)
                    if (first + r >= 0 && first + r < d.rows) drop_row(r);
            }
        }
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
    constexpr int L = Simd<T>::lanes, drawn = 2 * L;  // at once
    alignas(64) uint32_t words[2 * kWords];
    alignas(64) T tail[drawn], sign[drawn];
    for (int64_t i = 0; i < n; i += drawn) {
        const uint64_t counter = static_cast<uint64_t>((first + i) / drawn) * kWords;
        Words x0 = counters(static_cast<uint32_t>(counter)),
              x1 = Words{} + static_cast<uint32_t>(counter >> 32);
        threefry<20>(key, x0, x1);
        __builtin_memcpy(words, &x0, sizeof x0);
        __builtin_memcpy(words + kWords, &x1, sizeof x1);
        for (int j = 0; j < drawn; ++j) {
            // 31 bits give the tail, in (0, 1), and one bit gives the sign.
            const int32_t bits = static_cast<int32_t>(words[j] >> 1);
            tail[j] = (static_cast<T>(bits) + T(0.5)) * T(4.656612873077393e-10);
            sign[j] = words[j] & 1 ? sigma : -sigma;
        }
        for (int j = 0; j < drawn; j += L)
            store(g + i + j, fma(load(sign + j), normal_from_tail<T>(load(tail + j)), load(g + i + j)));
    }
}

}  // namespace
}  // namespace gdfast
