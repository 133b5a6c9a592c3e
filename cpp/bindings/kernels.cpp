// The functions over plain arrays.
#include "bindings/arrays.h"
#include "kernels/dispatch.h"
#include "network/predict.h"
#include "network/team.h"
#include "training/gradient.h"
#include "training/rule.h"

namespace gdfast {

namespace {

Spec make_spec(const std::vector<int64_t>& units, const std::vector<ActivationFunction>& activations,
               bool float32) {
    return float32 ? Spec(units, activations, kernels<float>().panel, kernels<float>().lanes)
                   : Spec(units, activations, kernels<double>().panel, kernels<double>().lanes);
}

py::handle values_of(py::handle x) {
    if (!py::isinstance<py::tuple>(x)) return x;
    const auto triple = py::reinterpret_borrow<py::tuple>(x);
    return triple.size() ? triple[0] : py::handle(py::none());
}

template <class T>
py::array forward_typed(const py::object& x, const py::sequence& coefs, const py::sequence& intercepts,
                        const py::sequence& activations, const std::string& output, const py::object& rows,
                        const py::object& out, int n_threads) {
    const Network<T> network = checked_network<T>(coefs, intercepts, "weights", "biases", Access::read);
    const Spec spec =
        make_spec(network.units, activations_named(activations, network.units.size() - 2), sizeof(T) == 4);
    const Output output_function = output_named(output);
    const Rows<T> data = checked_rows<T>(x, "X", spec.inputs());
    int64_t count = 0;
    const int64_t* order = checked_order(rows, "rows", data.rows, count);
    py::array result;
    if (out.is_none()) {
        result = py::array_t<T>({count, spec.outputs()});
    } else {
        checked<T>(out, "out", {count, spec.outputs()}, Access::write);
        check_apart(out, "out", x, "X");
        check_apart(out, "out", rows, "rows");
        for (size_t i = 0; i < coefs.size(); ++i) {
            check_apart(out, "out", py::object(coefs[i]), Name("weights", i));
            check_apart(out, "out", py::object(intercepts[i]), Name("biases", i));
        }
        result = py::reinterpret_borrow<py::array>(out);
    }
    T* to = static_cast<T*>(result.mutable_data());
    const int limit = thread_limit(n_threads);
    {
        py::gil_scoped_release released;
        predict<T>(spec, network.arrays, data, order, count, output_function, to, limit);
    }
    return result;
}

py::array forward_any(const py::object& x, const py::sequence& coefs, const py::sequence& intercepts,
                      const py::sequence& activations, const std::string& output, const py::object& rows,
                      const py::object& out, int n_threads) {
    const auto typed = is_float32(values_of(x), "X") ? forward_typed<float> : forward_typed<double>;
    return typed(x, coefs, intercepts, activations, output, rows, out, n_threads);
}

template <class T>
double loss_and_grad_typed(const py::object& x, const py::object& y, const py::sequence& coefs,
                           const py::sequence& intercepts, const py::sequence& activations,
                           const py::object& loss, double alpha, const py::object& sample_weight,
                           const py::sequence& coef_grads, const py::sequence& intercept_grads,
                           int n_threads) {
    const Network<T> network = checked_network<T>(coefs, intercepts, "weights", "biases", Access::read);
    const Spec spec =
        make_spec(network.units, activations_named(activations, network.units.size() - 2), sizeof(T) == 4);
    const LossFunction<T> loss_function = loss_named<T>(loss, spec.outputs());
    const Network<T> gradient =
        checked_network<T>(coef_grads, intercept_grads, "out[0]", "out[1]", Access::write);
    if (gradient.units != network.units)
        throw py::value_error("out must hold arrays of the shapes of weights and biases");
    for (size_t i = 0; i < coefs.size(); ++i)
        for (size_t j = 0; j < coefs.size(); ++j) {
            check_apart(py::object(coef_grads[i]), Name("out[0]", i), py::object(coefs[j]),
                        Name("weights", j));
            check_apart(py::object(intercept_grads[i]), Name("out[1]", i), py::object(intercepts[j]),
                        Name("biases", j));
        }
    if (!(alpha >= 0)) throw py::value_error("alpha must be at least 0, got " + std::to_string(alpha));
    Data<T> data;
    data.x = checked_rows<T>(x, "X", spec.inputs());
    data.y = checked_targets<T>(y, loss_function.kind, data.x.rows, spec.outputs());
    data.count = data.x.rows;
    if (data.count == 0) throw py::value_error("X must have at least one row: the loss is a mean over rows");
    if (!sample_weight.is_none())
        data.weight = checked<T>(sample_weight, "sample_weight", {data.count}, Access::read);
    if (!(data.weight_sum(0, data.count) > 0))
        throw py::value_error("sample_weight must have a positive sum");
    const int limit = thread_limit(n_threads);
    py::gil_scoped_release released;
    return loss_and_gradient<T>(spec, network.arrays, data, loss_function, alpha, gradient.arrays, limit);
}

double loss_and_grad(const py::object& x, const py::object& y, const py::sequence& coefs,
                     const py::sequence& intercepts, const py::sequence& activations, const py::object& loss,
                     double alpha, const py::object& sample_weight, const py::sequence& coef_grads,
                     const py::sequence& intercept_grads, int n_threads) {
    const auto typed =
        is_float32(values_of(x), "X") ? loss_and_grad_typed<float> : loss_and_grad_typed<double>;
    return typed(x, y, coefs, intercepts, activations, loss, alpha, sample_weight, coef_grads,
                 intercept_grads, n_threads);
}

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
    T* states[2] = {nullptr, nullptr};
    for (size_t i = 0; i < slots.size(); ++i) {
        states[i] = checked_like<T>(values, slots[i].array, slots[i].name, Access::write);
        check_apart(slots[i].array, slots[i].name, param, "param");
        check_apart(slots[i].array, slots[i].name, grad, "grad");
        if (i > 0) check_apart(slots[i].array, slots[i].name, slots[0].array, slots[0].name);
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
        const auto from = [&](T* state) { return state ? state + mine.first : nullptr; };
        update(mine.count(), w + mine.first, g + mine.first, from(states[0]), from(states[1]), scalars);
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

void register_kernels(py::module_& m) {
    m.def("forward", forward_any, py::arg("X"), py::arg("coefs"), py::arg("intercepts"),
          py::arg("activations"), py::arg("output"), py::arg("rows") = py::none(),
          py::arg("out") = py::none(), py::arg("n_threads") = 0);
    m.def("loss_and_grad", loss_and_grad, py::arg("X"), py::arg("y"), py::arg("coefs"), py::arg("intercepts"),
          py::arg("activations"), py::arg("loss"), py::arg("alpha"), py::arg("sample_weight"),
          py::arg("coef_grads"), py::arg("intercept_grads"), py::arg("n_threads") = 0);
    m.def("sgd_update", sgd_update, py::arg("param"), py::arg("grad"), py::arg("velocity"), py::arg("lr"),
          py::arg("momentum"), py::arg("nesterov"), py::arg("weight_decay"), py::arg("lr_in_velocity"));
    m.def("adam_update", adam_update, py::arg("param"), py::arg("grad"), py::arg("m"), py::arg("v"),
          py::arg("step"), py::arg("lr"), py::arg("beta_1"), py::arg("beta_2"), py::arg("epsilon"),
          py::arg("eps_mode"), py::arg("weight_decay"));
}

}  // namespace gdfast
