#include "bindings/rules.h"

#include <algorithm>
#include <variant>

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

    void read(RuleSpec& rule, const Parameter& parameter) {
        const auto* pair = std::get_if<Parameter::Pair>(&parameter.place);
        if (pair && pair->first_name && !has(parameter.name) && has(pair->first_name)) {
            rule.*pair->first = number(pair->first_name);
            rule.*pair->second = number(pair->second_name);
            return;
        }
        const char* name =
            parameter.other_name && has(parameter.other_name) ? parameter.other_name : parameter.name;
        if (parameter.required || has(name))
            std::visit([&](auto place) { take(rule, name, place); }, parameter.place);
    }
    void check_all_used() const {
        if (taken_.size() == values_.size()) return;
        for (const auto& item : values_) {
            const std::string key = py::cast<std::string>(py::str(item.first));
            if (std::find(taken_.begin(), taken_.end(), key) == taken_.end())
                throw py::value_error("rule_params of '" + rule_ + "' cannot have '" + key + "'");
        }
    }

private:
    void take(RuleSpec& rule, const char* key, Parameter::Number place) { rule.*place = number(key); }
    void take(RuleSpec& rule, const char* key, bool RuleSpec::* place) { rule.*place = number(key) != 0; }
    void take(RuleSpec& rule, const char* key, Parameter::Mode mode) {
        const py::object value = this->value(key);
        if (!py::isinstance<py::str>(value))
            throw py::type_error(label(key) + " must be a string, got " +
                                 py::cast<std::string>(py::repr(value)));
        rule.*mode.place = eps_mode_named(label(key), py::cast<std::string>(value));
        if (rule.*mode.place == EpsMode::uncorrected && !mode.corrects)
            throw py::value_error(label(key) + " of '" + rule_ + "' must be 'outside' or 'inside'");
    }
    void take(RuleSpec& rule, const char* key, Parameter::Pair pair) {
        const py::object value = this->value(key);
        if (!py::isinstance<py::sequence>(value) || py::len(value) != 2)
            throw py::type_error(label(key) + " must be two numbers, got " +
                                 py::cast<std::string>(py::repr(value)));
        const auto both = py::reinterpret_borrow<py::sequence>(value);
        rule.*pair.first = number(both[0], key);
        rule.*pair.second = number(both[1], key);
    }

    bool has(const char* key) const { return values_.contains(key); }
    double number(const char* key) { return number(value(key), key); }
    double number(const py::object& value, const char* key) const {
        if (PyFloat_CheckExact(value.ptr())) return PyFloat_AS_DOUBLE(value.ptr());  // without a label: fast
        return checked_number<double>(value, label(key));
    }
    std::string label(const char* key) const { return std::string("rule_params['") + key + "']"; }
    py::object value(const char* key) {
        if (!has(key)) throw py::value_error("rule_params of '" + rule_ + "' must have '" + key + "'");
        taken_.push_back(key);
        return values_[key];
    }

    const std::string& rule_;
    const py::dict& values_;
    std::vector<const char*> taken_;
};

}  // namespace

RuleSpec rule_named(const std::string& name, const py::dict& params) {
    RuleSpec rule(rule_kind(name));
    Params p(name, params);
    p.read(rule, {"weight_decay", &RuleSpec::weight_decay});
    for (const Parameter& parameter : rule.kind->parameters)
        if (parameter.name) p.read(rule, parameter);
    p.check_all_used();
    rule.kind->choose_variant(rule);
    return rule;
}

}  // namespace gdfast
