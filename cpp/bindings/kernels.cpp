// The functions of a network over plain arrays.
#include "bindings/arrays.h"
#include "bindings/interruptible.h"
#include "kernels/dispatch.h"
#include "network/predict.h"
#include "network/team.h"
#include "training/gradient.h"
#include "training/kronecker.h"

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

// Of each layer, the factor of its inputs and that of its deltas.
template <class T>
py::list kronecker_factors_typed(const py::object& x, const py::object& y, const py::tuple& coefs,
                                 const py::tuple& intercepts, const py::sequence& activations,
                                 const py::object& loss, const py::object& rows,
                                 const py::object& sample_weight, int n_threads) {
    const Network<T> network = checked_network<T>(coefs, intercepts, "weights", "biases", Access::read);
    const Spec spec =
        make_spec(network.units, activations_named(activations, network.units.size() - 2), sizeof(T) == 4);
    const LossFunction<T> loss_function = loss_named<T>(loss, spec.outputs());
    Data<T> data;
    data.x = checked_rows<T>(x, "X", spec.inputs());
    if (data.x.encoding && !data.x.encoding->embedded().empty())
        throw py::value_error("X has embedded columns, which have no Kronecker factors");
    if (data.x.sparse()) throw py::value_error("X must be dense: the factor of its inputs is");
    data.y = checked_targets<T>(y, loss_function.kind, data.x.rows, spec.outputs());
    data.order = checked_order(rows, "rows", data.x.rows, data.count);
    if (data.count == 0)
        throw py::value_error("X must have at least one row: the factors are means over rows");
    if (!sample_weight.is_none()) {
        data.weight = checked<T>(sample_weight, "sample_weight", {data.x.rows}, Access::read);
        for (int64_t i = 0; i < data.count; ++i)
            if (!(data.weight[data.row(i)] >= 0)) throw py::value_error("sample_weight must not be negative");
        if (data.weight_sum(0, data.count) == 0)
            throw py::value_error("sample_weight sums to zero: there is no mean over rows");
    }
    py::list pairs;
    KroneckerFactors<T> factors;
    for (const Layer& l : spec.layers) {
        py::array_t<T> inputs({l.in + 1, l.in + 1}), deltas({l.out, l.out});
        factors.inputs.push_back(inputs.mutable_data());
        factors.deltas.push_back(deltas.mutable_data());
        pairs.append(py::make_tuple(inputs, deltas));
    }
    const int limit = thread_limit(n_threads);
    interruptible([&] { kronecker_factors<T>(spec, network.arrays, data, loss_function, factors, limit); });
    return pairs;
}

py::list kronecker_factors_any(const py::object& x, const py::object& y, const py::sequence& coefs,
                               const py::sequence& intercepts, const py::sequence& activations,
                               const py::object& loss, const py::object& rows,
                               const py::object& sample_weight, int n_threads) {
    const auto typed =
        is_float32(values_of(x), "X") ? kronecker_factors_typed<float> : kronecker_factors_typed<double>;
    return typed(x, y, held(coefs), held(intercepts), activations, loss, rows, sample_weight, n_threads);
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
    m.def("kronecker_factors", kronecker_factors_any, py::arg("X"), py::arg("y"), py::arg("coefs"),
          py::arg("intercepts"), py::arg("activations"), py::arg("loss"), py::arg("rows") = py::none(),
          py::arg("sample_weight") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace gdfast
