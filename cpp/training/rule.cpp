#include "training/rule.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gdfast {

double MuProduct::mu(int64_t step, double beta_1, double momentum_decay) {
    return beta_1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step) * momentum_decay));
}

double MuProduct::operator()(int64_t step, double beta_1, double momentum_decay) {
    if (step < step_ || beta_1 != beta_1_ || momentum_decay != momentum_decay_) {
        step_ = 0;
        product_ = 1;
        beta_1_ = beta_1;
        momentum_decay_ = momentum_decay;
    }
    // Only 1 - product is ever used: what is smaller is nothing, and a late step need not count up to itself.
    constexpr double nothing = std::numeric_limits<double>::epsilon() / 8;
    while (step_ < step && product_ > nothing) product_ *= mu(++step_, beta_1, momentum_decay);
    return product_;
}

std::vector<Slot> RuleSpec::slots() const {
    switch (rule) {
        case Rule::sgd:
            return {};
        case Rule::momentum:
        case Rule::nesterov:
            return {{"velocity", 0}};
        case Rule::adagrad:
            return {{"sum", initial_sum}};
        case Rule::rmsprop:
            return {{"v", 0}};
        case Rule::rmsprop_momentum:
            return {{"v", 0}, {"velocity", 0}};
        case Rule::rmsprop_centered:
            return {{"v", 0}, {"mean", 0}};
        case Rule::rmsprop_centered_momentum:
            return {{"v", 0}, {"mean", 0}, {"velocity", 0}};
        case Rule::adadelta:
            return {{"v", 0}, {"delta", 0}};
        case Rule::adam:
        case Rule::nadam:
            return {{"m", 0}, {"v", 0}};
        case Rule::amsgrad:
            return {{"m", 0}, {"v", 0}, {"v_max", 0}};
        case Rule::adamax:
            return {{"m", 0}, {"u", 0}};
        case Rule::lion:
            return {{"m", 0}};
        case Rule::rprop:
            return {{"before", 0}, {"size", 0}};
    }
    return {};
}

template <class T>
RuleStep<T> RuleSpec::at(int64_t step, double learning_rate, double decay) const {
    RuleStep<T> s{};
    s.decay = static_cast<T>(decay + (decoupled ? 0 : weight_decay));
    s.keep = static_cast<T>(decoupled ? 1 - learning_rate * weight_decay : 1);
    // What float32 would flush to zero must not make 0 / 0 of a parameter that has no gradient.
    const T eps = static_cast<T>(std::max(epsilon, static_cast<double>(std::numeric_limits<T>::min())));
    const bool under_root = eps_mode == EpsMode::inside || rule == Rule::adadelta;
    s.eps_inside = under_root ? eps : 0;
    s.eps_outside = under_root ? 0 : eps;
    s.v_scale = 1;
    s.step = static_cast<T>(-learning_rate);
    s.momentum = static_cast<T>(momentum);
    s.beta_1 = static_cast<T>(beta_1);
    s.one_minus_beta_1 = static_cast<T>(1 - beta_1);
    s.beta_2 = static_cast<T>(beta_2);
    s.one_minus_beta_2 = static_cast<T>(1 - beta_2);
    switch (rule) {
        case Rule::sgd:
        case Rule::momentum:
        case Rule::nesterov:
            set_velocity(s, step, learning_rate);
            break;
        case Rule::adam:
        case Rule::amsgrad:
        case Rule::nadam:
        case Rule::adamax:
            set_moments(s, step, learning_rate);
            break;
        case Rule::adagrad:
            s.step = static_cast<T>(-learning_rate / (1 + static_cast<double>(step - 1) * lr_decay));
            break;
        case Rule::rprop:
            s.first_size = static_cast<T>(learning_rate);
            // Flushed to zero, a size would begin anew.
            s.least_size = std::max(static_cast<T>(least_size), std::numeric_limits<T>::min());
            s.most_size = static_cast<T>(most_size);
            s.shrink = static_cast<T>(shrink);
            s.grow = static_cast<T>(grow);
            break;
        default:
            break;
    }
    return s;
}

template <class T>
void RuleSpec::set_velocity(RuleStep<T>& s, int64_t step, double learning_rate) const {
    const bool damped = rule != Rule::sgd && (step > 1 || dampen_first);
    const double scale = damped ? 1 - dampening : 1;
    s.gradient_scale = static_cast<T>(lr_in_velocity ? -learning_rate * scale : scale);
    s.step = static_cast<T>(lr_in_velocity ? 1.0 : -learning_rate);
}

// Averages that begin at zero are too small by 1 - beta^t.
template <class T>
void RuleSpec::set_moments(RuleStep<T>& s, int64_t step, double learning_rate) const {
    const double t = static_cast<double>(step);
    const double correction_1 = 1 - std::pow(beta_1, t);
    if (rule == Rule::adamax) {
        s.step = static_cast<T>(-learning_rate / correction_1);
        return;
    }
    const double correction_2 = 1 - std::pow(beta_2, t);
    const bool uncorrected = eps_mode == EpsMode::uncorrected;
    s.v_scale = static_cast<T>(uncorrected ? 1 : 1 / correction_2);
    const double rate = -learning_rate * (uncorrected ? std::sqrt(correction_2) : 1);
    if (rule == Rule::nadam) {
        const double product = mu_product_(step, beta_1, momentum_decay);
        const double mu = MuProduct::mu(step, beta_1, momentum_decay);
        const double next = MuProduct::mu(step + 1, beta_1, momentum_decay);
        s.gradient_scale = static_cast<T>(rate * (1 - mu) / (1 - product));
        s.step = static_cast<T>(rate * next / (1 - product * next));
        return;
    }
    s.step = static_cast<T>(rate / correction_1);
}

template RuleStep<float> RuleSpec::at(int64_t, double, double) const;
template RuleStep<double> RuleSpec::at(int64_t, double, double) const;

}  // namespace gdfast
