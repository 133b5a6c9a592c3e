#include "bindings/rules.h"

#include <algorithm>

#include "network/team.h"
#include "training/update.h"

namespace gdfast {

namespace {

EpsMode eps_mode_named(const std::string& label, const std::string& name) {
    if (name == "outside") return EpsMode::outside;
    if (name == "uncorrected") return EpsMode::uncorrected;
    if (name == "inside") return EpsMode::inside;
    throw py::value_error(label + " must be one of 'outside', 'uncorrected', 'inside'; got '" + name + "'");
}

// The hyper-parameters of a rule; every one that is passed must be asked for.
class Params {
public:
    Params(const std::string& rule, const py::dict& values) : rule_(rule), values_(values) {}

    bool has(const char* key) const { return values_.contains(key); }
    double number(const char* key) {
        const py::object value = take(key);
        return checked_number<double>(value, label(key));
    }
    double number(const char* key, double otherwise) { return has(key) ? number(key) : otherwise; }
    bool flag(const char* key) { return number(key) != 0; }
    bool flag(const char* key, bool otherwise) { return has(key) ? flag(key) : otherwise; }
    void pair(const char* key, double& first, double& second) {
        const py::object value = take(key);
        if (!py::isinstance<py::sequence>(value) || py::len(value) != 2)
            throw py::type_error(label(key) + " must be two numbers, got " +
                                 py::cast<std::string>(py::repr(value)));
        const auto both = py::reinterpret_borrow<py::sequence>(value);
        first = checked_number<double>(py::object(both[0]), label(key));
        second = checked_number<double>(py::object(both[1]), label(key));
    }
    EpsMode eps_mode(EpsMode otherwise) {
        if (!has("eps_mode")) return otherwise;
        const py::object value = take("eps_mode");
        if (!py::isinstance<py::str>(value))
            throw py::type_error(label("eps_mode") + " must be a string, got " +
                                 py::cast<std::string>(py::repr(value)));
        return eps_mode_named(label("eps_mode"), py::cast<std::string>(value));
    }
    void all_taken() const {
        for (const auto& item : values_) {
            const std::string key = py::cast<std::string>(py::str(item.first));
            if (std::find(taken_.begin(), taken_.end(), key) == taken_.end())
                throw py::value_error("rule_params of '" + rule_ + "' cannot have '" + key + "'");
        }
    }

private:
    std::string label(const char* key) const { return std::string("rule_params['") + key + "']"; }
    py::object take(const char* key) {
        if (!has(key)) throw py::value_error("rule_params of '" + rule_ + "' must have '" + key + "'");
        taken_.emplace_back(key);
        return values_[key];
    }

    const std::string& rule_;
    const py::dict& values_;
    std::vector<std::string> taken_;
};

void read_sgd(RuleSpec& rule, Params& p) {
    rule.momentum = p.number("momentum");
    const bool nesterov = p.flag("nesterov", false);
    rule.rule = rule.momentum == 0 ? Rule::sgd : nesterov ? Rule::nesterov : Rule::momentum;
    rule.dampening = p.number("dampening", 0);
    rule.dampen_first = p.flag("dampen_first", false);
    rule.lr_in_velocity = p.flag("lr_in_velocity", true);
}

void read_rmsprop(RuleSpec& rule, Params& p) {
    rule.beta_2 = p.number("alpha");
    rule.epsilon = p.number("eps");
    rule.momentum = p.number("momentum");
    const bool centered = p.flag("centered");
    rule.rule = centered ? (rule.momentum == 0 ? Rule::rmsprop_centered : Rule::rmsprop_centered_momentum)
                         : (rule.momentum == 0 ? Rule::rmsprop : Rule::rmsprop_momentum);
    rule.eps_mode = p.eps_mode(EpsMode::outside);
    if (rule.eps_mode == EpsMode::uncorrected)
        throw py::value_error("rule_params['eps_mode'] of 'rmsprop' must be 'outside' or 'inside'");
}

// Both spellings: scikit-learn's and torch's.
void read_adam(RuleSpec& rule, Params& p) {
    if (p.has("betas")) {
        p.pair("betas", rule.beta_1, rule.beta_2);
    } else {
        rule.beta_1 = p.number("beta_1");
        rule.beta_2 = p.number("beta_2");
    }
    rule.epsilon = p.has("eps") ? p.number("eps") : p.number("epsilon");
    rule.rule = p.flag("amsgrad", false) ? Rule::amsgrad : Rule::adam;
    rule.eps_mode = p.eps_mode(EpsMode::uncorrected);
}

void read_nadam(RuleSpec& rule, Params& p) {
    rule.rule = Rule::nadam;
    p.pair("betas", rule.beta_1, rule.beta_2);
    rule.epsilon = p.number("eps");
    rule.momentum_decay = p.number("momentum_decay");
    rule.decoupled = p.flag("decoupled_weight_decay", false);
    rule.eps_mode = EpsMode::outside;
}

void read_rprop(RuleSpec& rule, Params& p) {
    rule.rule = Rule::rprop;
    p.pair("etas", rule.shrink, rule.grow);
    p.pair("step_sizes", rule.least_size, rule.most_size);
}

}  // namespace

RuleSpec rule_named(const std::string& name, const py::dict& params) {
    RuleSpec rule;
    Params p(name, params);
    rule.weight_decay = p.number("weight_decay", 0);
    if (name == "sgd") {
        read_sgd(rule, p);
    } else if (name == "adagrad") {
        rule.rule = Rule::adagrad;
        rule.lr_decay = p.number("lr_decay");
        rule.initial_sum = p.number("initial_accumulator_value");
        rule.epsilon = p.number("eps");
    } else if (name == "rmsprop") {
        read_rmsprop(rule, p);
    } else if (name == "adadelta") {
        rule.rule = Rule::adadelta;
        rule.beta_2 = p.number("rho");
        rule.epsilon = p.number("eps");
    } else if (name == "adam") {
        read_adam(rule, p);
    } else if (name == "adamw") {
        read_adam(rule, p);
        rule.decoupled = true;
    } else if (name == "nadam") {
        read_nadam(rule, p);
    } else if (name == "adamax") {
        rule.rule = Rule::adamax;
        p.pair("betas", rule.beta_1, rule.beta_2);
        rule.epsilon = p.number("eps");
    } else if (name == "lion") {
        rule.rule = Rule::lion;
        p.pair("betas", rule.beta_1, rule.beta_2);
        rule.decoupled = true;
    } else if (name == "rprop") {
        read_rprop(rule, p);
    } else {
        throw py::value_error(
            "rule must be one of 'sgd', 'adagrad', 'rmsprop', 'adadelta', 'adam', 'adamw', 'nadam', "
            "'adamax', "
            "'lion', 'rprop'; got '" +
            name + "'");
    }
    p.all_taken();
    return rule;
}

namespace {

// One step on arrays of one shape: param and each of the rule's states written, grad read.
template <class T>
void update_arrays(const py::object& param, const py::object& grad, const py::tuple& states,
                   const RuleSpec& rule, int64_t step, double lr) {
    const std::vector<Slot> slots = rule.slots();
    if (states.size() != slots.size())
        throw py::value_error("this rule has " + std::to_string(slots.size()) + " arrays of state, got " +
                              std::to_string(states.size()));
    const py::array values = checked_array<T>(param, "param", Access::write);
    Updated<T> array{};
    array.n = values.size();
    array.w = static_cast<T*>(const_cast<void*>(values.data()));
    array.g = checked_like<T>(values, grad, "grad", Access::read);
    check_apart(param, "param", grad, "grad");
    for (size_t i = 0; i < slots.size(); ++i) {
        const py::handle state = states[i];
        array.states[i] = checked_like<T>(values, state, slots[i].name, Access::write);
        check_apart(state, slots[i].name, param, "param");
        check_apart(state, slots[i].name, grad, "grad");
        for (size_t j = 0; j < i; ++j) check_apart(state, slots[i].name, states[j], slots[j].name);
    }
    const RuleStep<T> scalars = rule.at<T>(step, lr, 0);
    const int limit = thread_limit(0);
    py::gil_scoped_release released;
    update_all<T>(rule.rule, scalars, {array}, limit);
}

void update_any(const std::string& name, const py::dict& params, const py::object& param,
                const py::object& grad, const py::tuple& states, int64_t step, double lr) {
    if (step < 1)
        throw py::value_error("step must be at least 1 (the first step), got " + std::to_string(step));
    RuleSpec rule = rule_named(name, params);
    // A velocity that is passed is kept, though nothing of it is carried on.
    if (rule.rule == Rule::sgd && states.size() == 1) rule.rule = Rule::momentum;
    const auto typed = is_float32(param, "param") ? update_arrays<float> : update_arrays<double>;
    typed(param, grad, states, rule, step, lr);
}

}  // namespace

void register_rules(py::module_& m) {
    m.def("update", update_any, py::arg("rule"), py::arg("rule_params"), py::arg("param"), py::arg("grad"),
          py::arg("states"), py::arg("step"), py::arg("lr"));
}

}  // namespace gdfast
