// Recurrent networks as Python sees them: a trainer, and the forward pass.
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/rules.h"
#include "kernels/dispatch.h"
#include "network/sequence_predict.h"
#include "network/team.h"
#include "training/sequence_trainer.h"

namespace gdfast {

namespace {

Cell cell_named(const std::string& name) {
    constexpr std::pair<const char*, Cell> cells[] = {{"elman_tanh", Cell::elman_tanh},
                                                      {"elman_relu", Cell::elman_relu},
                                                      {"gru", Cell::gru},
                                                      {"lstm", Cell::lstm}};
    for (const auto& cell : cells)
        if (name == cell.first) return cell.second;
    throw py::value_error("cell must be one of 'elman_tanh', 'elman_relu', 'gru', 'lstm'; got '" + name + "'");
}

// Of each recurrent layer the weights from below and from before, each with biases, and then the head's.
template <class T>
struct RecurrentNetwork {
    PlainArrays<T> arrays;
    RecurrentSpec spec;
};

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
    int64_t inputs = kAny, below = kAny, columns = kAny;
    for (size_t i = 0; i < matrices; ++i) {
        const Name name("coefs", i);
        const py::object coef = coefs[i], intercept = intercepts[i];
        const bool before = i % 2 == 1;
        const int64_t units = before ? columns / gates : kAny;
        arrays.coefs.push_back(before ? checked<T>(coef, name, {units, columns}, access)
                                      : checked<T>(coef, name, {below, kAny}, access));
        const auto array = py::reinterpret_borrow<py::array>(coef);
        columns = array.shape(1);
        if (array.size() == 0) throw py::value_error(name.str() + " must not be empty");
        if (i == 0) inputs = array.shape(0);
        if (!before && i + 1 < matrices && columns % gates)
            throw py::value_error(name.str() + " must have " + std::to_string(gates) +
                                  " columns for each unit, got " + std::to_string(columns));
        if (before) hidden.push_back(below = units);
        arrays.intercepts.push_back(checked<T>(intercept, Name("intercepts", i), {columns}, access));
    }
    return {arrays, RecurrentSpec(cell, inputs, hidden, columns, kernels<T>().panel)};
}

template <class T>
Sequences<T> checked_sequences(const py::object& x, const py::object& starts, const py::object& order,
                               const py::object& states, const RecurrentSpec& spec) {
    Sequences<T> sequences;
    sequences.x = checked_rows<T>(x, "X", spec.matrices.layers.front().in);
    sequences.starts = checked<int64_t>(starts, "starts", {kAny}, Access::read);
    const int64_t count = py::reinterpret_borrow<py::array>(starts).size() - 1;
    bool good = count >= 0 && sequences.starts[0] == 0 && sequences.starts[count] == sequences.x.rows;
    for (int64_t i = 0; good && i < count; ++i) good = sequences.starts[i] < sequences.starts[i + 1];
    if (!good)
        throw py::value_error("starts must rise from 0 to the number of rows of X, which is " +
                              std::to_string(sequences.x.rows) + "; no sequence may be empty");
    sequences.order = checked_order(order, "order", count, sequences.count);
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
    const Truncation k{checked_number<int64_t>(pair[0], "tbptt[0]"), checked_number<int64_t>(pair[1], "tbptt[1]")};
    if (k.k1 < 1 || k.k2 < k.k1)
        throw py::value_error("tbptt must be (k1, k2) with 1 <= k1 <= k2, got (" + std::to_string(k.k1) + ", " +
                              std::to_string(k.k2) + ")");
    return k;
}

class AnySequenceTrainer {
public:
    virtual ~AnySequenceTrainer() = default;
    virtual py::tuple run_epoch(const py::object& x, const py::object& starts, const py::object& y,
                                const py::object& order, const py::object& sample_weight, double learning_rate,
                                const py::object& states) = 0;
    virtual void load() = 0;
    virtual py::dict state_dict() = 0;
    virtual void load_state_dict(const py::dict& state) = 0;
};

template <class T>
class TypedSequenceTrainer final : public AnySequenceTrainer {
public:
    TypedSequenceTrainer(const py::list& coefs, const py::list& intercepts, Cell cell, const py::object& loss,
                         bool per_step, std::optional<Truncation> tbptt, const RuleSpec& rule, double alpha,
                         int64_t batch_size, int n_threads)
        : coefs_(coefs),
          intercepts_(intercepts),
          network_(checked_recurrent<T>(coefs, intercepts, cell, Access::write)),
          loss_(loss_named<T>(loss, network_.spec.head().out)),
          n_threads_(n_threads),
          trainer_(network_.spec, loss_, rule, alpha, per_step, tbptt, batch_size) {
        trainer_.load(network_.arrays);
    }

    py::tuple run_epoch(const py::object& x, const py::object& starts, const py::object& y,
                        const py::object& order, const py::object& sample_weight, double learning_rate,
                        const py::object& states) override {
        const Busy busy(running_);
        const RecurrentSpec& spec = trainer_.spec();
        SequenceData<T> data;
        data.sequences = checked_sequences<T>(x, starts, order, states, spec);
        const int64_t sequences = py::reinterpret_borrow<py::array>(starts).size() - 1;
        data.y = checked_targets<T>(y, loss_.kind, trainer_.per_step() ? data.sequences.x.rows : sequences,
                                    spec.head().out);
        if (!sample_weight.is_none())
            data.weight = checked<T>(sample_weight, "sample_weight", {sequences}, Access::read);
        const int limit = thread_limit(n_threads_);
        EpochResult result;
        bool finite;
        {
            py::gil_scoped_release released;
            result = trainer_.run(data, learning_rate, limit, [] {
                py::gil_scoped_acquire acquired;
                return PyErr_CheckSignals() != 0;
            });
            finite = trainer_.finite();
            if (finite) trainer_.save(network_.arrays);
        }
        if (result.interrupted) throw py::error_already_set();
        return py::make_tuple(result.loss, finite);
    }

    void load() override {
        const Busy busy(running_);
        trainer_.load(network_.arrays);
    }

    py::dict state_dict() override {
        const Busy busy(running_);
        py::dict slots;
        const auto names = trainer_.rule().slots();
        for (size_t i = 0; i < names.size(); ++i) {
            py::list arrays;
            PlainArrays<T> plain;
            const auto add = [&](const py::list& like, std::vector<T*>& pointers) {
                for (const py::handle item : like) {
                    const auto shape = py::reinterpret_borrow<py::array>(item);
                    py::array_t<T> copy(
                        std::vector<py::ssize_t>(shape.shape(), shape.shape() + shape.ndim()));
                    pointers.push_back(copy.mutable_data());
                    arrays.append(copy);
                }
            };
            add(coefs_, plain.coefs);
            add(intercepts_, plain.intercepts);
            unpack(trainer_.spec().matrices, trainer_.slot(i), plain);
            slots[names[i].c_str()] = arrays;
        }
        py::dict state;
        state["step"] = trainer_.step;
        state["slots"] = slots;
        return state;
    }

    void load_state_dict(const py::dict& state) override {
        const Busy busy(running_);
        if (!state.contains("step") || !state.contains("slots"))
            throw py::value_error("state must have 'step' and 'slots', as state_dict() returns them");
        const int64_t step = checked_number<int64_t>(state["step"], "state['step']");
        if (step < 0) throw py::value_error("state['step'] must be at least 0, got " + std::to_string(step));
        const auto slots = py::cast<py::dict>(state["slots"]);
        const auto names = trainer_.rule().slots();
        std::vector<PlainArrays<T>> all;
        for (const std::string& name : names) {
            if (!slots.contains(name.c_str()))
                throw py::value_error("state['slots'] must have '" + name + "' for this rule");
            const auto arrays = py::cast<py::list>(slots[name.c_str()]);
            const std::string label = "state['slots']['" + name + "']";
            if (arrays.size() != 2 * coefs_.size())
                throw py::value_error(label + " must hold " + std::to_string(2 * coefs_.size()) +
                                      " arrays, got " + std::to_string(arrays.size()));
            PlainArrays<T> plain;
            for (size_t i = 0; i < arrays.size(); ++i) {
                const bool weights = i < coefs_.size();
                const py::object like = weights ? coefs_[i] : intercepts_[i - coefs_.size()];
                (weights ? plain.coefs : plain.intercepts)
                    .push_back(checked_like<T>(py::reinterpret_borrow<py::array>(like), arrays[i],
                                               Name(label.c_str(), i), Access::read));
            }
            all.push_back(plain);
        }
        for (size_t i = 0; i < names.size(); ++i) pack<T>(trainer_.spec().matrices, all[i], trainer_.slot(i));
        trainer_.step = step;
    }

private:
    struct Busy {
        explicit Busy(std::atomic<bool>& flag) : flag(flag) {
            if (flag.exchange(true))
                throw std::runtime_error("this SequenceTrainer is already at work in another thread");
        }
        ~Busy() { flag = false; }
        std::atomic<bool>& flag;
    };

    const py::list coefs_, intercepts_;  // keep the caller's arrays alive
    const RecurrentNetwork<T> network_;
    const LossFunction<T> loss_;
    const int n_threads_;
    SequenceTrainer<T> trainer_;
    std::atomic<bool> running_{false};
};

std::unique_ptr<AnySequenceTrainer> make_trainer(const py::sequence& coefs, const py::sequence& intercepts,
                                                 const std::string& cell, const py::object& loss, bool per_step,
                                                 const py::object& tbptt, double alpha, int64_t batch_size,
                                                 const std::string& rule, const py::dict& rule_params,
                                                 int n_threads) {
    if (coefs.size() == 0) throw py::value_error("coefs must hold at least one array");
    if (batch_size < 1)
        throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
    if (!(alpha >= 0)) throw py::value_error("alpha must be at least 0, got " + std::to_string(alpha));
    if (n_threads < 0)
        throw py::value_error("n_threads must be at least 0, got " + std::to_string(n_threads));
    const py::list own_coefs(coefs), own_intercepts(intercepts);
    const auto make = [&](auto zero) -> std::unique_ptr<AnySequenceTrainer> {
        return std::make_unique<TypedSequenceTrainer<decltype(zero)>>(
            own_coefs, own_intercepts, cell_named(cell), loss, per_step, checked_truncation(tbptt),
            rule_named(rule, rule_params), alpha, batch_size, n_threads);
    };
    return is_float32(own_coefs[0], "coefs[0]") ? make(0.0f) : make(0.0);
}

template <class T>
py::array forward_typed(const py::object& x, const py::object& starts, const py::sequence& coefs,
                        const py::sequence& intercepts, const std::string& cell, const std::string& output,
                        bool per_step, const py::object& order, const py::object& states, int n_threads) {
    const RecurrentNetwork<T> network =
        checked_recurrent<T>(coefs, intercepts, cell_named(cell), Access::read);
    const Output output_function = output_named(output);
    const Sequences<T> sequences = checked_sequences<T>(x, starts, order, states, network.spec);
    const int64_t rows = per_step ? sequences.x.rows : py::reinterpret_borrow<py::array>(starts).size() - 1;
    py::array_t<T> out({rows, network.spec.head().out});
    T* to = out.mutable_data();
    const int limit = thread_limit(n_threads);
    {
        py::gil_scoped_release released;
        predict_sequences<T>(network.spec, network.arrays, sequences, per_step, output_function, to, limit);
    }
    return out;
}

py::array forward_any(const py::object& x, const py::object& starts, const py::sequence& coefs,
                      const py::sequence& intercepts, const std::string& cell, const std::string& output,
                      bool per_step, const py::object& order, const py::object& states, int n_threads) {
    if (coefs.size() == 0) throw py::value_error("coefs must hold at least one array");
    const auto typed = is_float32(py::object(coefs[0]), "coefs[0]") ? forward_typed<float> : forward_typed<double>;
    return typed(x, starts, coefs, intercepts, cell, output, per_step, order, states, n_threads);
}

}  // namespace

void register_sequences(py::module_& m) {
    py::class_<AnySequenceTrainer>(m, "SequenceTrainer")
        .def(py::init(&make_trainer), py::arg("coefs"), py::arg("intercepts"), py::arg("cell"), py::arg("loss"),
             py::kw_only(), py::arg("per_step") = false, py::arg("tbptt") = py::none(), py::arg("alpha") = 0.0,
             py::arg("batch_size"), py::arg("rule"), py::arg("rule_params"), py::arg("n_threads") = 0)
        .def("run_epoch", &AnySequenceTrainer::run_epoch, py::arg("X"), py::arg("starts"), py::arg("y"),
             py::arg("order") = py::none(), py::arg("sample_weight") = py::none(), py::kw_only(),
             py::arg("learning_rate"), py::arg("states") = py::none())
        .def("load", &AnySequenceTrainer::load)
        .def("state_dict", &AnySequenceTrainer::state_dict)
        .def("load_state_dict", &AnySequenceTrainer::load_state_dict, py::arg("state"));
    m.def("sequence_forward", forward_any, py::arg("X"), py::arg("starts"), py::arg("coefs"),
          py::arg("intercepts"), py::arg("cell"), py::arg("output"), py::kw_only(), py::arg("per_step") = false,
          py::arg("order") = py::none(), py::arg("states") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace gdfast
