// The optimizer rules: each maps a vector of weights, its gradient and its state to the updated weights and
// state. The scalars of RuleStep select between published variants of a rule (training/rule.cpp). Each rule
// has a row in rules.h.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.inl.h"
#include "kernels/simd.h"

namespace gdfast {
namespace {

// -1, 0 or 1; NaN propagates.
template <class T>
inline Vec<T> sign(Vec<T> x) {
    const Vec<T> zero{}, one = broadcast(T(1));
    const Vec<T> above = x > zero ? one : zero;
    return x < zero ? -one : x == x ? above : x;
}

// The denominator of nearly all rules: the root of a mean square, with epsilon.
template <class T>
struct Root {
    Vec<T> scale, inside, outside;
    explicit Root(const RuleStep<T>& r)
        : scale(broadcast(r.v_scale)), inside(broadcast(r.eps_inside)), outside(broadcast(r.eps_outside)) {}
    Vec<T> operator()(Vec<T> v) const { return sqrt(fma(v, scale, inside)) + outside; }
};

// The moving averages of gradients and of their squares.
template <class T>
struct Moments {
    Vec<T> beta_1, one_minus_beta_1, beta_2, one_minus_beta_2;
    explicit Moments(const RuleStep<T>& r)
        : beta_1(broadcast(r.beta_1)),
          one_minus_beta_1(broadcast(r.one_minus_beta_1)),
          beta_2(broadcast(r.beta_2)),
          one_minus_beta_2(broadcast(r.one_minus_beta_2)) {}
    Vec<T> first(Vec<T> m, Vec<T> g) const { return fma(beta_1, m, one_minus_beta_1 * g); }
    Vec<T> second(Vec<T> v, Vec<T> g) const { return fma(beta_2, v, one_minus_beta_2 * (g * g)); }
};

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
struct Adagrad {
    static constexpr int states = 1;
    Vec<T> step;
    Root<T> root;
    explicit Adagrad(const RuleStep<T>& r) : step(broadcast(r.step)), root(r) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>& sum = state[0];
        sum = fma(g, g, sum);
        return fma(step, g / root(sum), w);
    }
};

template <class T, bool kCentered, bool kMomentum>
struct AnyRmsprop {
    static constexpr int states = 1 + kCentered + kMomentum;
    Vec<T> step, beta_2, one_minus_beta_2, momentum;
    Root<T> root;
    explicit AnyRmsprop(const RuleStep<T>& r)
        : step(broadcast(r.step)),
          beta_2(broadcast(r.beta_2)),
          one_minus_beta_2(broadcast(r.one_minus_beta_2)),
          momentum(broadcast(r.momentum)),
          root(r) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>& v = state[0];
        v = fma(beta_2, v, one_minus_beta_2 * (g * g));
        Vec<T> variance = v;
        if (kCentered) {
            Vec<T>& mean = state[1];
            mean = fma(beta_2, mean, one_minus_beta_2 * g);
            // Rounding must not make the variance negative.
            variance = max(Vec<T>{}, fma(-mean, mean, v));
        }
        Vec<T> move = g / root(variance);
        if (kMomentum) {
            Vec<T>& velocity = state[states - 1];
            velocity = fma(momentum, velocity, move);
            move = velocity;
        }
        return fma(step, move, w);
    }
};

template <class T>
using Rmsprop = AnyRmsprop<T, false, false>;
template <class T>
using RmspropMomentum = AnyRmsprop<T, false, true>;
template <class T>
using RmspropCentered = AnyRmsprop<T, true, false>;
template <class T>
using RmspropCenteredMomentum = AnyRmsprop<T, true, true>;

template <class T>
struct Adadelta {
    static constexpr int states = 2;
    Vec<T> step, beta_2, one_minus_beta_2, inside;
    explicit Adadelta(const RuleStep<T>& r)
        : step(broadcast(r.step)),
          beta_2(broadcast(r.beta_2)),
          one_minus_beta_2(broadcast(r.one_minus_beta_2)),
          inside(broadcast(r.eps_inside)) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>&v = state[0], &moved = state[1];
        v = fma(beta_2, v, one_minus_beta_2 * (g * g));
        const Vec<T> move = sqrt(moved + inside) / sqrt(v + inside) * g;
        moved = fma(beta_2, moved, one_minus_beta_2 * (move * move));
        return fma(step, move, w);
    }
};

template <class T>
struct Adam {
    static constexpr int states = 2;
    Vec<T> step;
    Moments<T> moments;
    Root<T> root;
    explicit Adam(const RuleStep<T>& r) : step(broadcast(r.step)), moments(r), root(r) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>&m = state[0], &v = state[1];
        m = moments.first(m, g);
        v = moments.second(v, g);
        return fma(step, m / root(v), w);
    }
};

template <class T>
struct Amsgrad {
    static constexpr int states = 3;
    Vec<T> step;
    Moments<T> moments;
    Root<T> root;
    explicit Amsgrad(const RuleStep<T>& r) : step(broadcast(r.step)), moments(r), root(r) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>&m = state[0], &v = state[1], &largest = state[2];
        m = moments.first(m, g);
        v = moments.second(v, g);
        largest = max(largest, v);
        return fma(step, m / root(largest), w);
    }
};

template <class T>
struct Nadam {
    static constexpr int states = 2;
    Vec<T> step, gradient_step;
    Moments<T> moments;
    Root<T> root;
    explicit Nadam(const RuleStep<T>& r)
        : step(broadcast(r.step)), gradient_step(broadcast(r.gradient_scale)), moments(r), root(r) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>&m = state[0], &v = state[1];
        m = moments.first(m, g);
        v = moments.second(v, g);
        return w + fma(step, m, gradient_step * g) / root(v);
    }
};

template <class T>
struct Adamax {
    static constexpr int states = 2;
    Vec<T> step, eps;
    Moments<T> moments;
    explicit Adamax(const RuleStep<T>& r)
        : step(broadcast(r.step)), eps(broadcast(r.eps_outside)), moments(r) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>&m = state[0], &largest = state[1];
        m = moments.first(m, g);
        largest = max(moments.beta_2 * largest, magnitude<T>(g) + eps);
        return fma(step, m / largest, w);
    }
};

template <class T>
struct Lion {
    static constexpr int states = 1;
    Vec<T> step;
    Moments<T> moments;
    explicit Lion(const RuleStep<T>& r) : step(broadcast(r.step)), moments(r) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>& m = state[0];
        const Vec<T> direction = sign<T>(moments.first(m, g));
        m = fma(moments.beta_2, m, moments.one_minus_beta_2 * g);
        return fma(step, direction, w);
    }
};

// The signs are multiplied, not the gradients, whose product may underflow. A step size of 0 is not set yet.
template <class T>
struct Rprop {
    static constexpr int states = 2;
    Vec<T> first, least, most, shrink, grow;
    explicit Rprop(const RuleStep<T>& r)
        : first(broadcast(r.first_size)),
          least(broadcast(r.least_size)),
          most(broadcast(r.most_size)),
          shrink(broadcast(r.shrink)),
          grow(broadcast(r.grow)) {}
    Vec<T> operator()(Vec<T> g, Vec<T> w, Vec<T>* state) const {
        Vec<T>&prev = state[0], &step_size = state[1];
        const Vec<T> zero{}, one = broadcast(T(1));
        const Vec<T> sign_product = sign<T>(g) * sign<T>(prev);
        const Vec<T> factor = sign_product > zero ? grow : sign_product < zero ? shrink : one;
        step_size = step_size == zero ? first : step_size;
        step_size = min(max(step_size * factor, least), most);
        prev = sign_product < zero ? zero : g;
        return fma(-sign<T>(prev), step_size, w);
    }
};

}  // namespace
}  // namespace gdfast
