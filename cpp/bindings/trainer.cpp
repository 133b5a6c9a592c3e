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
                                const py::object& sample_weight, const py::object& learning_rate,
                                const py::object& backprop_depth) = 0;
    virtual void load() = 0;
    virtual py::dict state_dict() = 0;
    virtual void load_state_dict(const py::dict& state) = 0;
    virtual py::object records() = 0;
    virtual int threads() const = 0;
};

template <class T>
class TypedTrainer final : public AnyTrainer {
public:
    TypedTrainer(const py::list& coefs, const py::list& intercepts, const py::sequence& activations,
                 const py::object& loss, const DescentOptions& options, int64_t batch_size, int n_threads)
        : coefs_(coefs),
          intercepts_(intercepts),
          network_(checked_network<T>(coefs, intercepts, "coefs", "intercepts", Access::write)),
          loss_(loss_named<T>(loss, network_.units.back())),
          n_threads_(n_threads),
          trainer_(Spec(network_.units, activations_named(activations, network_.units.size() - 2),
                        kernels<T>().panel, kernels<T>().lanes),
                   loss_, options, batch_size, thread_limit(n_threads)) {
        trainer_.load(network_.arrays);
    }

    py::tuple run_epoch(const py::object& x, const py::object& y, const py::object& order,
                        const py::object& sample_weight, const py::object& learning_rate,
                        const py::object& backprop_depth) override {
        const Busy busy(running_);
        Data<T> data;
        data.x = checked_rows<T>(x, "X", trainer_.spec().inputs());
        data.y = checked_targets<T>(y, loss_.kind, data.x.rows, trainer_.spec().outputs());
        data.order = checked_order(order, "order", data.x.rows, data.count);
        if (!sample_weight.is_none())
            data.weight = checked<T>(sample_weight, "sample_weight", {data.x.rows}, Access::read);
        double rate = 0;
        EpochOptions options{};
        if (py::isinstance<py::array>(learning_rate)) {
            const int64_t batches = (data.count + trainer_.batch_size() - 1) / trainer_.batch_size();
            options.learning_rates = {
                checked<double>(learning_rate, "learning_rate", {batches}, Access::read), batches};
        } else {
            rate = checked_number<double>(learning_rate, "learning_rate");
            options.learning_rates = {&rate, 1};
        }
        const auto layers = static_cast<int64_t>(coefs_.size());
        options.backprop_depth =
            backprop_depth.is_none() ? layers : checked_number<int64_t>(backprop_depth, "backprop_depth");
        if (options.backprop_depth < 1 || options.backprop_depth > layers)
            throw py::value_error("backprop_depth must be from 1 to the number of layers, " +
                                  std::to_string(layers) + ", got " + std::to_string(options.backprop_depth));
        // Read anew: the caller may have limited its threads meanwhile.
        options.thread_limit = thread_limit(n_threads_);
        EpochResult result;
        bool finite;
        {
            py::gil_scoped_release released;
            result = trainer_.run(data, options, [] {
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
        const auto names = trainer_.descent.options().rule.slots();
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
            unpack(trainer_.spec(), trainer_.descent.slot(i), plain);
            slots[names[i].c_str()] = arrays;
        }
        py::dict state;
        state["step"] = trainer_.descent.step;
        state["slots"] = slots;
        if (trainer_.descent.options().limits.adaptive) {
            py::list norms;
            for (const double norm : trainer_.descent.norms.norms()) norms.append(norm);
            state["norms"] = norms;
        }
        return state;
    }

    void load_state_dict(const py::dict& state) override {
        const Busy busy(running_);
        if (!state.contains("step") || !state.contains("slots"))
            throw py::value_error("state must have 'step' and 'slots', as state_dict() returns them");
        const int64_t step = checked_number<int64_t>(state["step"], "state['step']");
        if (step < 0) throw py::value_error("state['step'] must be at least 0, got " + std::to_string(step));
        const auto slots = py::cast<py::dict>(state["slots"]);
        const auto names = trainer_.descent.options().rule.slots();
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
        std::vector<double> norms;
        if (trainer_.descent.options().limits.adaptive) {
            if (!state.contains("norms"))
                throw py::value_error("state must have 'norms' for clip_norm='auto'");
            for (const py::handle norm : py::cast<py::list>(state["norms"]))
                norms.push_back(checked_number<double>(norm, "state['norms']"));
            if (norms.size() > NormWindow::kSteps)
                throw py::value_error("state['norms'] must hold at most " +
                                      std::to_string(NormWindow::kSteps) + " norms");
        }
        trainer_.descent.norms.restore(norms);
        for (size_t i = 0; i < names.size(); ++i) pack<T>(trainer_.spec(), all[i], trainer_.descent.slot(i));
        trainer_.descent.step = step;
    }

    py::object records() override {
        const Busy busy(running_);
        if (!trainer_.descent.options().records) return py::none();
        py::list norms, weights, ratios;
        for (const LayerRecord& layer : trainer_.descent.records()) {
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

double checked_limit(const py::object& limit, const char* name) {
    if (limit.is_none()) return kNoLimit;
    const double value = checked_number<double>(limit, name);
    if (!(value > 0))
        throw py::value_error(std::string(name) + " must be positive, got " + std::to_string(value));
    return value;
}

double checked_share(double value, const char* name, double least, double most) {
    if (!(value >= least && value <= most))
        throw py::value_error(std::string(name) + " must be from " + std::to_string(least) + " to " +
                              std::to_string(most) + ", got " + std::to_string(value));
    return value;
}

std::unique_ptr<AnyTrainer> make_trainer(
    const py::sequence& coefs, const py::sequence& intercepts, const py::sequence& activations,
    const py::object& loss, double alpha, double l1_ratio, double weight_decay, const py::object& clip_value,
    const py::object& clip_norm, const py::object& clip_layer_norm, double gradient_noise, uint64_t seed,
    bool records, int64_t batch_size, const std::string& rule, const py::dict& rule_params, int n_threads) {
    if (coefs.size() == 0) throw py::value_error("coefs must hold at least one array");
    if (batch_size < 1)
        throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
    if (n_threads < 0)
        throw py::value_error("n_threads must be at least 0, got " + std::to_string(n_threads));
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
    // Copies of the lists, not of the arrays: the caller may change its lists.
    const py::list own_coefs(coefs), own_intercepts(intercepts);
    if (is_float32(own_coefs[0], "coefs[0]"))
        return std::make_unique<TypedTrainer<float>>(own_coefs, own_intercepts, activations, loss, options,
                                                     batch_size, n_threads);
    return std::make_unique<TypedTrainer<double>>(own_coefs, own_intercepts, activations, loss, options,
                                                  batch_size, n_threads);
}

}  // namespace

void register_trainer(py::module_& m) {
    py::class_<AnyTrainer>(m, "Trainer")
        .def(py::init(&make_trainer), py::arg("coefs"), py::arg("intercepts"), py::arg("activations"),
             py::arg("loss"), py::kw_only(), py::arg("alpha") = 0.0, py::arg("l1_ratio") = 0.0,
             py::arg("weight_decay") = 0.0, py::arg("clip_value") = py::none(),
             py::arg("clip_norm") = py::none(), py::arg("clip_layer_norm") = py::none(),
             py::arg("gradient_noise") = 0.0, py::arg("seed") = 0, py::arg("records") = false,
             py::arg("batch_size"), py::arg("rule"), py::arg("rule_params"), py::arg("n_threads") = 0)
        .def("run_epoch", &AnyTrainer::run_epoch, py::arg("X"), py::arg("y"), py::arg("order") = py::none(),
             py::arg("sample_weight") = py::none(), py::kw_only(), py::arg("learning_rate"),
             py::arg("backprop_depth") = py::none())
        .def("load", &AnyTrainer::load)
        .def("state_dict", &AnyTrainer::state_dict)
        .def("load_state_dict", &AnyTrainer::load_state_dict, py::arg("state"))
        .def_property_readonly("records", &AnyTrainer::records)
        .def_property_readonly("n_threads", &AnyTrainer::threads);
}

}  // namespace gdfast
