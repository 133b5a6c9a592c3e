#include "bindings/rules.h"

#include "kernels/dispatch.h"
#include "network/team.h"

namespace gdfast {

RuleSpec rule_named(const std::string& name, const py::dict& params) {
    const auto number = [&](const char* key) {
        const std::string label = std::string("rule_params['") + key + "']";
        if (!params.contains(key))
            throw py::value_error("rule_params of '" + name + "' must have '" + key + "'");
        return checked_number<double>(params[key], label);
    };
    RuleSpec rule;
    if (name == "sgd") {
        rule.momentum = number("momentum");
        rule.rule = rule.momentum == 0          ? Rule::sgd
                    : number("nesterov") != 0.0 ? Rule::nesterov
                                                : Rule::momentum;
    } else if (name == "adam") {
        rule.rule = Rule::adam;
        rule.beta_1 = number("beta_1");
        rule.beta_2 = number("beta_2");
        rule.epsilon = number("epsilon");
    } else {
        throw py::value_error("rule must be one of 'sgd', 'adam'; got '" + name + "'");
    }
    return rule;
}

namespace {

// Arrays of one shape, param written and grad read; each of `slots` written.
struct NamedArray {
    const char* name;
    py::handle array;
};

template <class T>
void update_arrays(const py::object& param, const py::object& grad, const std::vector<NamedArray>& slots,
                   const RuleSpec& rule, int64_t step, double lr, double weight_decay) {
    const py::array values = checked_array<T>(param, "param", Access::write);
    const T* g = checked_like<T>(values, grad, "grad", Access::read);
    check_apart(param, "param", grad, "grad");
    T* states[kMostStates];
    for (size_t i = 0; i < slots.size(); ++i) {
        states[i] = checked_like<T>(values, slots[i].array, slots[i].name, Access::write);
        check_apart(slots[i].array, slots[i].name, param, "param");
        check_apart(slots[i].array, slots[i].name, grad, "grad");
        for (size_t j = 0; j < i; ++j)
            check_apart(slots[i].array, slots[i].name, slots[j].array, slots[j].name);
    }
    T* w = static_cast<T*>(const_cast<void*>(values.data()));
    const int64_t n = values.size();
    const int limit = thread_limit(0);
    py::gil_scoped_release released;
    const auto update = kernels<T>().update[static_cast<int>(rule.rule)];
    const RuleStep<T> scalars = rule.at<T>(step, lr, weight_decay);
    constexpr int64_t chunk = 16384;
    const int64_t chunks = std::min(kMostUnits, (n + chunk - 1) / chunk);
    in_parallel(threads_for(8.0 * static_cast<double>(n), chunks, limit), chunks, [&](int64_t unit, int) {
        const Range mine = share(n, unit, chunks);
        T* mine_of[kMostStates];
        for (size_t i = 0; i < slots.size(); ++i) mine_of[i] = states[i] + mine.first;
        update(mine.count(), w + mine.first, g + mine.first, mine_of, scalars);
    });
}

void sgd_update(const py::object& param, const py::object& grad, const py::object& velocity, double lr,
                double momentum, bool nesterov, double weight_decay, bool lr_in_velocity) {
    RuleSpec rule;
    rule.rule = velocity.is_none() ? Rule::sgd : nesterov ? Rule::nesterov : Rule::momentum;
    rule.momentum = momentum;
    rule.lr_in_velocity = lr_in_velocity;
    std::vector<NamedArray> slots;
    if (!velocity.is_none()) slots.push_back({"velocity", velocity});
    const auto typed = is_float32(param, "param") ? update_arrays<float> : update_arrays<double>;
    typed(param, grad, slots, rule, 1, lr, weight_decay);
}

void adam_update(const py::object& param, const py::object& grad, const py::object& m, const py::object& v,
                 int64_t step, double lr, double beta_1, double beta_2, double epsilon,
                 const std::string& eps_mode, double weight_decay) {
    if (step < 1)
        throw py::value_error("step must be at least 1 (the first step), got " + std::to_string(step));
    RuleSpec rule;
    rule.rule = Rule::adam;
    rule.beta_1 = beta_1;
    rule.beta_2 = beta_2;
    rule.epsilon = epsilon;
    if (eps_mode == "outside")
        rule.eps_mode = EpsMode::outside;
    else if (eps_mode == "uncorrected")
        rule.eps_mode = EpsMode::uncorrected;
    else if (eps_mode == "inside")
        rule.eps_mode = EpsMode::inside;
    else
        throw py::value_error("eps_mode must be one of 'outside', 'uncorrected', 'inside'; got '" + eps_mode +
                              "'");
    const auto typed = is_float32(param, "param") ? update_arrays<float> : update_arrays<double>;
    typed(param, grad, {{"m", m}, {"v", v}}, rule, step, lr, weight_decay);
}

}  // namespace

void register_rules(py::module_& m) {
    m.def("sgd_update", sgd_update, py::arg("param"), py::arg("grad"), py::arg("velocity"), py::arg("lr"),
          py::arg("momentum"), py::arg("nesterov"), py::arg("weight_decay"), py::arg("lr_in_velocity"));
    m.def("adam_update", adam_update, py::arg("param"), py::arg("grad"), py::arg("m"), py::arg("v"),
          py::arg("step"), py::arg("lr"), py::arg("beta_1"), py::arg("beta_2"), py::arg("epsilon"),
          py::arg("eps_mode"), py::arg("weight_decay"));
}

}  // namespace gdfast
