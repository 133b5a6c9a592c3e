// The trainers as Python sees them: one class for rows and for sequences, for both element types.
#include <atomic>
#include <memory>

#include "bindings/arguments.h"
#include "bindings/descent.h"
#include "bindings/exclusive_use.h"
#include "bindings/interruptible.h"
#include "bindings/sequences.h"
#include "kernels/dispatch.h"
#include "network/team.h"
#include "training/sequence_trainer.h"
#include "training/trainer.h"

namespace gdfast {

namespace {

// ---------------------------------------------------------------------------- what is the same for both
// kinds

constexpr const char* kPlaceNames[] = {"none",   "outputs", "gradient", "loss",       "weights",
                                       "biases", "gammas",  "betas",    "embeddings", "moments"};

// An epoch's arguments, checked; what they point to is the caller's, or kept here.
template <class D>
struct Epoch {
    D data;
    EpochOptions options{};
    py::tuple states, shared;
    double rate = 0;

    void set_weight_decay(Arguments& arguments) {
        if (const py::object given = arguments.take("weight_decay", py::none()); !given.is_none())
            options.weight_decay = checked_weight_decay(given);
    }
    // (weight sums, terms, first rows, function of the sums), see SharedSteps. The function is set elsewhere.
    void set_shared(Arguments& arguments, const Spec& spec, int64_t own_steps) {
        const py::object given = arguments.take("shared", py::none());
        if (given.is_none()) return;
        if (!py::isinstance<py::tuple>(given) || py::len(given) != 4)
            throw py::type_error("shared must be a tuple of weight sums, terms, first rows and a function");
        shared = given;
        if (!PyCallable_Check(py::object(shared[3]).ptr()))
            throw py::type_error("shared[3] must be callable, got " +
                                 py::cast<std::string>(py::repr(shared[3])));
        if (!spec.embeddings.empty())
            throw py::value_error("shared is not supported for networks with embeddings");
        for (const Layer& layer : spec.layers)
            if (layer.normalized)
                throw py::value_error("shared is not supported for networks with batch_norm");
        const Name name("shared", 0);
        SharedSteps steps{};
        steps.weight_sums = checked<double>(shared[0], name, {kAny}, Access::read);
        steps.count = py::reinterpret_borrow<py::array>(shared[0]).size();
        steps.terms = checked<int64_t>(shared[1], Name("shared", 1), {steps.count}, Access::read);
        steps.first_rows = checked<int64_t>(shared[2], Name("shared", 2), {steps.count}, Access::read);
        if (own_steps > steps.count)
            throw py::value_error("shared has " + std::to_string(steps.count) + " steps, but the rows take " +
                                  std::to_string(own_steps));
        options.shared = std::move(steps);
    }
    void set_rates(Arguments& arguments, int64_t steps) {
        options.learning_rates = checked_learning_rates(arguments.take("learning_rate"), steps, rate);
    }
};

class AnyTrainer {
public:
    virtual ~AnyTrainer() = default;
    virtual py::tuple run_epoch(const py::args& args, const py::kwargs& kwargs) = 0;
    virtual void load() = 0;
    virtual py::dict state_dict() = 0;
    virtual void load_state_dict(const py::dict& state) = 0;
    virtual py::object records() = 0;
    virtual int64_t step() = 0;
    virtual bool state_is_finite() = 0;
    virtual py::object not_finite() = 0;
    virtual int threads() const = 0;
    virtual int64_t count_sums(int depth) const = 0;
};

// A trainer of one kind, and the arrays that it trains. `Kind` says what the core's trainer is (Core) and
// what it is called, and reads the arguments of an epoch.
template <class T, class Kind>
class TypedTrainer final : public AnyTrainer {
public:
    using Core = typename Kind::Core;

    TypedTrainer(const CallerArrays<T>& arrays, int n_threads, std::unique_ptr<Core> core)
        : arrays_(arrays), n_threads_(n_threads), core_(std::move(core)) {
        load();
    }

    // Writes the weights back where they are finite: also when an error or Ctrl-C has ended the epoch after a
    // step.
    // Returns the mean loss, and whether they are.
    py::tuple run_epoch(const py::args& args, const py::kwargs& kwargs) override {
        const ExclusiveUse use(running_, Kind::name);
        Arguments arguments("run_epoch", Kind::positional, args, kwargs);
        StepHooks<T> hooks(arguments, core_->descent, core_->spec());
        Epoch<typename Kind::Input> epoch;
        Kind::read_epoch(*core_, arguments, epoch);
        epoch.set_weight_decay(arguments);
        arguments.check_all_used();
        hooks.set(epoch.options);
        py::object self;  // the owner of the sums' memory
        if (epoch.options.shared) {
            self = py::cast(static_cast<AnyTrainer*>(this));
            epoch.options.shared->add_up = [&] {
                const py::gil_scoped_acquire acquired;
                const int64_t count = core_->descent.count_sums(epoch.options.first_layer);
                epoch.shared[3](py::array_t<T>(count, core_->descent.sums(), self));
            };
        }
        // Read again: the caller may have limited its threads meanwhile.
        epoch.options.thread_limit = thread_limit(n_threads_);

        EpochResult result{};
        bool finite = false;
        const int64_t steps_before = core_->descent.step;
        const auto save = [&] {
            if (finite) core_->save(arrays_.of(core_->spec()));
        };
        try {
            interruptible([&] {
                try {
                    result = core_->run(epoch.data, epoch.options);
                } catch (...) {
                    finite = core_->descent.step > steps_before && core_->finite();
                    throw;
                }
                const bool ended = !Interruption::current()->requested();
                finite = (ended || core_->descent.step > steps_before) && core_->finite();
            });
        } catch (...) {
            save();
            throw;
        }
        save();
        return py::make_tuple(result.loss, finite);
    }

    void load() override {
        const ExclusiveUse use(running_, Kind::name);
        const PlainArrays<T> arrays = arrays_.of(core_->spec());
        interruptible([&] { core_->load(arrays); });
    }

    py::dict state_dict() override {
        const ExclusiveUse use(running_, Kind::name);
        return descent_state<T>(core_->descent, core_->spec());
    }

    void load_state_dict(const py::dict& state) override {
        const ExclusiveUse use(running_, Kind::name);
        load_descent_state<T>(core_->descent, core_->spec(), state);
    }

    py::object records() override {
        const ExclusiveUse use(running_, Kind::name);
        return descent_records(core_->descent);
    }

    int64_t step() override {
        const ExclusiveUse use(running_, Kind::name);
        return core_->descent.step;
    }

    bool state_is_finite() override {
        const ExclusiveUse use(running_, Kind::name);
        return core_->descent.state_is_finite();
    }

    py::object not_finite() override {
        const ExclusiveUse use(running_, Kind::name);
        const NotFinite found = core_->descent.not_finite();
        if (found.place == Place::none) return py::none();
        return py::make_tuple(kPlaceNames[static_cast<int>(found.place)], found.layer);
    }

    int threads() const override { return core_->threads(); }

    int64_t count_sums(int depth) const override {
        const auto layers = static_cast<int>(core_->spec().layers.size());
        if (depth < 1 || depth > layers)
            throw py::value_error("backprop_depth must be from 1 to the number of layers");
        return core_->descent.count_sums(layers - depth);
    }

private:
    const CallerArrays<T> arrays_;
    const int n_threads_;
    std::unique_ptr<Core> core_;
    std::atomic<bool> running_{false};
};

// What is declared for every trainer, beside the arguments of the network and of a Descent.
struct Common {
    py::tuple coefs, intercepts;
    py::object loss;
    int64_t batch_size;
    int n_threads;
    DescentOptions descent;

    explicit Common(Arguments& arguments)
        : coefs(arguments.list("coefs")),
          intercepts(arguments.list("intercepts")),
          loss(arguments.take("loss")),
          batch_size(arguments.number<int64_t>("batch_size")),
          n_threads(arguments.number<int>("n_threads", 0)) {
        if (coefs.empty()) throw py::value_error("coefs must hold at least one array");
        if (batch_size < 1)
            throw py::value_error("batch_size must be at least 1, got " + std::to_string(batch_size));
        if (n_threads < 0)
            throw py::value_error("n_threads must be at least 0, got " + std::to_string(n_threads));
        descent = descent_options(arguments);
    }
};

// Builds what may take long to lay out.
template <class Core, class... Given>
std::unique_ptr<Core> built(const Given&... given) {
    std::unique_ptr<Core> core;
    interruptible([&] { core = std::make_unique<Core>(given...); });
    return core;
}

// ----------------------------------------------------------------------------------------------------- rows

std::vector<double> checked_dropout(const py::object& dropout, size_t layers) {
    std::vector<double> rates;
    if (dropout.is_none()) return rates;
    for (const py::object rate : py::cast<py::sequence>(dropout)) {
        rates.push_back(checked_number<double>(rate, "dropout"));
        if (!(rates.back() >= 0 && rates.back() < 1))
            throw py::value_error("dropout must be at least 0 and below 1, got " +
                                  std::to_string(rates.back()));
    }
    if (!rates.empty() && rates.size() != layers)
        throw py::value_error("dropout must hold a rate for the inputs and one for each hidden layer, " +
                              std::to_string(layers) + " in all, got " + std::to_string(rates.size()));
    return rates;
}

template <class T>
struct RowKind {
    using Core = Trainer<T>;
    using Input = Data<T>;
    static constexpr const char* name = "Trainer";
    static constexpr std::initializer_list<const char*> positional = {"X", "y", "order", "sample_weight"};

    static void read_epoch(const Core& core, Arguments& arguments, Epoch<Data<T>>& epoch) {
        Data<T>& data = epoch.data;
        const Spec& spec = core.spec();
        data.x = checked_rows<T>(arguments.take("X"), "X", spec.inputs());
        if (data.x.encoding) check_embedded(*data.x.encoding, spec.embeddings);
        if (!spec.embeddings.empty() && !data.x.encoding)
            throw py::value_error("X must be a table with an encoding for a trainer of embeddings");
        data.y = checked_targets<T>(arguments.take("y"), core.loss().kind, data.x.rows, spec.outputs());
        data.order = checked_order(arguments.take("order", py::none()), "order", data.x.rows, data.count);
        if (const py::object weight = arguments.take("sample_weight", py::none()); !weight.is_none())
            data.weight = checked<T>(weight, "sample_weight", {data.x.rows}, Access::read);
        const int64_t batches = divided_up(data.count, core.batch_size());
        epoch.set_shared(arguments, spec, batches);
        epoch.set_rates(arguments, epoch.options.shared ? epoch.options.shared->count : batches);
        const auto layers = static_cast<int64_t>(spec.layers.size());
        int64_t depth = layers;
        if (const py::object given = arguments.take("backprop_depth", py::none()); !given.is_none())
            depth = checked_number<int64_t>(given, "backprop_depth");
        if (depth < 1 || depth > layers)
            throw py::value_error("backprop_depth must be from 1 to the number of layers, " +
                                  std::to_string(layers) + ", got " + std::to_string(depth));
        epoch.options.first_layer = static_cast<int>(layers - depth);
        epoch.options.dropout = checked_dropout(arguments.take("dropout", py::none()), spec.layers.size());
        for (size_t i = 0; i < epoch.options.dropout.size(); ++i)
            if (epoch.options.dropout[i] > 0 && !(i < core.dropout().size() && core.dropout()[i] > 0))
                throw py::value_error("dropout[" + std::to_string(i) +
                                      "] must be 0 as it is in the trainer's dropout, got " +
                                      std::to_string(epoch.options.dropout[i]));
    }
};

std::unique_ptr<AnyTrainer> row_trainer(const py::args& args, const py::kwargs& kwargs) {
    Arguments arguments("Trainer", {"coefs", "intercepts", "activations", "loss"}, args, kwargs);
    const Common common(arguments);
    const py::tuple activations = arguments.list("activations");
    const std::vector<double> dropout =
        checked_dropout(arguments.take("dropout", py::none()), common.coefs.size());
    const py::object batch_norm = arguments.take("batch_norm", py::none());
    NormOptions norm;
    norm.momentum = checked_share(arguments.number("bn_momentum", norm.momentum), "bn_momentum", 0, 1);
    norm.epsilon = arguments.number("bn_epsilon", norm.epsilon);
    if (!(norm.epsilon > 0))
        throw py::value_error("bn_epsilon must be positive, got " + std::to_string(norm.epsilon));
    const py::object embeddings = arguments.take("embeddings", py::none());
    arguments.check_all_used();

    const auto make = [&](auto zero) -> std::unique_ptr<AnyTrainer> {
        using T = decltype(zero);
        Network<T> network =
            checked_network<T>(common.coefs, common.intercepts, "coefs", "intercepts", Access::write);
        const std::vector<bool> normalized = add_norms(batch_norm, network, Access::write);
        const LossFunction<T> loss = loss_named<T>(common.loss, network.units.back());
        const std::vector<EmbeddingShape> shapes = add_embeddings(embeddings, network.arrays, Access::write);
        if (!shapes.empty() && common.descent.gradient_noise > 0)
            throw py::value_error("gradient_noise is not supported for networks with embeddings");
        const Spec spec(network.units, activations_named(activations, network.units.size() - 2),
                        kernels<T>().panel, kernels<T>().lanes, normalized, shapes);
        check_rate_factors(common.descent, spec);
        return std::make_unique<TypedTrainer<T, RowKind<T>>>(
            CallerArrays<T>(common.coefs, common.intercepts, batch_norm, embeddings), common.n_threads,
            built<Trainer<T>>(spec, loss, common.descent, dropout, norm, common.batch_size,
                              thread_limit(common.n_threads)));
    };
    return is_float32(common.coefs[0], "coefs[0]") ? make(0.0f) : make(0.0);
}

// ------------------------------------------------------------------------------------------------ sequences

template <class T>
struct SequenceKind {
    using Core = SequenceTrainer<T>;
    using Input = SequenceData<T>;
    static constexpr const char* name = "SequenceTrainer";
    static constexpr std::initializer_list<const char*> positional = {"X", "starts", "y", "order",
                                                                      "sample_weight"};

    static void read_epoch(const Core& core, Arguments& arguments, Epoch<SequenceData<T>>& epoch) {
        SequenceData<T>& data = epoch.data;
        py::object states = arguments.take("states", py::none());
        if (py::isinstance<py::sequence>(states)) states = epoch.states = py::tuple(states);
        data.sequences = checked_sequences<T>(arguments.take("X"), arguments.take("starts"),
                                              arguments.take("order", py::none()), states, core.network());
        const int64_t terms = core.per_step() ? data.sequences.x.rows : data.sequences.sequences;
        data.y = checked_targets<T>(arguments.take("y"), core.loss().kind, terms, core.spec().outputs());
        if (const py::object weight = arguments.take("sample_weight", py::none()); !weight.is_none())
            data.weight = checked<T>(weight, "sample_weight", {terms}, Access::read);
        const int64_t batches = divided_up(data.sequences.count, core.batch_size());
        epoch.set_rates(arguments, batches * core.updates_of_batch(data.sequences));
    }
};

std::unique_ptr<AnyTrainer> sequence_trainer(const py::args& args, const py::kwargs& kwargs) {
    Arguments arguments("SequenceTrainer", {"coefs", "intercepts", "cell", "loss"}, args, kwargs);
    const Common common(arguments);
    const Cell cell = cell_named(arguments.text("cell"));
    const bool per_step = arguments.flag("per_step", false);
    const std::optional<Truncation> truncation = checked_truncation(arguments.take("tbptt", py::none()));
    arguments.check_all_used();

    const auto make = [&](auto zero) -> std::unique_ptr<AnyTrainer> {
        using T = decltype(zero);
        const RecurrentSpec spec =
            checked_recurrent<T>(common.coefs, common.intercepts, cell, Access::write).spec;
        const LossFunction<T> loss = loss_named<T>(common.loss, spec.head().out);
        check_rate_factors(common.descent, spec.matrices);
        return std::make_unique<TypedTrainer<T, SequenceKind<T>>>(
            CallerArrays<T>(common.coefs, common.intercepts, py::none(), py::none()), common.n_threads,
            built<SequenceTrainer<T>>(spec, loss, common.descent, per_step, truncation, common.batch_size,
                                      thread_limit(common.n_threads)));
    };
    return is_float32(common.coefs[0], "coefs[0]") ? make(0.0f) : make(0.0);
}

}  // namespace

void register_trainer(py::module_& m) {
    py::class_<AnyTrainer>(m, "Trainer")
        .def(py::init(&row_trainer))
        .def("run_epoch", &AnyTrainer::run_epoch)
        .def("load", &AnyTrainer::load)
        .def("state_dict", &AnyTrainer::state_dict)
        .def("load_state_dict", &AnyTrainer::load_state_dict, py::arg("state"))
        .def_property_readonly("records", &AnyTrainer::records)
        .def_property_readonly("step", &AnyTrainer::step)
        .def_property_readonly("state_is_finite", &AnyTrainer::state_is_finite)
        .def_property_readonly("not_finite", &AnyTrainer::not_finite)
        .def("count_sums", &AnyTrainer::count_sums, py::arg("backprop_depth"))
        .def_property_readonly("n_threads", &AnyTrainer::threads);
    m.def("SequenceTrainer", &sequence_trainer);
}

}  // namespace gdfast
