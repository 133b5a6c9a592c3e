// Recurrent networks as Python sees them: a trainer, and the forward pass.
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/busy.h"
#include "bindings/descent.h"
#include "bindings/interruptible.h"
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
    throw py::value_error("cell must be one of 'elman_tanh', 'elman_relu', 'gru', 'lstm'; got '" + name +
                          "'");
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

class AnySequenceTrainer {
public:
    virtual ~AnySequenceTrainer() = default;
    virtual py::tuple run_epoch(const py::object& x, const py::object& starts, const py::object& y,
                                const py::object& order, const py::object& sample_weight,
                                const py::object& learning_rate, const py::object& states) = 0;
    virtual void load() = 0;
    virtual py::dict state_dict() = 0;
    virtual void load_state_dict(const py::dict& state) = 0;
    virtual py::object records() = 0;
    virtual int64_t step() = 0;
    virtual bool state_is_finite() = 0;
};

template <class T>
class TypedSequenceTrainer final : public AnySequenceTrainer {
public:
    TypedSequenceTrainer(const py::sequence& coefs, const py::sequence& intercepts, Cell cell,
                         const py::object& loss, bool per_step, std::optional<Truncation> tbptt,
                         const DescentOptions& options, int64_t batch_size, int n_threads)
        : lent_(coefs, intercepts, py::none()), n_threads_(n_threads) {
        const RecurrentSpec spec = checked_recurrent<T>(coefs, intercepts, cell, Access::write).spec;
        loss_ = loss_named<T>(loss, spec.head().out);
        const int limit = thread_limit(n_threads);
        interruptible([&] {
            trainer_ = std::make_unique<SequenceTrainer<T>>(spec, loss_, options, per_step, tbptt, batch_size,
                                                            limit);
        });
        load();
    }

    py::tuple run_epoch(const py::object& x, const py::object& starts, const py::object& y,
                        const py::object& order, const py::object& sample_weight,
                        const py::object& learning_rate, const py::object& states) override {
        const Busy busy(running_, "SequenceTrainer");
        const RecurrentSpec& spec = trainer_->network();
        SequenceData<T> data;
        data.sequences = checked_sequences<T>(x, starts, order, states, spec);
        const int64_t sequences = py::reinterpret_borrow<py::array>(starts).size() - 1;
        const int64_t terms = trainer_->per_step() ? data.sequences.x.rows : sequences;
        data.y = checked_targets<T>(y, loss_.kind, terms, spec.head().out);
        if (!sample_weight.is_none())
            data.weight = checked<T>(sample_weight, "sample_weight", {terms}, Access::read);
        const int64_t batches = divided_up(data.sequences.count, trainer_->batch_size());
        const int64_t updates = batches * trainer_->updates_of_batch(data.sequences);
        double rate = 0;
        EpochOptions options{};
        options.learning_rates = checked_learning_rates(learning_rate, updates, rate);
        // Read anew: the caller may have limited its threads meanwhile.
        options.thread_limit = thread_limit(n_threads_);
        return epoch_run(*trainer_, lent_, matrices(), [&] { return trainer_->run(data, options); });
    }

    void load() override {
        const Busy busy(running_, "SequenceTrainer");
        const PlainArrays<T> arrays = lent_.of(matrices());
        interruptible([&] { trainer_->load(arrays); });
    }

    py::dict state_dict() override {
        const Busy busy(running_, "SequenceTrainer");
        return descent_state<T>(trainer_->descent, matrices());
    }

    void load_state_dict(const py::dict& state) override {
        const Busy busy(running_, "SequenceTrainer");
        load_descent_state<T>(trainer_->descent, matrices(), state);
    }

    py::object records() override {
        const Busy busy(running_, "SequenceTrainer");
        return descent_records(trainer_->descent);
    }

    int64_t step() override {
        const Busy busy(running_, "SequenceTrainer");
        return trainer_->descent.step;
    }
    bool state_is_finite() override {
        const Busy busy(running_, "SequenceTrainer");
        return trainer_->descent.state_is_finite();
    }

private:
    const Spec& matrices() const { return trainer_->spec(); }

    const LentArrays<T> lent_;
    LossFunction<T> loss_;
    const int n_threads_;
    std::unique_ptr<SequenceTrainer<T>> trainer_;
    std::atomic<bool> running_{false};
};

std::unique_ptr<AnySequenceTrainer> make_trainer(
    const py::sequence& coefs, const py::sequence& intercepts, const std::string& cell,
    const py::object& loss, bool per_step, const py::object& tbptt, double alpha, double l1_ratio,
    double weight_decay, const py::object& clip_value, const py::object& clip_norm,
    const py::object& clip_layer_norm, double gradient_noise, uint64_t seed, bool records, int64_t batch_size,
    const std::string& rule, const py::dict& rule_params, int n_threads) {
    if (coefs.size() == 0) throw py::value_error("coefs must hold at least one array");
    if (batch_size < 1)
        throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
    if (n_threads < 0)
        throw py::value_error("n_threads must be at least 0, got " + std::to_string(n_threads));
    const DescentOptions options =
        descent_options(alpha, l1_ratio, weight_decay, clip_value, clip_norm, clip_layer_norm, gradient_noise,
                        seed, records, rule, rule_params);
    // Copies of the lists, not of the arrays: the caller may change its lists.
    const py::tuple own_coefs(coefs), own_intercepts(intercepts);
    const auto make = [&](auto zero) -> std::unique_ptr<AnySequenceTrainer> {
        return std::make_unique<TypedSequenceTrainer<decltype(zero)>>(
            own_coefs, own_intercepts, cell_named(cell), loss, per_step, checked_truncation(tbptt), options,
            batch_size, n_threads);
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
    return typed(x, starts, coefs, intercepts, cell, output, per_step, order, states, n_threads);
}

}  // namespace

void register_sequences(py::module_& m) {
    py::class_<AnySequenceTrainer>(m, "SequenceTrainer")
        .def(py::init(&make_trainer), py::arg("coefs"), py::arg("intercepts"), py::arg("cell"),
             py::arg("loss"), py::kw_only(), py::arg("per_step") = false, py::arg("tbptt") = py::none(),
             py::arg("alpha") = 0.0, py::arg("l1_ratio") = 0.0, py::arg("weight_decay") = 0.0,
             py::arg("clip_value") = py::none(), py::arg("clip_norm") = py::none(),
             py::arg("clip_layer_norm") = py::none(), py::arg("gradient_noise") = 0.0, py::arg("seed") = 0,
             py::arg("records") = false, py::arg("batch_size"), py::arg("rule"), py::arg("rule_params"),
             py::arg("n_threads") = 0)
        .def("run_epoch", &AnySequenceTrainer::run_epoch, py::arg("X"), py::arg("starts"), py::arg("y"),
             py::arg("order") = py::none(), py::arg("sample_weight") = py::none(), py::kw_only(),
             py::arg("learning_rate"), py::arg("states") = py::none())
        .def("load", &AnySequenceTrainer::load)
        .def("state_dict", &AnySequenceTrainer::state_dict)
        .def("load_state_dict", &AnySequenceTrainer::load_state_dict, py::arg("state"))
        .def_property_readonly("records", &AnySequenceTrainer::records)
        .def_property_readonly("step", &AnySequenceTrainer::step)
        .def_property_readonly("state_is_finite", &AnySequenceTrainer::state_is_finite);
    m.def("sequence_forward", forward_any, py::arg("X"), py::arg("starts"), py::arg("coefs"),
          py::arg("intercepts"), py::arg("cell"), py::arg("output"), py::kw_only(),
          py::arg("per_step") = false, py::arg("order") = py::none(), py::arg("states") = py::none(),
          py::arg("n_threads") = 0);
}

}  // namespace gdfast
