// One step of a recurrent cell, all gates of a unit at once, forward and backward. The pre-activations come
// from the products' panels, which are still in the L1 cache.
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
        if (s.output) store(s.output + k, h);
    }
}

// The activations of a gated cell have a loop each. All in one iteration would be a dependency chain too long
// for out-of-order execution to reach the next iteration; separate loops overlap several iterations.
template <class T>
inline void apply(T* z, int64_t n, Vec<T> (*f)(Vec<T>)) {
    for (int64_t k = 0; k < n; k += Simd<T>::lanes) store(z + k, f(load(z + k)));
}

// The hidden-to-hidden part of a GRU's n, clamped to finite values: where it has overflowed, a reset gate of
// zero still gives zero.
template <class T>
inline Vec<T> hidden_part(const T* z) {
    return clamp<T>(-kMaxFinite<T>, load(z), kMaxFinite<T>);
}

template <class T>
void gru_forward(const CellForward<T>& s) {
    apply<T>(s.gate[1], s.n, logistic<T>);
    apply<T>(s.gate[2], s.n, logistic<T>);
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> reset = load(s.gate[1] + k), update = load(s.gate[2] + k);
        const Vec<T> candidate = tanh<T>(fma(reset, hidden_part<T>(s.gate[3] + k), load(s.gate[0] + k)));
        const Vec<T> h = fma(update, load(s.h + k) - candidate, candidate);
        store(s.gate[0] + k, candidate);
        store(s.h_next + k, h);
        if (s.output) store(s.output + k, h);
    }
}

template <class T>
void lstm_forward(const CellForward<T>& s) {
    apply<T>(s.gate[0], s.n, logistic<T>);
    apply<T>(s.gate[1], s.n, logistic<T>);
    apply<T>(s.gate[2], s.n, tanh<T>);
    apply<T>(s.gate[3], s.n, logistic<T>);
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> c_prev = load(s.c + k);
        const Vec<T> c = fma(load(s.gate[1] + k), c_prev, load(s.gate[0] + k) * load(s.gate[2] + k));
        const Vec<T> tanh_c = tanh<T>(c), h = load(s.gate[3] + k) * tanh_c;
        store(s.gate[4] + k, tanh_c);
        if (s.c_prev) store(s.c_prev + k, c_prev);
        store(s.c + k, c);
        store(s.h_next + k, h);
        if (s.output) store(s.output + k, h);
    }
}

template <class T>
inline Vec<T> logistic_backward(Vec<T> delta, Vec<T> a) {
    return Logistic<T>(0).backward(a, delta);
}
template <class T>
inline Vec<T> tanh_backward(Vec<T> delta, Vec<T> a) {
    return Tanh<T>(0).backward(a, delta);
}

// d loss / d h: the gradient from the next step plus the gradient from the layer's output.
template <class T>
inline Vec<T> output_gradient(const CellBackward<T>& s, int64_t k) {
    const Vec<T> d_next = load(s.dh + k);
    return s.d_output ? d_next + load(s.d_output + k) : d_next;
}

template <class T, template <class> class Function>
void elman_backward(const CellBackward<T>& s) {
    const Function<T> f(0);
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes)
        store(s.delta[0] + k, f.backward(load(s.gate[0] + k), output_gradient(s, k)));
}

template <class T>
void gru_backward(const CellBackward<T>& s) {
    const Vec<T> one = broadcast(T(1));
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> candidate = load(s.gate[0] + k), reset = load(s.gate[1] + k),
                     update = load(s.gate[2] + k);
        const Vec<T> hidden = hidden_part<T>(s.gate[3] + k), dh = output_gradient(s, k);
        const Vec<T> d_candidate = tanh_backward<T>(dh * (one - update), candidate);
        store(s.delta[0] + k, d_candidate);
        store(s.delta[1] + k, logistic_backward<T>(d_candidate * hidden, reset));
        store(s.delta[2] + k, logistic_backward<T>(dh * (load(s.h + k) - candidate), update));
        store(s.delta[3] + k, d_candidate * reset);
        store(s.dh + k, dh * update);
    }
}

template <class T>
void lstm_backward(const CellBackward<T>& s) {
    for (int64_t k = 0; k < s.n; k += Simd<T>::lanes) {
        const Vec<T> in = load(s.gate[0] + k), forget = load(s.gate[1] + k), candidate = load(s.gate[2] + k);
        const Vec<T> out = load(s.gate[3] + k), tanh_c = load(s.gate[4] + k), dh = output_gradient(s, k);
        const Vec<T> dc = load(s.dc + k) + tanh_backward<T>(dh * out, tanh_c);
        store(s.delta[0] + k, logistic_backward<T>(dc * candidate, in));
        store(s.delta[1] + k, logistic_backward<T>(dc * load(s.c + k), forget));
        store(s.delta[2] + k, tanh_backward<T>(dc * in, candidate));
        store(s.delta[3] + k, logistic_backward<T>(dh * tanh_c, out));
        store(s.dc + k, dc * forget);
    }
}

}  // namespace
}  // namespace gdfast
