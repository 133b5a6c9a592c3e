// The loop over a piece of the parameters that all optimizer rules share. It serves the fused step, where
// the gradient of a block has just been summed, and the public functions on a caller's arrays. Vectors and
// tail run the same operations, so that bits do not depend on an element's position in an array.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gdfast {
namespace {

// Updates w and states in place; a Move (rules.inl.h) works on vectors. Returns the sum of squares of w
// before the update, for the penalty in the reported loss: w is loaded here anyway.
template <class T, class Move>
T update(int64_t n, T* w, const T* g, T* const* states, const RuleStep<T>& r) {
    using V = Vec<T>;
    constexpr int L = Simd<T>::lanes, S = Move::states;
    T* s[S + 1];  // S + 1, because arrays of length 0 are not allowed
    V state[S + 1];
    for (int k = 0; k < S; ++k) s[k] = states[k];
    const Move move(r);
    const V decay = broadcast(r.decay), weight_factor = broadcast(r.weight_factor);
    V squares{};
    int64_t i = 0;
    for (; i + L <= n; i += L) {
        V weight = load(w + i);
#pragma GCC unroll 3
        for (int k = 0; k < S; ++k) state[k] = load(s[k] + i);
        squares = fma(weight, weight, squares);
        weight = move(fma(decay, weight, load(g + i)), weight_factor * weight, state);
        store(w + i, weight);
#pragma GCC unroll 3
        for (int k = 0; k < S; ++k) store(s[k] + i, state[k]);
    }
    const int rest = static_cast<int>(n - i);
    if (rest) {
        V weight = load_part(w + i, rest);
        for (int k = 0; k < S; ++k) state[k] = load_part(s[k] + i, rest);
        squares = fma(weight, weight, squares);
        weight = move(fma(decay, weight, load_part(g + i, rest)), weight_factor * weight, state);
        store_part(w + i, weight, rest);
        for (int k = 0; k < S; ++k) store_part(s[k] + i, state[k], rest);
    }
    return sum_lanes<T>(squares);
}

}  // namespace
}  // namespace gdfast
