// The sweep over a piece of the parameters that every optimizer rule shares. It serves the fused step, where
// a block's gradient has just been summed, and the public functions on a caller's arrays. Vectors and tail
// run the same operations, so that bits do not depend on where in an array an element lies.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gdfast {
namespace {

// w and states in place; a Move works on vectors. Returns the sum of the squares that w had before: the
// penalty that a reported loss includes, at no cost while w passes by.
template <class T, class Move>
T update(int64_t n, T* w, const T* g, T* const* states, const RuleStep<T>& r) {
    using V = Vec<T>;
    constexpr int L = Simd<T>::lanes, S = Move::states;
    T* s[S + 1];  // one too many: there are no arrays of none
    V state[S + 1];
    for (int k = 0; k < S; ++k) s[k] = states[k];
    const Move move(r);
    const V decay = broadcast(r.decay), keep = broadcast(r.keep);
    V squares{};
    int64_t i = 0;
    for (; i + L <= n; i += L) {
        V weight = load(w + i);
#pragma GCC unroll 3
        for (int k = 0; k < S; ++k) state[k] = load(s[k] + i);
        squares = fma(weight, weight, squares);
        weight = move(fma(decay, weight, load(g + i)), keep * weight, state);
        store(w + i, weight);
#pragma GCC unroll 3
        for (int k = 0; k < S; ++k) store(s[k] + i, state[k]);
    }
    const int rest = static_cast<int>(n - i);
    if (rest) {
        V weight = load_part(w + i, rest);
        for (int k = 0; k < S; ++k) state[k] = load_part(s[k] + i, rest);
        squares = fma(weight, weight, squares);
        weight = move(fma(decay, weight, load_part(g + i, rest)), keep * weight, state);
        store_part(w + i, weight, rest);
        for (int k = 0; k < S; ++k) store_part(s[k] + i, state[k], rest);
    }
    return sum_lanes<T>(squares);
}

}  // namespace
}  // namespace gdfast
