#include "training/rule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace gdfast {

double MuProduct::mu(double step, double beta_1, double momentum_decay) {
    return beta_1 * (1 - 0.5 * std::pow(0.96, step * momentum_decay));
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
    while (step_ < step && product_ > nothing)
        product_ *= mu(static_cast<double>(++step_), beta_1, momentum_decay);
    return product_;
}

namespace {

// What is smaller flushes to zero.
template <class T>
double at_least_normal(double x) {
    return std::max(x, static_cast<double>(std::numeric_limits<T>::min()));
}

template <class T>
RuleStep<T> rounded(const RuleStep<double>& s) {
    const auto r = [](double x) { return static_cast<T>(x); };
    return {r(s.decay),
            r(s.weight_factor),
            r(s.step),
            r(s.momentum),
            r(s.gradient_scale),
            r(s.beta_1),
            r(s.one_minus_beta_1),
            r(s.beta_2),
            r(s.one_minus_beta_2),
            r(s.v_scale),
            r(s.eps_inside),
            r(s.eps_outside),
            r(s.first_size),
            r(s.least_size),
            r(s.most_size),
            r(s.shrink),
            r(s.grow)};
}

void plain(const RuleSpec&, int64_t, double, RuleStep<double>&) {}

void choose_sgd_variant(RuleSpec& r) {
    r.rule = r.momentum == 0 ? Rule::sgd : r.nesterov ? Rule::nesterov : Rule::momentum;
}
void scale_velocity(const RuleSpec& r, int64_t step, double learning_rate, RuleStep<double>& s) {
    const bool damped = r.rule != Rule::sgd && (step > 1 || r.dampen_first);
    const double scale = damped ? 1 - r.dampening : 1;
    s.gradient_scale = r.lr_in_velocity ? -learning_rate * scale : scale;
    s.step = r.lr_in_velocity ? 1.0 : -learning_rate;
}

void decay_rate(const RuleSpec& r, int64_t step, double learning_rate, RuleStep<double>& s) {
    s.step = -learning_rate / (1 + static_cast<double>(step - 1) * r.lr_decay);
}

void choose_rmsprop_variant(RuleSpec& r) {
    r.rule = r.centered ? (r.momentum == 0 ? Rule::rmsprop_centered : Rule::rmsprop_centered_momentum)
                        : (r.momentum == 0 ? Rule::rmsprop : Rule::rmsprop_momentum);
}

void choose_adam_variant(RuleSpec& r) { r.rule = r.amsgrad ? Rule::amsgrad : Rule::adam; }
// Averages that begin at zero are too small by 1 - beta^t. Returns the learning rate that is left to take.
double correct_second(const RuleSpec& r, int64_t step, double learning_rate, RuleStep<double>& s) {
    const double correction = 1 - std::pow(r.beta_2, static_cast<double>(step));
    const bool uncorrected = r.eps_mode == EpsMode::uncorrected;
    s.v_scale = uncorrected ? 1 : 1 / correction;
    return -learning_rate * (uncorrected ? std::sqrt(correction) : 1);
}
double correction_1(const RuleSpec& r, int64_t step) {
    return 1 - std::pow(r.beta_1, static_cast<double>(step));
}
void correct_both(const RuleSpec& r, int64_t step, double learning_rate, RuleStep<double>& s) {
    s.step = correct_second(r, step, learning_rate, s) / correction_1(r, step);
}
void correct_first(const RuleSpec& r, int64_t step, double learning_rate, RuleStep<double>& s) {
    s.step = -learning_rate / correction_1(r, step);
}
void look_ahead(const RuleSpec& r, int64_t step, double learning_rate, RuleStep<double>& s) {
    const double rate = correct_second(r, step, learning_rate, s);
    const double product = r.mu_product(step, r.beta_1, r.momentum_decay);
    const double mu = MuProduct::mu(static_cast<double>(step), r.beta_1, r.momentum_decay);
    const double next = MuProduct::mu(static_cast<double>(step) + 1, r.beta_1, r.momentum_decay);
    s.gradient_scale = rate * (1 - mu) / (1 - product);
    s.step = rate * next / (1 - product * next);
}

constexpr Parameter::Pair kBetas{&RuleSpec::beta_1, &RuleSpec::beta_2, "beta_1", "beta_2"};

constexpr RuleKind kKinds[] = {
    {"sgd",
     {{"momentum", &RuleSpec::momentum, true},
      {"dampening", &RuleSpec::dampening, false},
      {"nesterov", &RuleSpec::nesterov, false},
      {"dampen_first", &RuleSpec::dampen_first, false},
      {"lr_in_velocity", &RuleSpec::lr_in_velocity, false}},
     choose_sgd_variant,
     scale_velocity},
    {"adagrad",
     {{"lr_decay", &RuleSpec::lr_decay, true},
      {"initial_accumulator_value", &RuleSpec::initial_sum, true},
      {"eps", &RuleSpec::epsilon, true}},
     [](RuleSpec& r) { r.rule = Rule::adagrad; },
     decay_rate},
    {"rmsprop",
     {{"alpha", &RuleSpec::beta_2, true},
      {"eps", &RuleSpec::epsilon, true},
      {"momentum", &RuleSpec::momentum, true},
      {"centered", &RuleSpec::centered, true},
      {"eps_mode", Parameter::Mode{&RuleSpec::eps_mode, false}, true}},
     choose_rmsprop_variant,
     plain},
    {"adadelta",
     {{"rho", &RuleSpec::beta_2, true}, {"eps", &RuleSpec::epsilon, true}},
     [](RuleSpec& r) {
         r.rule = Rule::adadelta;
         r.eps_mode = EpsMode::inside;
     },
     plain},
    {"adam",
     {{"betas", kBetas, true},
      {"eps", &RuleSpec::epsilon, true, "epsilon"},
      {"amsgrad", &RuleSpec::amsgrad, false},
      {"eps_mode", Parameter::Mode{&RuleSpec::eps_mode, true}, false}},
     choose_adam_variant,
     correct_both},
    {"adamw",
     {{"betas", kBetas, true},
      {"eps", &RuleSpec::epsilon, true, "epsilon"},
      {"amsgrad", &RuleSpec::amsgrad, false},
      {"eps_mode", Parameter::Mode{&RuleSpec::eps_mode, true}, false}},
     [](RuleSpec& r) {
         choose_adam_variant(r);
         r.decoupled = true;
     },
     correct_both},
    {"nadam",
     {{"betas", kBetas, true},
      {"eps", &RuleSpec::epsilon, true},
      {"momentum_decay", &RuleSpec::momentum_decay, true},
      {"decoupled_weight_decay", &RuleSpec::decoupled, false}},
     [](RuleSpec& r) {
         r.rule = Rule::nadam;
         r.eps_mode = EpsMode::outside;
     },
     look_ahead},
    {"adamax",
     {{"betas", kBetas, true}, {"eps", &RuleSpec::epsilon, true}},
     [](RuleSpec& r) { r.rule = Rule::adamax; },
     correct_first},
    {"lion",
     {{"betas", kBetas, true}},
     [](RuleSpec& r) {
         r.rule = Rule::lion;
         r.decoupled = true;
     },
     plain},
    {"rprop",
     {{"etas", Parameter::Pair{&RuleSpec::shrink, &RuleSpec::grow}, true},
      {"step_sizes", Parameter::Pair{&RuleSpec::least_size, &RuleSpec::most_size}, true}},
     [](RuleSpec& r) { r.rule = Rule::rprop; },
     plain},
};

constexpr bool complete() {
    for (const RuleKind& kind : kKinds)
        if (!kind.name || !kind.choose_variant || !kind.scale) return false;
    return true;
}
static_assert(complete(), "a row lacks something");

}  // namespace

const RuleKind& rule_kind(const std::string& name) {
    for (const RuleKind& kind : kKinds)
        if (kind.name == name) return kind;
    std::string known;
    for (const RuleKind& kind : kKinds) known += (known.empty() ? "'" : ", '") + std::string(kind.name) + "'";
    throw std::invalid_argument("rule must be one of " + known + "; got '" + name + "'");
}

std::vector<Slot> RuleSpec::slots() const {
    std::vector<Slot> slots;
    for (int i = 0; i < states_of(rule); ++i)
        slots.push_back(
            {kStateNames[static_cast<int>(rule)].name[i], rule == Rule::adagrad ? initial_sum : 0});
    return slots;
}

template <class T>
RuleStep<T> RuleSpec::at(int64_t step, double learning_rate, double decay) const {
    RuleStep<double> s{};
    s.decay = decay + (decoupled ? 0 : weight_decay);
    s.weight_factor = decoupled ? 1 - learning_rate * weight_decay : 1;
    // What float32 would flush to zero must not make 0 / 0 of a parameter that has no gradient.
    const double eps = at_least_normal<T>(epsilon);
    s.eps_inside = eps_mode == EpsMode::inside ? eps : 0;
    s.eps_outside = eps_mode == EpsMode::inside ? 0 : eps;
    s.v_scale = 1;
    s.step = -learning_rate;
    s.momentum = momentum;
    s.beta_1 = beta_1;
    s.one_minus_beta_1 = 1 - beta_1;
    s.beta_2 = beta_2;
    s.one_minus_beta_2 = 1 - beta_2;
    s.first_size = learning_rate;
    // Flushed to zero, a size would start again from the initial one.
    s.least_size = at_least_normal<T>(least_size);
    s.most_size = most_size;
    s.shrink = shrink;
    s.grow = grow;
    kind->scale(*this, step, learning_rate, s);
    return rounded<T>(s);
}

template RuleStep<float> RuleSpec::at(int64_t, double, double) const;
template RuleStep<double> RuleSpec::at(int64_t, double, double) const;

}  // namespace gdfast
