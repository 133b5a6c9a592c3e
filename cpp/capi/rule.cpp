#include "capi/rule.h"

#include <cmath>

#include "capi/arrays.h"
#include "capi/status.h"
#include "kernels/dispatch.h"
#include "network/denormals.h"
#include "network/interruption.h"
#include "network/team.h"

namespace gdfast::capi {

namespace {

constexpr int kKinds = GDFAST_RULE_RPROP + 1;

// By GDFAST_RULE_...; copied, because their names take long to look up.
const RuleSpec& blank(int kind) {
    static const RuleSpec specs[kKinds] = {RuleSpec(rule_kind("sgd")),     RuleSpec(rule_kind("adagrad")),
                                           RuleSpec(rule_kind("rmsprop")), RuleSpec(rule_kind("adadelta")),
                                           RuleSpec(rule_kind("adam")),    RuleSpec(rule_kind("adamw")),
                                           RuleSpec(rule_kind("nadam")),   RuleSpec(rule_kind("adamax")),
                                           RuleSpec(rule_kind("lion")),    RuleSpec(rule_kind("rprop"))};
    return specs[kind];
}

[[noreturn]] void refuse(const char* name, const char* what, double value) {
    throw std::invalid_argument(std::string(name) + " " + what + ", got " + std::to_string(value));
}

double not_negative(double value, const char* name) {
    if (!(value >= 0 && std::isfinite(value))) refuse(name, "must be finite and not negative", value);
    return value;
}

double below_one(double value, const char* name) {
    if (!(value >= 0 && value < 1)) refuse(name, "must be at least 0 and below 1", value);
    return value;
}

double positive(double value, const char* name) {
    if (!(value > 0 && std::isfinite(value))) refuse(name, "must be finite and positive", value);
    return value;
}

EpsMode eps_mode(int mode, bool corrects) {
    const bool known = mode == GDFAST_EPS_OUTSIDE || mode == GDFAST_EPS_INSIDE ||
                       (corrects && mode == GDFAST_EPS_UNCORRECTED);
    if (!known)
        throw std::invalid_argument(std::string("eps_mode must be GDFAST_EPS_OUTSIDE, ") +
                                    (corrects ? "GDFAST_EPS_UNCORRECTED " : "") +
                                    "or GDFAST_EPS_INSIDE for this rule, got " + std::to_string(mode));
    return static_cast<EpsMode>(mode);
}
static_assert(static_cast<int>(EpsMode::outside) == GDFAST_EPS_OUTSIDE &&
              static_cast<int>(EpsMode::uncorrected) == GDFAST_EPS_UNCORRECTED &&
              static_cast<int>(EpsMode::inside) == GDFAST_EPS_INSIDE);

void check_kind(int kind) {
    if (kind < 0 || kind >= kKinds)
        throw std::invalid_argument("kind must be one of GDFAST_RULE_..., from 0 to " +
                                    std::to_string(kKinds - 1) + ", got " + std::to_string(kind));
}

// (Once a later version's struct is longer, this one's size will be allowed, too.)
void check_rule_size(size_t size) {
    if (size != sizeof(gdfast_rule))
        throw std::invalid_argument("a gdfast_rule has " + std::to_string(sizeof(gdfast_rule)) +
                                    " bytes in this gdfast, got struct_size " + std::to_string(size) +
                                    ": gdfast_rule_init() has not been called, or with another gdfast.h");
}

void take_betas(const gdfast_rule& r, RuleSpec& spec) {
    spec.beta_1 = below_one(r.beta_1, "beta_1");
    spec.beta_2 = below_one(r.beta_2, "beta_2");
}

void take(const gdfast_rule& r, RuleSpec& spec) {
    if (r.kind != GDFAST_RULE_RPROP) spec.weight_decay = not_negative(r.weight_decay, "weight_decay");
    switch (r.kind) {
        case GDFAST_RULE_SGD:
            spec.momentum = not_negative(r.momentum, "momentum");
            spec.dampening = r.dampening;
            if (!std::isfinite(r.dampening)) refuse("dampening", "must be finite", r.dampening);
            spec.nesterov = r.nesterov;
            spec.dampen_first = r.dampen_first;
            spec.lr_in_velocity = r.lr_in_velocity;
            require(!spec.nesterov || (spec.momentum > 0 && spec.dampening == 0),
                    "nesterov needs momentum, and no dampening");
            break;
        case GDFAST_RULE_ADAGRAD:
            spec.lr_decay = not_negative(r.lr_decay, "lr_decay");
            spec.initial_sum = not_negative(r.initial_accumulator_value, "initial_accumulator_value");
            spec.epsilon = not_negative(r.eps, "eps");
            break;
        case GDFAST_RULE_RMSPROP:
            spec.beta_2 = below_one(r.alpha, "alpha");
            spec.epsilon = not_negative(r.eps, "eps");
            spec.momentum = not_negative(r.momentum, "momentum");
            spec.centered = r.centered;
            spec.eps_mode = eps_mode(r.eps_mode, false);
            break;
        case GDFAST_RULE_ADADELTA:
            spec.beta_2 = below_one(r.rho, "rho");
            spec.epsilon = not_negative(r.eps, "eps");
            break;
        case GDFAST_RULE_ADAM:
        case GDFAST_RULE_ADAMW:
            take_betas(r, spec);
            spec.epsilon = not_negative(r.eps, "eps");
            spec.amsgrad = r.amsgrad;
            spec.eps_mode = eps_mode(r.eps_mode, true);
            break;
        case GDFAST_RULE_NADAM:
            take_betas(r, spec);
            spec.epsilon = not_negative(r.eps, "eps");
            spec.momentum_decay = not_negative(r.momentum_decay, "momentum_decay");
            spec.decoupled = r.decoupled_weight_decay;
            break;
        case GDFAST_RULE_ADAMAX:
            take_betas(r, spec);
            spec.epsilon = not_negative(r.eps, "eps");
            break;
        case GDFAST_RULE_LION:
            take_betas(r, spec);
            break;
        case GDFAST_RULE_RPROP:
            spec.shrink = positive(r.eta_minus, "eta_minus");
            spec.grow = positive(r.eta_plus, "eta_plus");
            spec.least_size = positive(r.least_step_size, "least_step_size");
            spec.most_size = positive(r.most_step_size, "most_step_size");
            require(spec.shrink < 1 && spec.grow > 1, "eta_minus must be below 1, and eta_plus above 1");
            require(spec.least_size <= spec.most_size,
                    "least_step_size must not be greater than most_step_size");
            break;
    }
}

}  // namespace

RuleSpec checked_rule(const gdfast_rule* rule) {
    require(rule, "rule must not be NULL");
    check_rule_size(rule->struct_size);
    check_kind(rule->kind);
    if (rule->n_threads < 1)
        throw std::invalid_argument("n_threads must be at least 1, got " + std::to_string(rule->n_threads));
    not_negative(rule->lr, "lr");
    RuleSpec spec = blank(rule->kind);
    take(*rule, spec);
    spec.kind->choose_variant(spec);
    return spec;
}

void check_step(int64_t step) {
    if (step < 1)
        throw std::invalid_argument("step must be at least 1 (the first step), got " + std::to_string(step));
}

// The defaults of gdfast.optim; a test compares them.
int rule_init(gdfast_rule* rule, size_t struct_size, int kind) {
    return guarded([&] {
        require(rule, "rule must not be NULL");
        check_rule_size(struct_size);
        check_kind(kind);
        gdfast_rule r{};
        r.struct_size = sizeof(gdfast_rule);
        r.kind = kind;
        r.n_threads = 1;
        r.lr = 1e-3;
        r.beta_1 = 0.9;
        r.beta_2 = 0.999;
        r.eps = 1e-8;
        r.eps_mode = GDFAST_EPS_OUTSIDE;
        r.alpha = 0.99;
        r.rho = 0.9;
        r.momentum_decay = 4e-3;
        r.eta_minus = 0.5;
        r.eta_plus = 1.2;
        r.least_step_size = 1e-6;
        r.most_step_size = 50;
        switch (kind) {
            case GDFAST_RULE_ADAGRAD:
                r.lr = 1e-2;
                r.eps = 1e-10;
                break;
            case GDFAST_RULE_ADADELTA:
                r.lr = 1;
                r.eps = 1e-6;
                break;
            case GDFAST_RULE_ADAMW:
                r.weight_decay = 1e-2;
                break;
            case GDFAST_RULE_NADAM:
            case GDFAST_RULE_ADAMAX:
                r.lr = 2e-3;
                break;
            case GDFAST_RULE_LION:
                r.lr = 1e-4;
                r.beta_2 = 0.99;
                break;
            case GDFAST_RULE_RMSPROP:
            case GDFAST_RULE_RPROP:
                r.lr = 1e-2;
                break;
            default:
                break;
        }
        *rule = r;
    });
}

int rule_state(const gdfast_rule* rule, int index, const char** name, double* initial) {
    return guarded([&] {
        const RuleSpec spec = checked_rule(rule);
        if (index < 0) throw std::invalid_argument("index must be at least 0, got " + std::to_string(index));
        const bool there = index < states_of(spec.rule);
        if (name) *name = there ? kStateNames[static_cast<int>(spec.rule)].name[index] : nullptr;
        if (initial && there) *initial = spec.slots()[static_cast<size_t>(index)].initial;
    });
}

// NAdam multiplies one more factor to the product of the step before: kept for the loop that this thread is
// in.
template <class T>
RuleStep<T> scalars_at(const RuleSpec& spec, int64_t step, double lr) {
    if (spec.rule != Rule::nadam) return spec.at<T>(step, lr, 0);
    thread_local MuProduct latest;
    spec.mu_product = latest;
    const RuleStep<T> scalars = spec.at<T>(step, lr, 0);
    latest = spec.mu_product;
    return scalars;
}

template <class T>
void update(const RuleSpec& spec, const RuleStep<T>& scalars, const Updated<T>* arrays, size_t count,
            int n_threads) {
    if (n_threads == 1) {
        const DenormalMode flush(Denormals::flush);
        const auto kernel = kernels<T>().update[static_cast<int>(spec.rule)];
        for (const Updated<T>* a = arrays; a != arrays + count; ++a)
            kernel(a->n, a->w, a->g, a->states, scalars);
        return;
    }
    const Uninterrupted alone;
    update_all<T>(spec.rule, scalars, {arrays, arrays + count}, thread_limit(n_threads));
}

template <class T>
int rule_update(const gdfast_rule* rule, int64_t step, int64_t n, T* param, const T* grad, T* const* states) {
    return guarded([&] {
        const RuleSpec spec = checked_rule(rule);
        check_step(step);
        check_count(n, 0, "n");
        if (n == 0) return;
        const int count = states_of(spec.rule);
        require(count == 0 || states, "states must not be NULL: this rule keeps arrays of state");
        Extent memory[kMostStates + 2];
        Extents extents(memory);
        Updated<T> array{param, grad, {}, n};
        extents.add(param, n, "param");
        for (int i = 0; i < count; ++i) {
            array.states[i] = states[i];
            extents.add(states[i], n, "states", i);
        }
        extents.add(grad, n, "grad");
        extents.check_apart(static_cast<size_t>(count) + 1);
        update<T>(spec, scalars_at<T>(spec, step, rule->lr), &array, 1, rule->n_threads);
    });
}

#define GDFAST_INSTANTIATE(T)                                                                  \
    template RuleStep<T> scalars_at(const RuleSpec&, int64_t, double);                         \
    template void update(const RuleSpec&, const RuleStep<T>&, const Updated<T>*, size_t, int); \
    template int rule_update(const gdfast_rule*, int64_t, int64_t, T*, const T*, T* const*);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast::capi
