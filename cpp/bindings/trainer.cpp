// Trainer as Python sees it: one class for both element types.
#include "training/trainer.h"

#include <atomic>
#include <memory>

#include "bindings/arrays.h"
#include "bindings/rules.h"
#include "kernels/dispatch.h"

namespace gdfast {

namespace {

class AnyTrainer {
public:
    virtual ~AnyTrainer() = default;
    virtual py::tuple run_epoch(const py::object& x, const py::object& y, const py::object& order,
                                const py::object& sample_weight, double learning_rate) = 0;
    virtual void load() = 0;
    virtual py::dict state_dict() = 0;
    virtual void load_state_dict(const py::dict& state) = 0;
    virtual int threads() const = 0;
};

template <class T>
class TypedTrainer final : public AnyTrainer {
public:
    TypedTrainer(const py::list& coefs, const py::list& intercepts, const py::sequence& activations,
                 const py::object& loss, const RuleSpec& rule, double alpha, int64_t batch_size,
                 int n_threads)
        : coefs_(coefs),
          intercepts_(intercepts),
          network_(checked_network<T>(coefs, intercepts, "coefs", "intercepts", Access::write)),
          loss_(loss_named<T>(loss, network_.units.back())),
          n_threads_(n_threads),
          trainer_(Spec(network_.units, activations_named(activations, network_.units.size() - 2),
                        kernels<T>().panel, kernels<T>().lanes),
                   loss_, rule, alpha, batch_size, thread_limit(n_threads)) {
        trainer_.load(network_.arrays);
    }

    py::tuple run_epoch(const py::object& x, const py::object& y, const py::object& order,
                        const py::object& sample_weight, double learning_rate) override {
        const Busy busy(running_);
        Data<T> data;
        data.x = checked_rows<T>(x, "X", trainer_.spec().inputs());
        data.y = checked_targets<T>(y, loss_.kind, data.x.rows, trainer_.spec().outputs());
        data.order = checked_order(order, "order", data.x.rows, data.count);
        if (!sample_weight.is_none())
            data.weight = checked<T>(sample_weight, "sample_weight", {data.x.rows}, Access::read);
        // Read anew: the caller may have limited its threads meanwhile.
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
            unpack(trainer_.spec(), trainer_.slot(i), plain);
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
            py::list weights, biases;
            for (size_t i = 0; i < arrays.size(); ++i)
                (i < coefs_.size() ? weights : biases).append(arrays[i]);
            const Network<T> slot =
                checked_network<T>(weights, biases, label.c_str(), label.c_str(), Access::read);
            if (slot.units != network_.units)
                throw py::value_error(label + " must have the shapes of the network's weights and biases");
            all.push_back(slot.arrays);
        }
        for (size_t i = 0; i < names.size(); ++i) pack<T>(trainer_.spec(), all[i], trainer_.slot(i));
        trainer_.step = step;
    }

    int threads() const override { return trainer_.threads(); }

private:
    // The GIL is released while an epoch runs: a second thread must not come in by the same trainer.
    struct Busy {
        explicit Busy(std::atomic<bool>& flag) : flag(flag) {
            if (flag.exchange(true))
                throw std::runtime_error("this Trainer is already at work in another thread");
        }
        ~Busy() { flag = false; }
        std::atomic<bool>& flag;
    };

    const py::list coefs_, intercepts_;  // keep the caller's arrays alive
    const Network<T> network_;
    const LossFunction<T> loss_;
    const int n_threads_;
    Trainer<T> trainer_;
    std::atomic<bool> running_{false};
};

std::unique_ptr<AnyTrainer> make_trainer(const py::sequence& coefs, const py::sequence& intercepts,
                                         const py::sequence& activations, const py::object& loss,
                                         double alpha, int64_t batch_size, const std::string& rule,
                                         const py::dict& rule_params, int n_threads) {
    if (coefs.size() == 0) throw py::value_error("coefs must hold at least one array");
    if (batch_size < 1)
        throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
    if (!(alpha >= 0)) throw py::value_error("alpha must be at least 0, got " + std::to_string(alpha));
    if (n_threads < 0)
        throw py::value_error("n_threads must be at least 0, got " + std::to_string(n_threads));
    const RuleSpec spec = rule_named(rule, rule_params);
    // Copies of the lists, not of the arrays: the caller may change its lists.
    const py::list own_coefs(coefs), own_intercepts(intercepts);
    if (is_float32(own_coefs[0], "coefs[0]"))
        return std::make_unique<TypedTrainer<float>>(own_coefs, own_intercepts, activations, loss, spec,
                                                     alpha, batch_size, n_threads);
    return std::make_unique<TypedTrainer<double>>(own_coefs, own_intercepts, activations, loss, spec, alpha,
                                                  batch_size, n_threads);
}

}  // namespace

void register_trainer(py::module_& m) {
    py::class_<AnyTrainer>(m, "Trainer")
        .def(py::init(&make_trainer), py::arg("coefs"), py::arg("intercepts"), py::arg("activations"),
             py::arg("loss"), py::kw_only(), py::arg("alpha") = 0.0, py::arg("batch_size"), py::arg("rule"),
             py::arg("rule_params"), py::arg("n_threads") = 0)
        .def("run_epoch", &AnyTrainer::run_epoch, py::arg("X"), py::arg("y"), py::arg("order") = py::none(),
             py::arg("sample_weight") = py::none(), py::kw_only(), py::arg("learning_rate"))
        .def("load", &AnyTrainer::load)
        .def("state_dict", &AnyTrainer::state_dict)
        .def("load_state_dict", &AnyTrainer::load_state_dict, py::arg("state"))
        .def_property_readonly("n_threads", &AnyTrainer::threads);
}

}  // namespace gdfast
