// The optimizer rules by name, and the scalars that make a published variant out of a kernel.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gdfast {

// Where epsilon goes in Adam: beside the corrected root (torch), beside the uncorrected root (scikit-learn),
// or under it.
enum class EpsMode { outside, uncorrected, inside };

struct RuleSpec {
    Rule rule = Rule::sgd;
    double momentum = 0;
    // scikit-learn keeps the learning rate inside the velocity, torch outside: they part as soon as it
    // changes.
    bool lr_in_velocity = true;
    double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8;
    EpsMode eps_mode = EpsMode::uncorrected;

    // The names of the arrays of state, each as large as the parameters.
    std::vector<std::string> slots() const;
    // The scalars of step number `step` (1 for the first).
    template <class T>
    RuleStep<T> at(int64_t step, double learning_rate, double decay) const;
};

}  // namespace gdfast
