// The optimizer rules as they are published: names, hyper-parameters, and the scalars that make a variant out
// of a kernel.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "kernels/kernels.h"

namespace gdfast {

// Where epsilon goes in Adam: beside the corrected root (torch), beside the uncorrected root (scikit-learn),
// or under it.
enum class EpsMode { outside, uncorrected, inside };

// An array of state, as large as the parameters.
struct Slot {
    const char* name;
    double initial;
};

// mu_1 mu_2 ... mu_step of NAdam: each step multiplies by one more factor; it can start at any step.
class MuProduct {
public:
    static double mu(double step, double beta_1, double momentum_decay);
    double operator()(int64_t step, double beta_1, double momentum_decay);

private:
    int64_t step_ = 0;
    double product_ = 1, beta_1_ = 0, momentum_decay_ = 0;
};

struct RuleSpec;

// A hyper-parameter by Python's name, and where in a RuleSpec it goes.
struct Parameter {
    using Number = double RuleSpec::*;
    struct Pair {
        Number first, second;
        const char *first_name = nullptr,
                   *second_name = nullptr;  // each by itself, or null: scikit-learn's beta_1 and beta_2
    };
    struct Mode {
        EpsMode RuleSpec::* place;
        bool corrects;  // so that "uncorrected" has a meaning
    };
    const char* name = nullptr;
    std::variant<Number, bool RuleSpec::*, Mode, Pair> place;
    bool required = false;             // or RuleSpec's own value holds where it is not passed
    const char* other_name = nullptr;  // scikit-learn's
};

constexpr int kMostParameters = 5;

// One row for each published rule; rule.cpp has them.
struct RuleKind {
    const char* name;
    Parameter
        parameters[kMostParameters];  // beside weight_decay, which all have; no name where there are fewer
    // Chooses the kernel, once all hyper-parameters are there, and sets what the rule leaves no choice about.
    void (*choose_variant)(RuleSpec&);
    // The scalars of one step that are this rule's own; the common ones are there already.
    void (*scale)(const RuleSpec&, int64_t step, double learning_rate, RuleStep<double>&);
};

// Throws std::invalid_argument where there is none of this name.
const RuleKind& rule_kind(const std::string& name);

struct RuleSpec {
    RuleSpec() : RuleSpec(rule_kind("sgd")) {}
    explicit RuleSpec(const RuleKind& its_kind) : kind(&its_kind) { kind->choose_variant(*this); }

    const RuleKind* kind;
    Rule rule = Rule::sgd;  // the kernel

    double weight_decay = 0;
    bool decoupled = false;  // the decay shrinks the weight itself, beside the rule (AdamW, Lion)

    double momentum = 0, dampening = 0;
    bool nesterov = false;
    bool dampen_first = false;  // torch lets the first gradient into the velocity undamped
    // scikit-learn keeps the learning rate inside the velocity, torch outside: they part as soon as it
    // changes.
    bool lr_in_velocity = true;

    double beta_1 = 0.9, beta_2 = 0.999;  // beta_2 is the one average of RMSprop and Adadelta, too
    double epsilon = 1e-8;
    EpsMode eps_mode = EpsMode::uncorrected;
    bool amsgrad = false, centered = false;

    double lr_decay = 0, initial_sum = 0;                                // Adagrad
    double momentum_decay = 0;                                           // NAdam
    double shrink = 0.5, grow = 1.2, least_size = 1e-6, most_size = 50;  // Rprop

    std::vector<Slot> slots() const;
    // The scalars of step number `step` (1 for the first); `decay` is an L2 penalty beside weight_decay. One
    // thread at a time may ask.
    template <class T>
    RuleStep<T> at(int64_t step, double learning_rate, double decay) const;

    mutable MuProduct mu_product;
};

}  // namespace gdfast
