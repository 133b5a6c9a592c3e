// The optimizer rules' kernels, one row each: the enum, the tables of functions and the names of the arrays
// of state are all made from these rows, so none can lack what another has.
#pragma once

namespace gdfast {

// What a hyper-parameter only scales is no kernel of its own (AdamW is adam with `keep`).
//   row(kernel, its Move in rules.inl.h, {its arrays of state, each as large as the parameters})
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

constexpr int kMostStates = 3;  // arrays of state that a rule may have

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

// The scalars of one optimizer step; what each rule does with them stands in rules.inl.h.
template <class T>
struct RuleStep {
    T decay;                     // gradient += decay * weight (L2)
    T keep;                      // the weight's factor before it moves (decoupled decay), or 1
    T step;                      // factor of the final move
    T momentum;                  // SGD, RMSprop
    T gradient_scale;            // SGD: the gradient's factor inside the velocity. NAdam: its own step
    T beta_1, one_minus_beta_1;  // averages of gradients
    T beta_2, one_minus_beta_2;  // averages of their squares
    T v_scale, eps_inside, eps_outside;  // denominator sqrt(v * v_scale + eps_inside) + eps_outside
    T first_size, least_size, most_size, shrink, grow;  // Rprop
};

}  // namespace gdfast
