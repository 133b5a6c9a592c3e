#include "bindings/sequences.h"

#include <utility>

#include "bindings/interruptible.h"
#include "kernels/dispatch.h"
#include "network/sequence_predict.h"
#include "network/team.h"

namespace gdfast {

template <class T>
RecurrentNetwork<T> checked_recurrent(const py::sequence& coefs, const py::sequence& intercepts, Cell cell,
                                      Access access) {
    const size_t matrices = coefs.size();
    if (matrices < 3 || matrices % 2 == 0)
        throw py::value_error("coefs must hold two arrays for each layer and one for the output, got " +
                              std::to_string(matrices));
    if (intercepts.size() != matrices)
        throw py::value_error("intercepts must hold as many arrays as coefs (" + std::to_string(matrices) +
                              "), got " + std::to_string(intercepts.size()));
    const int64_t gates = cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
    PlainArrays<T> arrays;
    std::vector<int64_t> hidden;
    int64_t inputs = kAny, fan_in = kAny, columns = kAny;
    for (size_t i = 0; i < matrices; ++i) {
        const Name name("coefs", i);
        const py::object coef = coefs[i], intercept = intercepts[i];
        const bool recurrent = i % 2 == 1;
        const int64_t units = recurrent ? columns / gates : kAny;
        arrays.coefs.push_back(recurrent ? checked<T>(coef, name, {units, columns}, access)
                                         : checked<T>(coef, name, {fan_in, kAny}, access));
        const auto array = py::reinterpret_borrow<py::array>(coef);
        columns = array.shape(1);
        if (array.size() == 0) throw py::value_error(name.str() + " must not be empty");
        if (i == 0) inputs = array.shape(0);
        if (!recurrent && i + 1 < matrices && columns % gates)
            throw py::value_error(name.str() + " must have " + std::to_string(gates) +
                                  " columns for each unit, got " + std::to_string(columns));
        if (recurrent) hidden.push_back(fan_in = units);
        arrays.intercepts.push_back(checked<T>(intercept, Name("intercepts", i), {columns}, access));
    }
    return {arrays, RecurrentSpec(cell, inputs, hidden, columns, kernels<T>().panel)};
}

namespace {

template <class T>
Sequences<T> checked_starts(const py::object& starts, const py::object& order) {
    Sequences<T> sequences;
    sequences.starts = checked<int64_t>(starts, "starts", {kAny}, Access::read);
    const int64_t count = py::reinterpret_borrow<py::array>(starts).size() - 1;
    bool good = count >= 0 && sequences.starts[0] == 0;
    for (int64_t i = 0; good && i < count; ++i) good = sequences.starts[i] < sequences.starts[i + 1];
    if (!good) throw py::value_error("starts must begin with 0 and rise: no sequence may be empty");
    sequences.sequences = count;
    sequences.order = checked_order(order, "order", count, sequences.count);
    return sequences;
}

}  // namespace

template <class T>
Sequences<T> checked_sequences(const py::object& x, const py::object& starts, const py::object& order,
                               const py::object& states, const RecurrentSpec& spec) {
    Sequences<T> sequences = checked_starts<T>(starts, order);
    sequences.x = checked_rows<T>(x, "X", spec.matrices.layers.front().in);
    const int64_t count = py::reinterpret_borrow<py::array>(starts).size() - 1;
    if (sequences.starts[count] != sequences.x.rows)
        throw py::value_error("starts must end with the number of rows of X, which is " +
                              std::to_string(sequences.x.rows) + ", got " +
                              std::to_string(sequences.starts[count]));
    if (states.is_none()) return sequences;
    const auto list = py::cast<py::sequence>(states);
    if (list.size() != spec.layers())
        throw py::value_error("states must hold one array for each of the " + std::to_string(spec.layers()) +
                              " layers, got " + std::to_string(list.size()));
    for (size_t l = 0; l < spec.layers(); ++l) {
        const py::object state = list[l];
        sequences.states.push_back(
            checked<T>(state, Name("states", l), {count, spec.state_units(l)}, Access::write));
        check_apart(state, Name("states", l), x, "X");
    }
    return sequences;
}

std::optional<Truncation> checked_truncation(const py::object& tbptt) {
    if (tbptt.is_none()) return std::nullopt;
    const auto pair = py::cast<py::sequence>(tbptt);
    if (pair.size() != 2) throw py::value_error("tbptt must be None or a pair (k1, k2)");
    const Truncation k{checked_number<int64_t>(pair[0], "tbptt[0]"),
                       checked_number<int64_t>(pair[1], "tbptt[1]")};
    if (k.k1 < 1 || k.k2 < k.k1)
        throw py::value_error("tbptt must be (k1, k2) with 1 <= k1 <= k2, got (" + std::to_string(k.k1) +
                              ", " + std::to_string(k.k2) + ")");
    return k;
}

namespace {

template <class T>
py::array forward_typed(const py::object& x, const py::object& starts, const py::tuple& coefs,
                        const py::tuple& intercepts, const std::string& cell, const std::string& output,
                        bool per_step, const py::object& order, const py::object& states, int n_threads) {
    const RecurrentNetwork<T> network =
        checked_recurrent<T>(coefs, intercepts, cell_named(cell), Access::read);
    const Output output_function = output_named(output);
    const Sequences<T> sequences = checked_sequences<T>(x, starts, order, states, network.spec);
    const int64_t rows = per_step ? sequences.x.rows : py::reinterpret_borrow<py::array>(starts).size() - 1;
    py::array_t<T> out({rows, network.spec.head().out});
    T* to = out.mutable_data();
    const int limit = thread_limit(n_threads);
    interruptible([&] {
        predict_sequences<T>(network.spec, network.arrays, sequences, per_step, output_function, to, limit);
    });
    return out;
}

py::array forward_any(const py::object& x, const py::object& starts, const py::sequence& coefs,
                      const py::sequence& intercepts, const std::string& cell, const std::string& output,
                      bool per_step, const py::object& order, const py::object& states, int n_threads) {
    if (coefs.size() == 0) throw py::value_error("coefs must hold at least one array");
    const auto typed =
        is_float32(py::object(coefs[0]), "coefs[0]") ? forward_typed<float> : forward_typed<double>;
    return typed(x, starts, held(coefs), held(intercepts), cell, output, per_step, order,
                 held_if_list(states), n_threads);
}

}  // namespace

void register_sequences(py::module_& m) {
    m.def("sequence_forward", forward_any, py::arg("X"), py::arg("starts"), py::arg("coefs"),
          py::arg("intercepts"), py::arg("cell"), py::arg("output"), py::kw_only(),
          py::arg("per_step") = false, py::arg("order") = py::none(), py::arg("states") = py::none(),
          py::arg("n_threads") = 0);
}

#define GDFAST_INSTANTIATE(T)                                                                               \
    template RecurrentNetwork<T> checked_recurrent(const py::sequence&, const py::sequence&, Cell, Access); \
    template Sequences<T> checked_sequences(const py::object&, const py::object&, const py::object&,        \
                                            const py::object&, const RecurrentSpec&);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)
#undef GDFAST_INSTANTIATE

}  // namespace gdfast
