// The kernels of the optimizer rules, one row each. The enum, the function tables and the names of the state
// arrays are generated from these rows, so that they cannot disagree.
#pragma once

namespace gdfast {

// Variants that differ in scalars only share a kernel (AdamW is adam with `weight_factor`).
//   row(kernel, its class in rules.inl.h, {its state arrays, each as large as the parameters})
// clang-format off
#define GDFAST_RULES(row)                                                              \
    row(sgd, Sgd, {})                                                                  \
    row(momentum, Momentum, {"velocity"})                                              \
    row(nesterov, Nesterov, {"velocity"})                                              \
    row(adagrad, Adagrad, {"sum"})                                                     \
    row(rmsprop, Rmsprop, {"v"})                                                       \
    row(rmsprop_momentum, RmspropMomentum, {"v", "velocity"})                          \
    row(rmsprop_centered, RmspropCentered, {"v", "mean"})                              \
    row(rmsprop_centered_momentum, RmspropCenteredMomentum, {"v", "mean", "velocity"}) \
    row(adadelta, Adadelta, {"v", "delta"})                                            \
    row(adam, Adam, {"m", "v"})                                                        \
    row(amsgrad, Amsgrad, {"m", "v", "v_max"})                                         \
    row(nadam, Nadam, {"m", "v"})                                                      \
    row(adamax, Adamax, {"m", "u"})                                                    \
    row(lion, Lion, {"m"})                                                             \
    row(rprop, Rprop, {"prev", "step_size"})
// clang-format on

#define GDFAST_RULE_ENTRY(kernel, Move, ...) kernel,
enum class Rule : int { GDFAST_RULES(GDFAST_RULE_ENTRY) };
#undef GDFAST_RULE_ENTRY

#define GDFAST_RULE_COUNT(kernel, Move, ...) +1
constexpr int kRules = GDFAST_RULES(GDFAST_RULE_COUNT);
#undef GDFAST_RULE_COUNT

constexpr int kMostStates = 3;  // state arrays of a rule, at most

struct StateNames {
    const char* name[kMostStates];  // null where there are fewer
};
#define GDFAST_RULE_STATES(kernel, Move, ...) {__VA_ARGS__},
constexpr StateNames kStateNames[kRules] = {GDFAST_RULES(GDFAST_RULE_STATES)};
#undef GDFAST_RULE_STATES

constexpr int states_of(Rule rule) {
    int count = 0;
    while (count < kMostStates && kStateNames[static_cast<int>(rule)].name[count]) ++count;
    return count;
}

// The scalars of one optimizer step; rules.inl.h defines their use in each rule.
template <class T>
struct RuleStep {
    T decay;                     // gradient += decay * weight (L2)
    T weight_factor;             // factor of the weight before the update (decoupled decay), or 1
    T step;                      // factor of the update
    T momentum;                  // SGD, RMSprop
    T gradient_scale;            // SGD: the gradient's factor in the velocity. NAdam: the gradient's step
    T beta_1, one_minus_beta_1;  // moving averages of gradients
    T beta_2, one_minus_beta_2;  // moving averages of their squares
    T v_scale, eps_inside, eps_outside;  // denominator sqrt(v * v_scale + eps_inside) + eps_outside
    T first_size, least_size, most_size, shrink, grow;  // Rprop
};

}  // namespace gdfast
