// The optimizer rules. Each is written once and serves the fused step, where a block's gradient has just been
// summed, and the public functions on a caller's arrays. RuleStep's scalars tell the published variants of
// one rule apart (training/rule.cpp says how); vectors and tail run the same operations, so that bits do not
// depend on where in an array an element lies.
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
    const V decay = broadcast(r.decay);
    V squares{};
    int64_t i = 0;
    for (; i + L <= n; i += L) {
        V weight = load(w + i);
#pragma GCC unroll 3
        for (int k = 0; k < S; ++k) state[k] = load(s[k] + i);
        squares = fma(weight, weight, squares);
        weight = move(fma(decay, weight, load(g + i)), weight, state);
        store(w + i, weight);
#pragma GCC unroll 3
        for (int k = 0; k < S; ++k) store(s[k] + i, state[k]);
    }
    const int rest = static_cast<int>(n - i);
    if (rest) {
        V weight = load_part(w + i, rest);
        for (int k = 0; k < S; ++k) state[k] = load_part(s[k] + i, rest);
        squares = fma(weight, weight, squares);
        weight = move(fma(decay, weight, load_part(g + i, rest)), weight, state);
        store_part(w + i, weight, rest);
        for (int k = 0; k < S; ++k) store_part(s[k] + i, state[k], rest);
    }
    return sum_lanes<T>(squares);
}

template <class T>
struct Sgd {
    static constexpr int states = 0;
    Vec<T> step;
    explicit Sgd(const RuleStep<T>& r) : step(broadcast(r.step * r.gradient_scale)) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>*) const { return fma(step, g, w); }
};

template <class T>
struct Momentum {
    static constexpr int states = 1;
    Vec<T> step, scale, momentum;
    explicit Momentum(const RuleStep<T>& r)
        : step(broadcast(r.step)), scale(broadcast(r.gradient_scale)), momentum(broadcast(r.momentum)) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>& velocity = state[0];
        velocity = fma(momentum, velocity, scale * g);
        return fma(step, velocity, w);
    }
};

template <class T>
struct Nesterov {
    static constexpr int states = 1;
    Vec<T> step, scale, momentum;
    explicit Nesterov(const RuleStep<T>& r)
        : step(broadcast(r.step)), scale(broadcast(r.gradient_scale)), momentum(broadcast(r.momentum)) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>& velocity = state[0];
        const Vec<T> scaled = scale * g;
        velocity = fma(momentum, velocity, scaled);
        return fma(step, fma(momentum, velocity, scaled), w);
    }
};

template <class T>
struct Adam {
    static constexpr int states = 2;
    Vec<T> step, beta_1, rest_1, beta_2, rest_2, v_scale, inside, outside;
    explicit Adam(const RuleStep<T>& r)
        : step(broadcast(r.step)),
          beta_1(broadcast(r.beta_1)),
          rest_1(broadcast(r.one_minus_beta_1)),
          beta_2(broadcast(r.beta_2)),
          rest_2(broadcast(r.one_minus_beta_2)),
          v_scale(broadcast(r.v_scale)),
          inside(broadcast(r.eps_inside)),
          outside(broadcast(r.eps_outside)) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>&m = state[0], &v = state[1];
        m = fma(beta_1, m, rest_1 * g);
        v = fma(beta_2, v, rest_2 * (g * g));
        return fma(step, m / (sqrt(fma(v, v_scale, inside)) + outside), w);
    }
};

}  // namespace
}  // namespace gdfast
