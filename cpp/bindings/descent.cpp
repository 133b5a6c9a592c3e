#include "bindings/descent.h"

#include <limits>

#include "bindings/rules.h"

namespace gdfast {

namespace {

double checked_limit(const py::object& limit, const char* name) {
    if (limit.is_none()) return kNoLimit;
    const double value = checked_number<double>(limit, name);
    if (!(value > 0))
        throw py::value_error(std::string(name) + " must be positive, got " + std::to_string(value));
    return value;
}

using Sizes = std::vector<int64_t>;

// Of weights, biases, then each normalised layer's gamma and beta.
std::vector<Sizes> trained_shapes(const Spec& spec) {
    std::vector<Sizes> shapes;
    for (const Layer& l : spec.layers) shapes.push_back({l.in, l.out});
    for (const Layer& l : spec.layers) shapes.push_back({l.out});
    for (const Layer& l : spec.layers)
        if (l.normalized) shapes.insert(shapes.end(), 2, {l.out});
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
    return plain;
}

}  // namespace

double checked_share(double value, const char* name, double least, double most) {
    if (!(value >= least && value <= most))
        throw py::value_error(std::string(name) + " must be from " + std::to_string(least) + " to " +
                              std::to_string(most) + ", got " + std::to_string(value));
    return value;
}

DescentOptions descent_options(double alpha, double l1_ratio, double weight_decay,
                               const py::object& clip_value, const py::object& clip_norm,
                               const py::object& clip_layer_norm, double gradient_noise, uint64_t seed,
                               bool records, const std::string& rule, const py::dict& rule_params) {
    DescentOptions options;
    if (!(alpha >= 0)) throw py::value_error("alpha must be at least 0, got " + std::to_string(alpha));
    options.alpha = alpha;
    options.l1_ratio = checked_share(l1_ratio, "l1_ratio", 0, 1);
    options.weight_decay = checked_share(weight_decay, "weight_decay", 0, std::numeric_limits<double>::max());
    options.gradient_noise =
        checked_share(gradient_noise, "gradient_noise", 0, std::numeric_limits<double>::max());
    options.limits.value = checked_limit(clip_value, "clip_value");
    options.limits.layer_norm = checked_limit(clip_layer_norm, "clip_layer_norm");
    options.limits.adaptive = py::isinstance<py::str>(clip_norm);
    if (!options.limits.adaptive)
        options.limits.norm = checked_limit(clip_norm, "clip_norm");
    else if (py::cast<std::string>(clip_norm) != "auto")
        throw py::value_error("clip_norm must be a number, 'auto' or None, got '" +
                              py::cast<std::string>(clip_norm) + "'");
    options.key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    options.records = records;
    options.rule = rule_named(rule, rule_params);
    return options;
}

LearningRates checked_learning_rates(const py::object& learning_rate, int64_t steps, double& one) {
    if (py::isinstance<py::array>(learning_rate))
        return {checked<double>(learning_rate, "learning_rate", {steps}, Access::read), steps};
    one = checked_number<double>(learning_rate, "learning_rate");
    return {&one, 1};
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
        unpack(spec, descent.slot(i), arranged(spec, pointers));
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
    for (size_t i = 0; i < names.size(); ++i) pack<T>(spec, all[i], descent.slot(i));
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
    template py::object descent_records(const Descent<T>&);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast
