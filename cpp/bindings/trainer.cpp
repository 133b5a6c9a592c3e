// Trainer as Python sees it: one class for both element types.
#include "training/trainer.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "bindings/arrays.h"
#include "bindings/busy.h"
#include "bindings/descent.h"
#include "bindings/interruptible.h"
#include "kernels/dispatch.h"

namespace gdfast {

namespace {

class AnyTrainer {
public:
    virtual ~AnyTrainer() = default;
    virtual py::tuple run_epoch(const py::object& x, const py::object& y, const py::object& order,
                                const py::object& sample_weight, const py::object& learning_rate,
                                const py::object& backprop_depth) = 0;
    virtual void load() = 0;
    virtual py::dict state_dict() = 0;
    virtual void load_state_dict(const py::dict& state) = 0;
    virtual py::object records() = 0;
    virtual int64_t step() = 0;
    virtual bool state_is_finite() = 0;
    virtual int threads() const = 0;
};

template <class T>
class TypedTrainer final : public AnyTrainer {
public:
    TypedTrainer(const py::sequence& coefs, const py::sequence& intercepts, const py::sequence& activations,
                 const py::object& loss, const DescentOptions& options, const std::vector<double>& dropout,
                 const py::object& batch_norm, const NormOptions& norm, int64_t batch_size, int n_threads)
        : lent_(coefs, intercepts, batch_norm), n_threads_(n_threads) {
        Network<T> network = checked_network<T>(coefs, intercepts, "coefs", "intercepts", Access::write);
        const std::vector<bool> normalized = add_norms(batch_norm, network, Access::write);
        loss_ = loss_named<T>(loss, network.units.back());
        const Spec spec(network.units, activations_named(activations, network.units.size() - 2),
                        kernels<T>().panel, kernels<T>().lanes, normalized);
        const int limit = thread_limit(n_threads);
        interruptible([&] {
            trainer_ = std::make_unique<Trainer<T>>(spec, loss_, options, dropout, norm, batch_size, limit);
        });
        load();
    }

    py::tuple run_epoch(const py::object& x, const py::object& y, const py::object& order,
                        const py::object& sample_weight, const py::object& learning_rate,
                        const py::object& backprop_depth) override {
        const Busy busy(running_, "Trainer");
        Data<T> data;
        data.x = checked_rows<T>(x, "X", trainer_->spec().inputs());
        data.y = checked_targets<T>(y, loss_.kind, data.x.rows, trainer_->spec().outputs());
        data.order = checked_order(order, "order", data.x.rows, data.count);
        if (!sample_weight.is_none())
            data.weight = checked<T>(sample_weight, "sample_weight", {data.x.rows}, Access::read);
        double rate = 0;
        EpochOptions options{};
        const int64_t batches = divided_up(data.count, trainer_->batch_size());
        options.learning_rates = checked_learning_rates(learning_rate, batches, rate);
        const auto layers = static_cast<int64_t>(spec().layers.size());
        const int64_t depth =
            backprop_depth.is_none() ? layers : checked_number<int64_t>(backprop_depth, "backprop_depth");
        if (depth < 1 || depth > layers)
            throw py::value_error("backprop_depth must be from 1 to the number of layers, " +
                                  std::to_string(layers) + ", got " + std::to_string(depth));
        options.first_layer = static_cast<int>(layers - depth);
        // Read anew: the caller may have limited its threads meanwhile.
        options.thread_limit = thread_limit(n_threads_);
        return epoch_run(*trainer_, lent_, spec(), [&] { return trainer_->run(data, options); });
    }

    void load() override {
        const Busy busy(running_, "Trainer");
        const PlainArrays<T> arrays = lent_.of(spec());
        interruptible([&] { trainer_->load(arrays); });
    }

    py::dict state_dict() override {
        const Busy busy(running_, "Trainer");
        return descent_state<T>(trainer_->descent, spec());
    }

    void load_state_dict(const py::dict& state) override {
        const Busy busy(running_, "Trainer");
        load_descent_state<T>(trainer_->descent, spec(), state);
    }

    py::object records() override {
        const Busy busy(running_, "Trainer");
        return descent_records(trainer_->descent);
    }

    int64_t step() override {
        const Busy busy(running_, "Trainer");
        return trainer_->descent.step;
    }
    bool state_is_finite() override {
        const Busy busy(running_, "Trainer");
        return trainer_->descent.state_is_finite();
    }

    int threads() const override { return trainer_->threads(); }

private:
    const Spec& spec() const { return trainer_->spec(); }

    const LentArrays<T> lent_;
    LossFunction<T> loss_;
    const int n_threads_;
    std::unique_ptr<Trainer<T>> trainer_;
    std::atomic<bool> running_{false};
};

std::unique_ptr<AnyTrainer> make_trainer(const py::sequence& coefs, const py::sequence& intercepts,
                                         const py::sequence& activations, const py::object& loss,
                                         double alpha, double l1_ratio, double weight_decay,
                                         const py::object& clip_value, const py::object& clip_norm,
                                         const py::object& clip_layer_norm, double gradient_noise,
                                         const py::object& dropout, const py::object& batch_norm,
                                         double bn_momentum, double bn_epsilon, uint64_t seed, bool records,
                                         int64_t batch_size, const std::string& rule,
                                         const py::dict& rule_params, int n_threads) {
    if (coefs.size() == 0) throw py::value_error("coefs must hold at least one array");
    if (batch_size < 1)
        throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
    if (n_threads < 0)
        throw py::value_error("n_threads must be at least 0, got " + std::to_string(n_threads));
    const DescentOptions options =
        descent_options(alpha, l1_ratio, weight_decay, clip_value, clip_norm, clip_layer_norm, gradient_noise,
                        seed, records, rule, rule_params);
    std::vector<double> rates;
    if (!dropout.is_none())
        for (const py::handle rate : py::cast<py::sequence>(dropout)) {
            rates.push_back(checked_number<double>(rate, "dropout"));
            if (!(rates.back() >= 0 && rates.back() < 1))
                throw py::value_error("dropout must be at least 0 and below 1, got " +
                                      std::to_string(rates.back()));
        }
    if (!rates.empty() && rates.size() != coefs.size())
        throw py::value_error("dropout must hold a rate for the inputs and one for each hidden layer, " +
                              std::to_string(coefs.size()) + " in all, got " + std::to_string(rates.size()));
    NormOptions norm;
    norm.momentum = checked_share(bn_momentum, "bn_momentum", 0, 1);
    if (!(bn_epsilon > 0))
        throw py::value_error("bn_epsilon must be positive, got " + std::to_string(bn_epsilon));
    norm.epsilon = bn_epsilon;
    // Copies of the lists, not of the arrays: the caller may change its lists.
    const py::tuple own_coefs(coefs), own_intercepts(intercepts);
    if (is_float32(own_coefs[0], "coefs[0]"))
        return std::make_unique<TypedTrainer<float>>(own_coefs, own_intercepts, activations, loss, options,
                                                     rates, batch_norm, norm, batch_size, n_threads);
    return std::make_unique<TypedTrainer<double>>(own_coefs, own_intercepts, activations, loss, options,
                                                  rates, batch_norm, norm, batch_size, n_threads);
}

}  // namespace

void register_trainer(py::module_& m) {
    py::class_<AnyTrainer>(m, "Trainer")
        .def(py::init(&make_trainer), py::arg("coefs"), py::arg("intercepts"), py::arg("activations"),
             py::arg("loss"), py::kw_only(), py::arg("alpha") = 0.0, py::arg("l1_ratio") = 0.0,
             py::arg("weight_decay") = 0.0, py::arg("clip_value") = py::none(),
             py::arg("clip_norm") = py::none(), py::arg("clip_layer_norm") = py::none(),
             py::arg("gradient_noise") = 0.0, py::arg("dropout") = py::none(),
             py::arg("batch_norm") = py::none(), py::arg("bn_momentum") = 0.1, py::arg("bn_epsilon") = 1e-5,
             py::arg("seed") = 0, py::arg("records") = false, py::arg("batch_size"), py::arg("rule"),
             py::arg("rule_params"), py::arg("n_threads") = 0)
        .def("run_epoch", &AnyTrainer::run_epoch, py::arg("X"), py::arg("y"), py::arg("order") = py::none(),
             py::arg("sample_weight") = py::none(), py::kw_only(), py::arg("learning_rate"),
             py::arg("backprop_depth") = py::none())
        .def("load", &AnyTrainer::load)
        .def("state_dict", &AnyTrainer::state_dict)
        .def("load_state_dict", &AnyTrainer::load_state_dict, py::arg("state"))
        .def_property_readonly("records", &AnyTrainer::records)
        .def_property_readonly("step", &AnyTrainer::step)
        .def_property_readonly("state_is_finite", &AnyTrainer::state_is_finite)
        .def_property_readonly("n_threads", &AnyTrainer::threads);
}

}  // namespace gdfast
