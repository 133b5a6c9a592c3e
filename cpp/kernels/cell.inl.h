// One step of a recurrent cell, all gates of a unit at once, and its way back. The sums come from the
// products' panels, which are still in the first cache.
#pragma once

#include "kernels/activation.inl.h"
#include "kernels/kernels.h"
#include "kernels/math.inl.h"

namespace gdfast {
namespace {

template <class T, template <class> class Function>
void elman_forward(const CellForward<T>& s) {
    const Function<T> f(0);
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> h = f.value(load(s.gate[0] + k));
        store(s.gate[0] + k, h);
        store(s.h_next + k, h);
        if (s.h_above) store(s.h_above + k, h);
    }
}

// A gated cell's functions, one after another within an iteration, would be a chain so long that the
// processor sees little of the next one. With a loop for each it works on several iterations at once.
template <class T>
inline void squash(T* sums, int64_t n, Vec<T> (*f)(Vec<T>)) {
    for (int64_t k = 0; k < n; k += Simd<T>::lanes) store(sums + k, f(load(sums + k)));
}

// A GRU's hidden part of n may have overflowed; a reset gate of zero still closes it.
template <class T>
inline Vec<T> hidden_part(const T* sums) {
    return clamp<T>(-kMost<T>, load(sums), kMost<T>);
}

template <class T>
void gru_forward(const CellForward<T>& s) {
    squash<T>(s.gate[1], s.n, logistic<T>);
    squash<T>(s.gate[2], s.n, logistic<T>);
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> reset = load(s.gate[1] + k), update = load(s.gate[2] + k);
        const Vec<T> fresh = tanh<T>(fma(reset, hidden_part<T>(s.gate[3] + k), load(s.gate[0] + k)));
        const Vec<T> h = fma(update, load(s.h + k) - fresh, fresh);
        store(s.gate[0] + k, fresh);
        store(s.h_next + k, h);
        if (s.h_above) store(s.h_above + k, h);
    }
}

template <class T>
void lstm_forward(const CellForward<T>& s) {
    squash<T>(s.gate[0], s.n, logistic<T>);
    squash<T>(s.gate[1], s.n, logistic<T>);
    squash<T>(s.gate[2], s.n, tanh<T>);
    squash<T>(s.gate[3], s.n, logistic<T>);
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> before = load(s.c + k);
        const Vec<T> c = fma(load(s.gate[1] + k), before, load(s.gate[0] + k) * load(s.gate[2] + k));
        const Vec<T> squashed = tanh<T>(c), h = load(s.gate[3] + k) * squashed;
        store(s.gate[4] + k, squashed);
        if (s.c_before) store(s.c_before + k, before);
        store(s.c + k, c);
        store(s.h_next + k, h);
        if (s.h_above) store(s.h_above + k, h);
    }
}

template <class T>
inline Vec<T> through_logistic(Vec<T> delta, Vec<T> a) {
    return Logistic<T>(0).back(a, delta);
}
template <class T>
inline Vec<T> through_tanh(Vec<T> delta, Vec<T> a) {
    return Tanh<T>(0).back(a, delta);
}

// d loss / d h: what the later step and the layer above have to say.
template <class T>
inline Vec<T> arriving(const CellBackward<T>& s, int64_t k) {
    const Vec<T> later = load(s.dh + k);
    return s.above ? later + load(s.above + k) : later;
}

template <class T, template <class> class Function>
void elman_backward(const CellBackward<T>& s) {
    const Function<T> f(0);
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes)
        store(s.delta[0] + k, f.back(load(s.gate[0] + k), arriving(s, k)));
}

template <class T>
void gru_backward(const CellBackward<T>& s) {
    const Vec<T> one = broadcast(T(1));
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> fresh = load(s.gate[0] + k), reset = load(s.gate[1] + k), update = load(s.gate[2] + k);
        const Vec<T> hidden = hidden_part<T>(s.gate[3] + k), dh = arriving(s, k);
        const Vec<T> d_fresh = through_tanh<T>(dh * (one - update), fresh);
        store(s.delta[0] + k, d_fresh);
        store(s.delta[1] + k, through_logistic<T>(d_fresh * hidden, reset));
        store(s.delta[2] + k, through_logistic<T>(dh * (load(s.h + k) - fresh), update));
        store(s.delta[3] + k, d_fresh * reset);
        store(s.dh + k, dh * update);
    }
}

template <class T>
void lstm_backward(const CellBackward<T>& s) {
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> in = load(s.gate[0] + k), forget = load(s.gate[1] + k), fresh = load(s.gate[2] + k);
        const Vec<T> out = load(s.gate[3] + k), squashed = load(s.gate[4] + k), dh = arriving(s, k);
        const Vec<T> dc = load(s.dc + k) + through_tanh<T>(dh * out, squashed);
        store(s.delta[0] + k, through_logistic<T>(dc * fresh, in));
        store(s.delta[1] + k, through_logistic<T>(dc * load(s.c + k), forget));
        store(s.delta[2] + k, through_tanh<T>(dc * in, fresh));
        store(s.delta[3] + k, through_logistic<T>(dh * squashed, out));
        store(s.dc + k, dc * forget);
    }
}

}  // namespace
}  // namespace gdfast
