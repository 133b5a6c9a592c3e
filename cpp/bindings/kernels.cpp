// The functions of a network over plain arrays.
#include "bindings/arrays.h"
#include "bindings/interruptible.h"
#include "kernels/dispatch.h"
#include "network/predict.h"
#include "network/team.h"
#include "training/curvature.h"
#include "training/gradient.h"
#include "training/jacobian.h"
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

// What a loss and its derivatives are computed from: the leading arguments of the functions below, checked.
template <class T>
struct LossArguments {
    Network<T> network;
    Spec spec;
    LossFunction<T> loss;
    double alpha;
    Data<T> data;

    LossArguments(const py::object& x, const py::object& y, const py::tuple& coefs,
                  const py::tuple& intercepts, const py::sequence& activations, const py::object& loss_entry,
                  double alpha, const py::object& sample_weight)
        : network(checked_network<T>(coefs, intercepts, "weights", "biases", Access::read)),
          spec(make_spec(network.units, activations_named(activations, network.units.size() - 2),
                         sizeof(T) == 4)),
          loss(loss_named<T>(loss_entry, spec.outputs())),
          alpha(alpha) {
        if (!(alpha >= 0)) throw py::value_error("alpha must be at least 0, got " + std::to_string(alpha));
        data.x = checked_rows<T>(x, "X", spec.inputs());
        if (data.x.encoding && !data.x.encoding->embedded().empty())
            throw py::value_error("X has embedded columns, which the loss is not differentiated by here");
        data.y = checked_targets<T>(y, loss.kind, data.x.rows, spec.outputs());
        data.count = data.x.rows;
        if (data.count == 0)
            throw py::value_error("X must have at least one row: the loss is a mean over rows");
        if (!sample_weight.is_none())
            data.weight = checked<T>(sample_weight, "sample_weight", {data.count}, Access::read);
        if (data.weight_sum(0, data.count) == 0)
            throw py::value_error("sample_weight sums to zero: there is no mean loss to differentiate");
    }

    // Arrays of the shapes of the weights and biases: (weights, biases) of the argument `name`.
    PlainArrays<T> checked_layers(const py::tuple& of_coefs, const py::tuple& of_intercepts, const char* name,
                                  Access access) const {
        const std::string part = name;
        const Network<T> layers = checked_network<T>(of_coefs, of_intercepts, (part + "[0]").c_str(),
                                                     (part + "[1]").c_str(), access);
        if (layers.units != network.units)
            throw py::value_error(part + " must hold arrays of the shapes of weights and biases");
        return layers.arrays;
    }

    CurvatureArguments<T> curvature(int n_threads) const {
        return {spec, network.arrays, data, loss, alpha, thread_limit(n_threads)};
    }
};

using NamedList = std::pair<const py::tuple&, const char*>;

// The arrays of `out` must not share memory with each other, nor with what is read.
void check_out_apart(const py::tuple& coefs, const py::tuple& intercepts, const py::object& x,
                     const py::object& y, const py::object& sample_weight,
                     std::initializer_list<NamedList> layers_read) {
    const auto add_layers = [](const NamedList& layers, std::vector<Span>& spans) {
        for (size_t i = 0; i < layers.first.size(); ++i)
            add_spans(py::object(layers.first[i]), Name(layers.second, i), spans);
    };
    std::vector<Span> written, read;
    add_layers({coefs, "out[0]"}, written);
    add_layers({intercepts, "out[1]"}, written);
    add_spans(x, "X", read);
    add_spans(y, "y", read);
    add_spans(sample_weight, "sample_weight", read);
    for (const NamedList& layers : layers_read) add_layers(layers, read);
    for (size_t i = 0; i < written.size(); ++i) {
        for (size_t j = 0; j < i; ++j) check_apart(written[i], written[j]);
        for (const Span& span : read) check_apart(written[i], span);
    }
}

template <class T>
double loss_and_grad_typed(const py::object& x, const py::object& y, const py::tuple& coefs,
                           const py::tuple& intercepts, const py::sequence& activations,
                           const py::object& loss, double alpha, const py::object& sample_weight,
                           const py::tuple& coef_grads, const py::tuple& intercept_grads, int n_threads) {
    const LossArguments<T> of(x, y, coefs, intercepts, activations, loss, alpha, sample_weight);
    const PlainArrays<T> gradient = of.checked_layers(coef_grads, intercept_grads, "out", Access::write);
    check_out_apart(coef_grads, intercept_grads, x, y, sample_weight,
                    {{coefs, "weights"}, {intercepts, "biases"}});
    const int limit = thread_limit(n_threads);
    double value = 0;
    interruptible([&] {
        value = loss_and_gradient<T>(of.spec, of.network.arrays, of.data, of.loss, alpha, gradient, limit);
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

// Products and diagonals, each by functions for both types.
template <class T>
using ProductFunction = void (*)(const CurvatureArguments<T>&, const ConstPlainArrays<T>&,
                                 const PlainArrays<T>&);
template <class T>
using DiagonalFunction = void (*)(const CurvatureArguments<T>&, const PlainArrays<T>&);

void check_not_straight(Loss loss) {
    if (loss == Loss::absolute_error || loss == Loss::quantile)
        throw py::value_error(
            "loss has no Gauss-Newton matrix: absolute_error and quantile are straight lines in the outputs, "
            "without second derivative. The Hessian and the Fisher diagonal are defined for them.");
}

template <class T, ProductFunction<T> function, bool gauss_newton>
void product_typed(const py::object& x, const py::object& y, const py::tuple& coefs,
                   const py::tuple& intercepts, const py::sequence& activations, const py::object& loss,
                   double alpha, const py::object& sample_weight, const py::tuple& coef_direction,
                   const py::tuple& intercept_direction, const py::tuple& coef_products,
                   const py::tuple& intercept_products, int n_threads) {
    const LossArguments<T> of(x, y, coefs, intercepts, activations, loss, alpha, sample_weight);
    if (gauss_newton) check_not_straight(of.loss.kind);
    const PlainArrays<T> direction =
        of.checked_layers(coef_direction, intercept_direction, "direction", Access::read);
    const PlainArrays<T> product = of.checked_layers(coef_products, intercept_products, "out", Access::write);
    check_out_apart(coef_products, intercept_products, x, y, sample_weight,
                    {{coefs, "weights"},
                     {intercepts, "biases"},
                     {coef_direction, "direction[0]"},
                     {intercept_direction, "direction[1]"}});
    const CurvatureArguments<T> arguments = of.curvature(n_threads);
    const ConstPlainArrays<T> along = direction;
    interruptible([&] { function(arguments, along, product); });
}

template <ProductFunction<float> of_float, ProductFunction<double> of_double, bool gauss_newton>
void product(const py::object& x, const py::object& y, const py::sequence& coefs,
             const py::sequence& intercepts, const py::sequence& activations, const py::object& loss,
             double alpha, const py::object& sample_weight, const py::sequence& coef_direction,
             const py::sequence& intercept_direction, const py::sequence& coef_products,
             const py::sequence& intercept_products, int n_threads) {
    const auto typed = is_float32(values_of(x), "X") ? product_typed<float, of_float, gauss_newton>
                                                     : product_typed<double, of_double, gauss_newton>;
    typed(x, y, held(coefs), held(intercepts), activations, loss, alpha, sample_weight, held(coef_direction),
          held(intercept_direction), held(coef_products), held(intercept_products), n_threads);
}

template <class T, DiagonalFunction<T> function, bool gauss_newton>
void diagonal_typed(const py::object& x, const py::object& y, const py::tuple& coefs,
                    const py::tuple& intercepts, const py::sequence& activations, const py::object& loss,
                    double alpha, const py::object& sample_weight, const py::tuple& coef_diagonals,
                    const py::tuple& intercept_diagonals, int n_threads) {
    const LossArguments<T> of(x, y, coefs, intercepts, activations, loss, alpha, sample_weight);
    if (gauss_newton) check_not_straight(of.loss.kind);
    const PlainArrays<T> diagonal =
        of.checked_layers(coef_diagonals, intercept_diagonals, "out", Access::write);
    check_out_apart(coef_diagonals, intercept_diagonals, x, y, sample_weight,
                    {{coefs, "weights"}, {intercepts, "biases"}});
    const CurvatureArguments<T> arguments = of.curvature(n_threads);
    interruptible([&] { function(arguments, diagonal); });
}

template <DiagonalFunction<float> of_float, DiagonalFunction<double> of_double, bool gauss_newton>
void diagonal(const py::object& x, const py::object& y, const py::sequence& coefs,
              const py::sequence& intercepts, const py::sequence& activations, const py::object& loss,
              double alpha, const py::object& sample_weight, const py::sequence& coef_diagonals,
              const py::sequence& intercept_diagonals, int n_threads) {
    const auto typed = is_float32(values_of(x), "X") ? diagonal_typed<float, of_float, gauss_newton>
                                                     : diagonal_typed<double, of_double, gauss_newton>;
    typed(x, y, held(coefs), held(intercepts), activations, loss, alpha, sample_weight, held(coef_diagonals),
          held(intercept_diagonals), n_threads);
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
    m.def("jacobian", jacobian_any, py::arg("X"), py::arg("coefs"), py::arg("intercepts"),
          py::arg("activations"), py::arg("output"), py::arg("out") = py::none(), py::arg("n_threads") = 0);
    m.def("gauss_newton_matrix", gauss_newton_matrix_any, py::arg("X"), py::arg("coefs"),
          py::arg("intercepts"), py::arg("activations"), py::arg("sample_weight"), py::arg("out"),
          py::arg("n_threads") = 0);
    const auto define_product = [&](const char* name, auto function) {
        m.def(name, function, py::arg("X"), py::arg("y"), py::arg("coefs"), py::arg("intercepts"),
              py::arg("activations"), py::arg("loss"), py::arg("alpha"), py::arg("sample_weight"),
              py::arg("coef_direction"), py::arg("intercept_direction"), py::arg("coef_products"),
              py::arg("intercept_products"), py::arg("n_threads") = 0);
    };
    define_product("hessian_vector_product", product<hessian_product, hessian_product, false>);
    define_product("gauss_newton_vector_product", product<gauss_newton_product, gauss_newton_product, true>);
    const auto define_diagonal = [&](const char* name, auto function) {
        m.def(name, function, py::arg("X"), py::arg("y"), py::arg("coefs"), py::arg("intercepts"),
              py::arg("activations"), py::arg("loss"), py::arg("alpha"), py::arg("sample_weight"),
              py::arg("coef_diagonals"), py::arg("intercept_diagonals"), py::arg("n_threads") = 0);
    };
    define_diagonal("gauss_newton_diagonal", diagonal<gauss_newton_diagonal, gauss_newton_diagonal, true>);
    define_diagonal("fisher_diagonal", diagonal<fisher_diagonal, fisher_diagonal, false>);
    m.def("kronecker_factors", kronecker_factors_any, py::arg("X"), py::arg("y"), py::arg("coefs"),
          py::arg("intercepts"), py::arg("activations"), py::arg("loss"), py::arg("rows") = py::none(),
          py::arg("sample_weight") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace gdfast
