// The functions of a network over plain arrays.
#include "bindings/arrays.h"
#include "bindings/interruptible.h"
#include "kernels/dispatch.h"
#include "network/predict.h"
#include "network/team.h"
#include "training/gradient.h"
#include "training/jacobian.h"

namespace gdfast {

namespace {

Spec make_spec(const std::vector<int64_t>& units, const std::vector<ActivationFunction>& activations,
               bool float32, const std::vector<bool>& normalized = {}) {
    return float32 ? Spec(units, activations, kernels<float>().panel, kernels<float>().lanes, normalized)
                   : Spec(units, activations, kernels<double>().panel, kernels<double>().lanes, normalized);
}

py::handle values_of(py::handle x) {
    if (!py::isinstance<py::tuple>(x)) return x;
    const auto triple = py::reinterpret_borrow<py::tuple>(x);
    return triple.size() ? triple[0] : py::handle(py::none());
}

template <class T>
py::object forward_typed(const py::object& x, const py::tuple& coefs, const py::tuple& intercepts,
                         const py::sequence& activations, const std::string& output, const py::object& rows,
                         const py::object& out, int n_threads, const py::object& batch_norm,
                         double bn_epsilon, const py::object& embeddings, bool check_finite) {
    Network<T> network = checked_network<T>(coefs, intercepts, "weights", "biases", Access::read);
    const std::vector<bool> normalized = add_norms(batch_norm, network, Access::read);
    const Spec spec = make_spec(network.units, activations_named(activations, network.units.size() - 2),
                                sizeof(T) == 4, normalized);
    const Output output_function = output_named(output);
    Rows<T> data = checked_rows<T>(x, "X", spec.inputs());
    const std::vector<EmbeddingShape> shapes = add_embeddings(embeddings, network.arrays, Access::read);
    if (data.encoding) check_embedded(*data.encoding, shapes);
    const std::vector<EmbeddingRows<T>> embedding_rows = rows_of<T>(network.arrays, shapes);
    data.embeddings = embedding_rows.data();
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
        for (size_t i = 0; i < shapes.size(); ++i)
            check_apart(out, "out", py::object(embeddings[py::int_(i)]), Name("embeddings", i));
        result = py::reinterpret_borrow<py::array>(out);
    }
    T* to = static_cast<T*>(result.mutable_data());
    const int limit = thread_limit(n_threads);
    bool finite = false;
    interruptible([&] {
        finite = predict<T>(spec, network.arrays, data, order, count, output_function, bn_epsilon,
                            check_finite, to, limit);
    });
    if (!finite) return py::none();
    return result;
}

// With check_finite, None where X is not finite.
template <bool check_finite>
py::object forward_any(const py::object& x, const py::sequence& coefs, const py::sequence& intercepts,
                       const py::sequence& activations, const std::string& output, const py::object& rows,
                       const py::object& out, int n_threads, const py::object& batch_norm, double bn_epsilon,
                       const py::object& embeddings) {
    const auto typed = is_float32(values_of(x), "X") ? forward_typed<float> : forward_typed<double>;
    return typed(x, held(coefs), held(intercepts), activations, output, rows, out, n_threads,
                 held_if_list(batch_norm), bn_epsilon, held_if_list(embeddings), check_finite);
}

template <class T>
double loss_and_grad_typed(const py::object& x, const py::object& y, const py::tuple& coefs,
                           const py::tuple& intercepts, const py::sequence& activations,
                           const py::object& loss, double alpha, const py::object& sample_weight,
                           const py::tuple& coef_grads, const py::tuple& intercept_grads, int n_threads) {
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
    if (data.x.encoding && !data.x.encoding->embedded().empty())
        throw py::value_error("X has embedded columns, which loss_and_grad has no gradient for");
    data.y = checked_targets<T>(y, loss_function.kind, data.x.rows, spec.outputs());
    data.count = data.x.rows;
    if (data.count == 0) throw py::value_error("X must have at least one row: the loss is a mean over rows");
    if (!sample_weight.is_none())
        data.weight = checked<T>(sample_weight, "sample_weight", {data.count}, Access::read);
    if (data.weight_sum(0, data.count) == 0)
        throw py::value_error("sample_weight sums to zero: there is no mean loss to take the gradient of");
    const int limit = thread_limit(n_threads);
    double value = 0;
    interruptible([&] {
        value =
            loss_and_gradient<T>(spec, network.arrays, data, loss_function, alpha, gradient.arrays, limit);
    });
    return value;
}

double loss_and_grad(const py::object& x, const py::object& y, const py::sequence& coefs,
                     const py::sequence& intercepts, const py::sequence& activations, const py::object& loss,
                     double alpha, const py::object& sample_weight, const py::sequence& coef_grads,
                     const py::sequence& intercept_grads, int n_threads) {
    const auto typed =
        is_float32(values_of(x), "X") ? loss_and_grad_typed<float> : loss_and_grad_typed<double>;
    return typed(x, y, held(coefs), held(intercepts), activations, loss, alpha, sample_weight,
                 held(coef_grads), held(intercept_grads), n_threads);
}

template <class T>
struct Given {
    Network<T> network;
    Spec spec;
    Rows<T> rows;
};

// The network and the rows of a function that differentiates its outputs.
template <class T>
Given<T> given(const char* function, const py::object& x, const py::tuple& coefs, const py::tuple& intercepts,
               const py::sequence& activations) {
    Network<T> network = checked_network<T>(coefs, intercepts, "weights", "biases", Access::read);
    Spec spec =
        make_spec(network.units, activations_named(activations, network.units.size() - 2), sizeof(T) == 4);
    Rows<T> rows = checked_rows<T>(x, "X", spec.inputs());
    if (rows.encoding && !rows.encoding->embedded().empty())
        throw py::value_error(std::string("X has embedded columns, which ") + function +
                              " has no derivatives for");
    return {std::move(network), std::move(spec), rows};
}

void check_apart_from_inputs(const py::object& out, const py::object& x, const py::tuple& coefs,
                             const py::tuple& intercepts) {
    check_apart(out, "out", x, "X");
    for (size_t i = 0; i < coefs.size(); ++i) {
        check_apart(out, "out", py::object(coefs[i]), Name("weights", i));
        check_apart(out, "out", py::object(intercepts[i]), Name("biases", i));
    }
}

template <class T>
py::object jacobian_typed(const py::object& x, const py::tuple& coefs, const py::tuple& intercepts,
                          const py::sequence& activations, const std::string& output, const py::object& out,
                          int n_threads) {
    const Given<T> g = given<T>("jacobian", x, coefs, intercepts, activations);
    const Output output_function = output_named(output);
    const int64_t outputs = g.spec.outputs(), n = parameter_count(g.spec);
    checked_product(checked_product(g.rows.rows, outputs), checked_product(n, sizeof(T)));
    py::object result = out;
    if (out.is_none()) result = py::array_t<T>({g.rows.rows, outputs, n});
    T* to = checked<T>(result, "out", {g.rows.rows, outputs, n}, Access::write);
    check_apart_from_inputs(result, x, coefs, intercepts);
    const int limit = thread_limit(n_threads);
    interruptible([&] { jacobian<T>(g.spec, g.network.arrays, g.rows, output_function, to, limit); });
    return result;
}

py::object jacobian_any(const py::object& x, const py::sequence& coefs, const py::sequence& intercepts,
                        const py::sequence& activations, const std::string& output, const py::object& out,
                        int n_threads) {
    const auto typed = is_float32(values_of(x), "X") ? jacobian_typed<float> : jacobian_typed<double>;
    return typed(x, held(coefs), held(intercepts), activations, output, out, n_threads);
}

template <class T>
void gauss_newton_matrix_typed(const py::object& x, const py::tuple& coefs, const py::tuple& intercepts,
                               const py::sequence& activations, const py::object& sample_weight,
                               const py::object& out, int n_threads) {
    const Given<T> g = given<T>("gauss_newton_matrix", x, coefs, intercepts, activations);
    if (g.rows.rows == 0) throw py::value_error("X must have at least one row");
    const T* weight = nullptr;
    if (!sample_weight.is_none())
        weight = checked<T>(sample_weight, "sample_weight", {g.rows.rows}, Access::read);
    const int64_t n = parameter_count(g.spec);
    double* to = checked<double>(out, "out", {n, n}, Access::write);
    check_apart_from_inputs(out, x, coefs, intercepts);
    check_apart(out, "out", sample_weight, "sample_weight");
    const int limit = thread_limit(n_threads);
    interruptible([&] { gauss_newton_matrix<T>(g.spec, g.network.arrays, g.rows, weight, to, limit); });
}

void gauss_newton_matrix_any(const py::object& x, const py::sequence& coefs, const py::sequence& intercepts,
                             const py::sequence& activations, const py::object& sample_weight,
                             const py::object& out, int n_threads) {
    const auto typed =
        is_float32(values_of(x), "X") ? gauss_newton_matrix_typed<float> : gauss_newton_matrix_typed<double>;
    typed(x, held(coefs), held(intercepts), activations, sample_weight, out, n_threads);
}

}  // namespace

void register_kernels(py::module_& m) {
    const auto define_forward = [&](const char* name, auto function) {
        m.def(name, function, py::arg("X"), py::arg("coefs"), py::arg("intercepts"), py::arg("activations"),
              py::arg("output"), py::arg("rows") = py::none(), py::arg("out") = py::none(),
              py::arg("n_threads") = 0, py::arg("batch_norm") = py::none(), py::arg("bn_epsilon") = 1e-5,
              py::arg("embeddings") = py::none());
    };
    define_forward("forward", forward_any<false>);
    define_forward("forward_if_finite", forward_any<true>);
    m.def("loss_and_grad", loss_and_grad, py::arg("X"), py::arg("y"), py::arg("coefs"), py::arg("intercepts"),
          py::arg("activations"), py::arg("loss"), py::arg("alpha"), py::arg("sample_weight"),
          py::arg("coef_grads"), py::arg("intercept_grads"), py::arg("n_threads") = 0);
    m.def("jacobian", jacobian_any, py::arg("X"), py::arg("coefs"), py::arg("intercepts"),
          py::arg("activations"), py::arg("output"), py::arg("out") = py::none(), py::arg("n_threads") = 0);
    m.def("gauss_newton_matrix", gauss_newton_matrix_any, py::arg("X"), py::arg("coefs"),
          py::arg("intercepts"), py::arg("activations"), py::arg("sample_weight"), py::arg("out"),
          py::arg("n_threads") = 0);
}

}  // namespace gdfast
