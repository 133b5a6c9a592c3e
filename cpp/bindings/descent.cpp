#include "bindings/descent.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "bindings/rules.h"

namespace gdfast {

namespace {

double checked_limit(py::handle limit, const char* name) {
    if (limit.is_none()) return kNoLimit;
    const double value = checked_number<double>(limit, name);
    if (!(value > 0))
        throw py::value_error(std::string(name) + " must be positive, got " + std::to_string(value));
    return value;
}

constexpr double kLargest = std::numeric_limits<double>::max();

// By group, as estimators name their attributes.
constexpr const char* kGroupNames[kGroups] = {"coefs", "intercepts", "bn_gamma", "bn_beta"};

std::string factors_of(const char* argument, const std::string& group) {
    return std::string(argument) + "['" + group + "']";
}

// Their number is checked as soon as there is a network: check_rate_factors().
void read_rate_factors(DescentOptions& options, py::handle value, const char* name) {
    if (value.is_none()) return;
    if (!py::isinstance<py::dict>(value))
        throw py::type_error(std::string(name) + " must be a dictionary or None, got " +
                             py::cast<std::string>(py::repr(value)));
    for (const auto& [key, given] : py::reinterpret_borrow<py::dict>(value)) {
        const std::string group = checked_text(key, name);
        const auto* const found = std::find(std::begin(kGroupNames), std::end(kGroupNames), group);
        if (found == std::end(kGroupNames))
            throw py::value_error(std::string(name) + " has no group '" + group + "'");
        const std::string label = factors_of(name, group);
        if (!py::isinstance<py::sequence>(given))
            throw py::type_error(label + " must be a sequence of numbers, got " +
                                 py::cast<std::string>(py::repr(given)));
        std::vector<double>& factors = options.rate_factors[static_cast<size_t>(found - kGroupNames)];
        for (const py::handle factor : py::tuple(py::reinterpret_borrow<py::object>(given)))
            factors.push_back(
                checked_share(checked_number<double>(factor, label.c_str()), label.c_str(), 0, kLargest));
        if (factors.empty()) throw py::value_error(label + " must hold numbers, got none");
    }
}

// Each argument is declared here: its name, and how it is read and checked. What it means and its default
// stand in DescentOptions.
struct DescentArgument {
    const char* name;
    void (*read)(DescentOptions& options, py::handle value, const char* name);
};

constexpr DescentArgument kArguments[] = {
    {"alpha",
     [](DescentOptions& options, py::handle value, const char* name) {
         options.alpha = checked_number<double>(value, name);
         if (!(options.alpha >= 0))
             throw py::value_error("alpha must be at least 0, got " + std::to_string(options.alpha));
     }},
    {"l1_ratio",
     [](DescentOptions& options, py::handle value, const char* name) {
         options.l1_ratio = checked_share(checked_number<double>(value, name), name, 0, 1);
     }},
    {"weight_decay", [](DescentOptions& options, py::handle value,
                        const char*) { options.weight_decay = checked_weight_decay(value); }},
    {"learning_rate_factors", read_rate_factors},
    {"clip_value", [](DescentOptions& options, py::handle value,
                      const char* name) { options.limits.value = checked_limit(value, name); }},
    {"clip_norm",
     [](DescentOptions& options, py::handle value, const char* name) {
         options.limits.adaptive = py::isinstance<py::str>(value);
         if (!options.limits.adaptive)
             options.limits.norm = checked_limit(value, name);
         else if (const auto text = py::cast<std::string>(value); text != "auto")
             throw py::value_error("clip_norm must be a number, 'auto' or None, got '" + text + "'");
     }},
    {"clip_layer_norm", [](DescentOptions& options, py::handle value,
                           const char* name) { options.limits.layer_norm = checked_limit(value, name); }},
    {"gradient_noise",
     [](DescentOptions& options, py::handle value, const char* name) {
         options.gradient_noise = checked_share(checked_number<double>(value, name), name, 0, kLargest);
     }},
    {"seed",
     [](DescentOptions& options, py::handle value, const char* name) {
         const auto seed = checked_number<uint64_t>(value, name);
         options.key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
     }},
    {"records", [](DescentOptions& options, py::handle value,
                   const char* name) { options.records = checked_flag(value, name); }},
};

using Sizes = std::vector<int64_t>;

// Of weights, biases, then each normalised layer's gamma and beta, then embeddings.
std::vector<Sizes> trained_shapes(const Spec& spec) {
    std::vector<Sizes> shapes;
    for (const Layer& l : spec.layers) shapes.push_back({l.in, l.out});
    for (const Layer& l : spec.layers) shapes.push_back({l.out});
    for (const Layer& l : spec.layers)
        if (l.normalized) shapes.insert(shapes.end(), 2, {l.out});
    for (const EmbeddingShape& e : spec.embeddings) shapes.push_back({e.categories, e.size});
    return shapes;
}

// Arrays of these shapes as a network's.
template <class T>
PlainArrays<T> arranged(const Spec& spec, const std::vector<T*>& pointers) {
    const size_t layers = spec.layers.size();
    PlainArrays<T> plain;
    plain.coefs.assign(pointers.begin(), pointers.begin() + static_cast<std::ptrdiff_t>(layers));
    plain.intercepts.assign(pointers.begin() + static_cast<std::ptrdiff_t>(layers),
                            pointers.begin() + static_cast<std::ptrdiff_t>(2 * layers));
    size_t next = 2 * layers;
    for (const Layer& l : spec.layers)
        for (auto* list : {&plain.gammas, &plain.betas})
            list->push_back(l.normalized ? pointers[next++] : nullptr);
    plain.embeddings.assign(pointers.begin() + static_cast<std::ptrdiff_t>(next), pointers.end());
    return plain;
}

}  // namespace

double checked_share(double value, const char* name, double least, double most) {
    if (!(value >= least && value <= most))
        throw py::value_error(std::string(name) + " must be from " + std::to_string(least) + " to " +
                              std::to_string(most) + ", got " + std::to_string(value));
    return value;
}

DescentOptions descent_options(Arguments& arguments) {
    DescentOptions options;
    for (const DescentArgument& argument : kArguments)
        if (py::object value; arguments.take_into(argument.name, value))
            argument.read(options, value, argument.name);
    const std::string rule = arguments.text("rule");
    const py::object params = arguments.take("rule_params");
    if (!py::isinstance<py::dict>(params))
        throw py::type_error("rule_params must be a dictionary, got " +
                             py::cast<std::string>(py::repr(params)));
    options.rule = rule_named(rule, py::reinterpret_borrow<py::dict>(params));
    return options;
}

double checked_weight_decay(py::handle value) {
    return checked_share(checked_number<double>(value, "weight_decay"), "weight_decay", 0, kLargest);
}

void check_rate_factors(const DescentOptions& options, const Spec& spec) {
    const size_t layers = spec.layers.size();
    const bool normalized = std::any_of(spec.layers.begin(), spec.layers.end(),
                                        [](const Layer& layer) { return layer.normalized; });
    for (size_t group = 0; group < kGroups; ++group) {
        const size_t count = options.rate_factors[group].size();
        if (count == 0) continue;
        const bool of_norms = group >= static_cast<size_t>(Group::gammas);
        const std::string label = factors_of("learning_rate_factors", kGroupNames[group]);
        if (of_norms && !normalized) throw py::value_error(label + " has no meaning without batch_norm");
        if (const size_t expected = of_norms ? layers - 1 : layers; count != expected)
            throw py::value_error(label + " must hold " + std::to_string(expected) + " numbers, got " +
                                  std::to_string(count));
    }
}

LearningRates checked_learning_rates(const py::object& learning_rate, int64_t steps, double& one) {
    if (py::isinstance<py::array>(learning_rate))
        return {checked<double>(learning_rate, "learning_rate", {steps}, Access::read), steps};
    one = checked_number<double>(learning_rate, "learning_rate");
    return {&one, 1};
}

template <class T>
StepHooks<T>::StepHooks(Arguments& arguments, Descent<T>& descent, const Spec& spec)
    : descent_(descent),
      spec_(spec),
      on_gradient_(taken(arguments, "on_gradient")),
      on_step_(taken(arguments, "on_step")) {
    if (!on_gradient_.is_none() || !on_step_.is_none()) gradients_ = this->arrays();
    if (!on_step_.is_none()) weights_ = this->arrays();
}

template <class T>
py::object StepHooks<T>::taken(Arguments& arguments, const char* name) const {
    py::object function = arguments.take(name, py::none());
    if (function.is_none()) return function;
    if (!PyCallable_Check(function.ptr()))
        throw py::type_error(std::string(name) + " must be callable or None, got " +
                             py::cast<std::string>(py::repr(function)));
    if (!spec_.embeddings.empty())
        throw py::value_error(std::string(name) + " is not supported for networks with embeddings");
    return function;
}

template <class T>
py::tuple StepHooks<T>::arrays() const {
    py::list arrays;
    for (const Sizes& shape : trained_shapes(spec_)) arrays.append(py::array_t<T>(shape));
    return py::tuple(arrays);
}

template <class T>
PlainArrays<T> StepHooks<T>::pointers(const py::tuple& arrays, const char* name) const {
    const std::vector<Sizes> shapes = trained_shapes(spec_);
    std::vector<T*> pointers;
    for (size_t i = 0; i < shapes.size(); ++i) {
        const Name label(name, i);
        const Sizes& shape = shapes[i];
        const py::object array = arrays[i];
        pointers.push_back(shape.size() == 2 ? checked<T>(array, label, {shape[0], shape[1]}, Access::write)
                                             : checked<T>(array, label, {shape[0]}, Access::write));
    }
    return arranged(spec_, pointers);
}

template <class T>
void StepHooks<T>::set(EpochOptions& options) {
    if (!on_gradient_.is_none())
        options.on_gradient = [this] {
            const py::gil_scoped_acquire acquired;
            descent_.get_gradient(pointers(gradients_, "gradients"));
            on_gradient_(py::list(gradients_));
            descent_.set_gradient(pointers(gradients_, "gradients"));
        };
    if (!on_step_.is_none())
        options.on_step = [this](double learning_rate, int64_t number) {
            const py::gil_scoped_acquire acquired;
            descent_.get_gradient(pointers(gradients_, "gradients"));
            descent_.get_weights(pointers(weights_, "weights"));
            on_step_(py::list(weights_), py::list(gradients_), learning_rate, number);
            descent_.set_weights(pointers(weights_, "weights"));
        };
}

template <class T>
py::dict descent_state(const Descent<T>& descent, const Spec& spec) {
    py::dict slots;
    const auto names = descent.options().rule.slots();
    for (size_t i = 0; i < names.size(); ++i) {
        py::list arrays;
        std::vector<T*> pointers;
        for (const Sizes& shape : trained_shapes(spec)) {
            py::array_t<T> copy(shape);
            pointers.push_back(copy.mutable_data());
            arrays.append(copy);
        }
        const PlainArrays<T> plain = arranged(spec, pointers);
        unpack(spec, descent.slot(i), plain);
        if (descent.embeddings()) descent.embeddings()->save_slot(i, plain);
        slots[names[i].name] = arrays;
    }
    py::dict state;
    state["step"] = descent.step;
    state["slots"] = slots;
    if (descent.options().limits.adaptive) {
        py::list norms;
        for (const double norm : descent.norms.norms()) norms.append(norm);
        state["norms"] = norms;
    }
    return state;
}

template <class T>
void load_descent_state(Descent<T>& descent, const Spec& spec, const py::dict& state) {
    if (!state.contains("step") || !state.contains("slots"))
        throw py::value_error("state must have 'step' and 'slots', as state_dict() returns them");
    const int64_t step = checked_number<int64_t>(state["step"], "state['step']");
    if (step < 0) throw py::value_error("state['step'] must be at least 0, got " + std::to_string(step));
    const auto slots = py::cast<py::dict>(state["slots"]);
    const auto names = descent.options().rule.slots();
    const std::vector<Sizes> shapes = trained_shapes(spec);
    std::vector<PlainArrays<T>> all;
    std::vector<py::tuple> lists;  // references of our own while they are read
    for (const Slot& slot : names) {
        const std::string name = slot.name;
        if (!slots.contains(slot.name))
            throw py::value_error("state['slots'] must have '" + name + "' for this rule");
        const py::tuple& arrays = lists.emplace_back(py::cast<py::sequence>(slots[slot.name]));
        const std::string label = "state['slots']['" + name + "']";
        if (arrays.size() != shapes.size())
            throw py::value_error(label + " must hold " + std::to_string(shapes.size()) + " arrays, got " +
                                  std::to_string(arrays.size()));
        std::vector<T*> pointers;
        for (size_t i = 0; i < arrays.size(); ++i) {
            const py::object array = arrays[i];
            const Name name(label.c_str(), i);
            pointers.push_back(shapes[i].size() == 2
                                   ? checked<T>(array, name, {shapes[i][0], shapes[i][1]}, Access::read)
                                   : checked<T>(array, name, {shapes[i][0]}, Access::read));
        }
        all.push_back(arranged(spec, pointers));
    }
    std::vector<double> norms;
    if (descent.options().limits.adaptive) {
        if (!state.contains("norms")) throw py::value_error("state must have 'norms' for clip_norm='auto'");
        for (const py::handle norm : py::cast<py::list>(state["norms"]))
            norms.push_back(checked_number<double>(norm, "state['norms']"));
        if (norms.size() > NormWindow::kSteps)
            throw py::value_error("state['norms'] must hold at most " + std::to_string(NormWindow::kSteps) +
                                  " norms");
    }
    descent.norms.restore(norms);
    for (size_t i = 0; i < names.size(); ++i) {
        pack<T>(spec, all[i], descent.slot(i));
        if (descent.embeddings()) descent.embeddings()->load_slot(i, all[i]);
    }
    descent.step = step;
}

template <class T>
py::object descent_records(const Descent<T>& descent) {
    if (!descent.options().records) return py::none();
    py::list norms, weights, ratios;
    for (const LayerRecord& layer : descent.records()) {
        norms.append(layer.gradient_norm);
        weights.append(layer.weight_norm);
        ratios.append(layer.update_ratio);
    }
    py::dict records;
    records["gradient_norm"] = norms;
    records["weight_norm"] = weights;
    records["update_ratio"] = ratios;
    return records;
}

#define GDFAST_INSTANTIATE(T)                                                    \
    template py::dict descent_state(const Descent<T>&, const Spec&);             \
    template void load_descent_state(Descent<T>&, const Spec&, const py::dict&); \
    template py::object descent_records(const Descent<T>&);                      \
    template class StepHooks<T>;
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)
#undef GDFAST_INSTANTIATE

}  // namespace gdfast
