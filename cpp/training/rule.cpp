#include "training/rule.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gdfast {

std::vector<std::string> RuleSpec::slots() const {
    switch (rule) {
        case Rule::sgd:
            return {};
        case Rule::momentum:
        case Rule::nesterov:
            return {"velocity"};
        case Rule::adam:
            return {"m", "v"};
    }
    return {};
}

template <class T>
RuleStep<T> RuleSpec::at(int64_t step, double learning_rate, double decay) const {
    RuleStep<T> s{};
    s.decay = static_cast<T>(decay);
    if (rule != Rule::adam) {
        s.momentum = static_cast<T>(momentum);
        s.gradient_scale = static_cast<T>(lr_in_velocity ? -learning_rate : 1.0);
        s.step = static_cast<T>(lr_in_velocity ? 1.0 : -learning_rate);
        return s;
    }
    const double t = static_cast<double>(step);
    const double correct_1 = 1 - std::pow(beta_1, t), correct_2 = 1 - std::pow(beta_2, t);
    s.beta_1 = static_cast<T>(beta_1);
    s.one_minus_beta_1 = static_cast<T>(1 - beta_1);
    s.beta_2 = static_cast<T>(beta_2);
    s.one_minus_beta_2 = static_cast<T>(1 - beta_2);
    const bool uncorrected = eps_mode == EpsMode::uncorrected;
    s.v_scale = static_cast<T>(uncorrected ? 1 : 1 / correct_2);
    s.step = static_cast<T>(-learning_rate * (uncorrected ? std::sqrt(correct_2) : 1) / correct_1);
    // What float32 would flush to zero must not make 0 / 0 of a parameter that has no gradient.
    const double kept =
        epsilon > 0 ? std::max(epsilon, static_cast<double>(std::numeric_limits<T>::min())) : 0;
    s.eps_inside = static_cast<T>(eps_mode == EpsMode::inside ? kept : 0);
    s.eps_outside = static_cast<T>(eps_mode == EpsMode::inside ? 0 : kept);
    return s;
}

template RuleStep<float> RuleSpec::at(int64_t, double, double) const;
template RuleStep<double> RuleSpec::at(int64_t, double, double) const;

}  // namespace gdfast
