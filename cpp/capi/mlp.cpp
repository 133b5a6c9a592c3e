#include "capi/mlp.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <optional>

#include "capi/arrays.h"
#include "capi/rule.h"
#include "capi/status.h"
#include "network/denormals.h"
#include "network/predict.h"
#include "network/team.h"
#include "training/functions.h"
#include "training/gradient.h"

// The core's enumerations are the header's.
static_assert(gdfast::kActivations == GDFAST_ACTIVATION_HARD_TANH + 1 &&
              gdfast::kOutputs == GDFAST_OUTPUT_QUANTILES + 1 && gdfast::kLosses == GDFAST_LOSS_QUANTILE + 1);
static_assert(static_cast<int>(gdfast::Activation::hard_tanh) == GDFAST_ACTIVATION_HARD_TANH &&
              static_cast<int>(gdfast::Activation::relu) == GDFAST_ACTIVATION_RELU &&
              static_cast<int>(gdfast::Activation::gelu_tanh) == GDFAST_ACTIVATION_GELU_TANH &&
              static_cast<int>(gdfast::Output::softmax) == GDFAST_OUTPUT_SOFTMAX &&
              static_cast<int>(gdfast::Output::quantiles) == GDFAST_OUTPUT_QUANTILES &&
              static_cast<int>(gdfast::Loss::cross_entropy) == GDFAST_LOSS_CROSS_ENTROPY &&
              static_cast<int>(gdfast::Loss::squared_error) == GDFAST_LOSS_SQUARED_ERROR &&
              static_cast<int>(gdfast::Loss::quantile) == GDFAST_LOSS_QUANTILE);

struct gdfast_mlp {
    explicit gdfast_mlp(int32_t dtype) : dtype(dtype) {}
    virtual ~gdfast_mlp() = default;

    const int32_t dtype;
    std::atomic<bool> in_use{false};
};

namespace gdfast::capi {

namespace {

// What two threads must not have at once.
class Use {
public:
    explicit Use(gdfast_mlp& mlp) : mlp_(mlp) {
        if (mlp.in_use.exchange(true, std::memory_order_acquire)) throw InUse();
    }
    ~Use() { mlp_.in_use.store(false, std::memory_order_release); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

private:
    gdfast_mlp& mlp_;
    const Uninterrupted alone_;  // no signal handler of Python's is asked
};

// ------------------------------------------------------------------------------------------------- options

// One of an enumeration's entries, from `first` to `last`.
int checked_choice(int choice, int first, int last, const std::string& name, const char* choices) {
    if (choice < first || choice > last)
        throw std::invalid_argument(name + " must be one of " + choices + ", from " + std::to_string(first) +
                                    " to " + std::to_string(last) + ", got " + std::to_string(choice));
    return choice;
}

void check_options_size(size_t size) {
    if (size != sizeof(gdfast_mlp_options))
        throw std::invalid_argument(
            "gdfast_mlp_options has " + std::to_string(sizeof(gdfast_mlp_options)) +
            " bytes in this gdfast, got struct_size " + std::to_string(size) +
            ": gdfast_mlp_options_init() has not been called, or with another gdfast.h");
}

std::vector<int64_t> checked_units(const gdfast_mlp_options& o) {
    std::vector<int64_t> units(o.layer_sizes, o.layer_sizes + o.n_layers + 1);
    for (int i = 0; i <= o.n_layers; ++i) check_count(units[static_cast<size_t>(i)], 1, "layer_sizes", i);
    return units;
}

std::vector<ActivationFunction> checked_activations(const gdfast_mlp_options& o) {
    std::vector<ActivationFunction> activations;
    for (int i = 0; i + 1 < o.n_layers; ++i) {
        const std::string name = text("activations", i);
        const auto kind = static_cast<Activation>(
            o.activations ? checked_choice(o.activations[i], 0, GDFAST_ACTIVATION_HARD_TANH, name,
                                           "GDFAST_ACTIVATION_...")
                          : GDFAST_ACTIVATION_RELU);
        std::optional<double> parameter;
        if (o.activation_parameters && has_parameter(kind) && !std::isnan(o.activation_parameters[i]))
            parameter = o.activation_parameters[i];
        activations.push_back(activation_function(kind, name, parameter));
    }
    return activations;
}

template <class T>
std::optional<LossFunction<T>> checked_loss(const gdfast_mlp_options& o) {
    checked_choice(o.loss, GDFAST_LOSS_NONE, GDFAST_LOSS_QUANTILE, "loss", "GDFAST_LOSS_...");
    require(o.n_loss_parameters >= 0, "n_loss_parameters must be at least 0");
    require(o.n_loss_parameters == 0 || o.loss_parameters,
            "loss_parameters must not be NULL where n_loss_parameters is not 0");
    if (o.loss == GDFAST_LOSS_NONE) return std::nullopt;
    const std::vector<double> parameters(o.loss_parameters, o.loss_parameters + o.n_loss_parameters);
    return loss_function<T>(static_cast<Loss>(o.loss), "the loss", parameters, o.layer_sizes[o.n_layers]);
}

Output checked_output(const gdfast_mlp_options& o) {
    checked_choice(o.output, GDFAST_OUTPUT_OF_LOSS, GDFAST_OUTPUT_QUANTILES, "output", "GDFAST_OUTPUT_...");
    if (o.output != GDFAST_OUTPUT_OF_LOSS) return static_cast<Output>(o.output);
    return o.loss == GDFAST_LOSS_NONE ? Output::identity : output_of(static_cast<Loss>(o.loss));
}

int checked_threads(int n_threads) {
    if (n_threads < 1)
        throw std::invalid_argument("n_threads must be at least 1, got " + std::to_string(n_threads));
    return n_threads == 1 ? 1 : thread_limit(n_threads);
}

int64_t checked_rows(int64_t max_rows) {
    check_count(max_rows, 0, "max_rows");
    return max_rows;
}

// ------------------------------------------------------------------------------------------------- networks

// What the core needs, made once; of a call's arguments it keeps nothing that it reads again.
template <class T>
class Mlp final : public gdfast_mlp {
public:
    explicit Mlp(const gdfast_mlp_options& o)
        : gdfast_mlp(o.dtype),
          spec_(checked_units(o), checked_activations(o), kernels<T>().panel, kernels<T>().lanes),
          loss_(checked_loss<T>(o)),
          output_(checked_output(o)),
          alpha_(o.alpha),
          max_rows_(checked_rows(o.max_rows)),
          thread_limit_(checked_threads(o.n_threads)) {
        if (!(alpha_ >= 0 && std::isfinite(alpha_)))
            throw std::invalid_argument("alpha must be finite and not negative, got " +
                                        std::to_string(alpha_));
        const int64_t most = max_rows_ ? max_rows_ : kSumRows;
        predictor_.emplace(spec_, 1, most,
                           predicting_threads<T>(spec_, max_rows_ ? max_rows_ : kMostRows, thread_limit_));
        predictor_->expect_dense_rows();
        const size_t layers = spec_.layers.size();
        arrays_.coefs.resize(layers);
        arrays_.intercepts.resize(layers);
        extents_.resize(2 * layers * (1 + std::max(1, kMostStates)) + 4);  // and loss, X, y, sample_weight
        if (!loss_) return;
        gradient_.emplace(spec_, *loss_, std::min(most, kSumRows), thread_limit_);
        gradients_.coefs.resize(layers);
        gradients_.intercepts.resize(layers);
        updated_.resize(2 * layers);
        for (const Layer& l : spec_.layers) {
            own_gradients_.emplace_back(l.in * l.out);
            own_gradients_.emplace_back(l.out);
        }
    }

    void forward(const Weights<T>& weights, const T* X, int64_t n_rows, T* out) {
        check_rows(n_rows, 0);
        if (n_rows == 0) return;
        Extents extents(extents_.data());
        extents.add(out, n_rows * spec_.outputs(), "out");
        take(weights, arrays_, "weights", "biases", extents);
        extents.add(X, n_rows * spec_.inputs(), "X");
        extents.check_apart(1);
        const Rows<T> rows = dense(X, n_rows, spec_.inputs());
        (*predictor_)(arrays_, rows, nullptr, n_rows, output_, 0, false, out,
                      predicting_threads<T>(spec_, n_rows, thread_limit_));
    }

    void loss_and_grad(const Weights<T>& weights, const Samples<T>& samples, double* loss,
                       const Weights<T>& gradients) {
        check_has_loss();
        Extents extents(extents_.data());
        take(gradients, gradients_, "weight_grads", "bias_grads", extents);
        if (loss) extents.add(loss, 1, "loss");
        const size_t written = extents.count();
        take(weights, arrays_, "weights", "biases", extents);
        const Data<T> data = checked_data(samples, extents);
        extents.check_apart(written);
        const double value = (*gradient_)(arrays_, data, alpha_, gradients_);
        if (loss) *loss = value;
    }

    void step(const Weights<T>& weights, T* const* states, const Samples<T>& samples, const gdfast_rule* rule,
              int64_t step, double* loss) {
        check_has_loss();
        const RuleSpec spec = checked_rule(rule);
        check_step(step);
        const int kept = states_of(spec.rule);
        require(kept == 0 || states, "states must not be NULL: this rule keeps arrays of state");
        Extents extents(extents_.data());
        take(weights, arrays_, "weights", "biases", extents);
        const auto layers = static_cast<int>(spec_.layers.size());
        for (int array = 0; array < 2 * layers; ++array)
            for (int i = array * kept; i < (array + 1) * kept; ++i)
                extents.add(states[i], elements(array), "states", i);
        if (loss) extents.add(loss, 1, "loss");
        const size_t written = extents.count();
        const Data<T> data = checked_data(samples, extents);
        extents.check_apart(written);
        for (size_t l = 0; l < spec_.layers.size(); ++l) {
            gradients_.coefs[l] = own_gradients_[2 * l].data();
            gradients_.intercepts[l] = own_gradients_[2 * l + 1].data();
        }
        const double value = (*gradient_)(arrays_, data, alpha_, gradients_);
        for (int array = 0; array < 2 * layers; ++array) {
            Updated<T>& updated = updated_[static_cast<size_t>(array)];
            updated.w = array % 2 ? weights.biases[array / 2] : weights.weights[array / 2];
            updated.g = own_gradients_[static_cast<size_t>(array)].data();
            updated.n = elements(array);
            for (int i = 0; i < kept; ++i) updated.states[i] = states[array * kept + i];
        }
        update<T>(spec, scalars_at<T>(spec, step, rule->lr), updated_.data(), updated_.size(),
                  rule->n_threads);
        if (loss) *loss = value;
    }

private:
    static constexpr int64_t kMostRows = int64_t{1} << 40;  // any number: for the number of threads

    // Weights are even, biases odd.
    int64_t elements(int array) const {
        const Layer& l = spec_.layers[static_cast<size_t>(array / 2)];
        return array % 2 ? l.out : l.in * l.out;
    }

    void check_rows(int64_t n_rows, int64_t least) const {
        check_count(n_rows, least, "n_rows");
        if (max_rows_ && n_rows > max_rows_)
            throw std::invalid_argument("n_rows must be at most max_rows, " + std::to_string(max_rows_) +
                                        ", got " + std::to_string(n_rows));
        checked_product(n_rows, std::max(spec_.inputs(), spec_.outputs()));
    }

    void check_has_loss() const { require(loss_.has_value(), "this gdfast_mlp has no loss"); }

    // The core's list of the caller's arrays, checked.
    template <class Arrays>
    void take(const Weights<T>& from, Arrays& to, const char* weights, const char* biases, Extents& extents) {
        if (!from.weights || !from.biases)
            throw std::invalid_argument(std::string(from.weights ? biases : weights) + " must not be NULL");
        for (size_t l = 0; l < spec_.layers.size(); ++l) {
            const int index = static_cast<int>(l);
            extents.add(from.weights[l], elements(2 * index), weights, index);
            extents.add(from.biases[l], elements(2 * index + 1), biases, index);
            to.coefs[l] = from.weights[l];
            to.intercepts[l] = from.biases[l];
        }
    }

    static Rows<T> dense(const T* data, int64_t rows, int64_t columns) {
        Rows<T> dense;
        dense.rows = rows;
        dense.columns = columns;
        dense.dense = data;
        return dense;
    }

    Data<T> checked_data(const Samples<T>& samples, Extents& extents) {
        const int64_t n = samples.n_rows;
        check_rows(n, 1);
        extents.add(samples.X, n * spec_.inputs(), "X");
        Data<T> data;
        data.x = dense(samples.X, n, spec_.inputs());
        data.count = n;
        if (loss_->kind == Loss::cross_entropy) {
            data.y.label = static_cast<const int32_t*>(samples.y);
            extents.add(data.y.label, n, "y");
            for (int64_t i = 0; i < n; ++i)
                if (data.y.label[i] < 0 || data.y.label[i] >= spec_.outputs())
                    throw std::invalid_argument("y must hold classes from 0 to " +
                                                std::to_string(spec_.outputs() - 1) + ", got " +
                                                std::to_string(data.y.label[i]));
        } else {
            const int64_t columns = loss_->kind == Loss::quantile ? 1 : spec_.outputs();
            data.y.values = dense(static_cast<const T*>(samples.y), n, columns);
            extents.add(data.y.values.dense, n * columns, "y");
        }
        if (samples.sample_weight) {
            extents.add(samples.sample_weight, n, "sample_weight");
            data.weight = samples.sample_weight;
            require(data.weight_sum(0, n) != 0, "sample_weight sums to zero: there is no mean loss");
        }
        return data;
    }

    const Spec spec_;
    const std::optional<LossFunction<T>> loss_;
    const Output output_;
    const double alpha_;
    const int64_t max_rows_;
    const int thread_limit_;
    std::optional<Predictor<T>> predictor_;
    std::optional<LossGradient<T>> gradient_;
    std::vector<Buffer<T>> own_gradients_;  // of weights[0], biases[0], weights[1], ...: for a step
    // Of the present call; members, because a call allocates nothing.
    ConstPlainArrays<T> arrays_;
    PlainArrays<T> gradients_;
    std::vector<Updated<T>> updated_;
    std::vector<Extent> extents_;
};

template <class T>
Mlp<T>& checked_mlp(gdfast_mlp* mlp) {
    constexpr bool float32 = sizeof(T) == 4;
    require(mlp, "mlp must not be NULL");
    if (mlp->dtype != (float32 ? GDFAST_FLOAT32 : GDFAST_FLOAT64))
        throw std::invalid_argument(float32 ? "this gdfast_mlp is of float64: call the function of _f64"
                                            : "this gdfast_mlp is of float32: call the function of _f32");
    return static_cast<Mlp<T>&>(*mlp);
}

}  // namespace

int mlp_options_init(gdfast_mlp_options* options, size_t struct_size) {
    return guarded([&] {
        require(options, "options must not be NULL");
        check_options_size(struct_size);
        gdfast_mlp_options o{};
        o.struct_size = struct_size;
        o.output = GDFAST_OUTPUT_OF_LOSS;
        o.loss = GDFAST_LOSS_SQUARED_ERROR;
        o.n_threads = 1;
        *options = o;
    });
}

int mlp_create(const gdfast_mlp_options* options, gdfast_mlp** mlp) {
    return guarded([&] {
        require(mlp, "mlp must not be NULL");
        *mlp = nullptr;
        require(options, "options must not be NULL");
        check_options_size(options->struct_size);
        require(options->n_layers >= 1 && options->n_layers <= 1 << 16, "n_layers must be from 1 to 65536");
        require(options->layer_sizes, "layer_sizes must not be NULL");
        checked_choice(options->dtype, GDFAST_FLOAT32, GDFAST_FLOAT64, "dtype",
                       "GDFAST_FLOAT32 and GDFAST_FLOAT64");
        const Uninterrupted alone;
        if (options->dtype == GDFAST_FLOAT32)
            *mlp = std::make_unique<Mlp<float>>(*options).release();
        else
            *mlp = std::make_unique<Mlp<double>>(*options).release();
    });
}

void mlp_destroy(gdfast_mlp* mlp) { delete mlp; }

template <class T>
int mlp_forward(gdfast_mlp* mlp, const Weights<T>& weights, const T* X, int64_t n_rows, T* out) {
    return guarded([&] {
        Mlp<T>& m = checked_mlp<T>(mlp);
        const Use use(m);
        m.forward(weights, X, n_rows, out);
    });
}

template <class T>
int mlp_loss_and_grad(gdfast_mlp* mlp, const Weights<T>& weights, const Samples<T>& samples, double* loss,
                      const Weights<T>& gradients) {
    return guarded([&] {
        Mlp<T>& m = checked_mlp<T>(mlp);
        const Use use(m);
        m.loss_and_grad(weights, samples, loss, gradients);
    });
}

template <class T>
int mlp_step(gdfast_mlp* mlp, const Weights<T>& weights, T* const* states, const Samples<T>& samples,
             const gdfast_rule* rule, int64_t step, double* loss) {
    return guarded([&] {
        Mlp<T>& m = checked_mlp<T>(mlp);
        const Use use(m);
        m.step(weights, states, samples, rule, step, loss);
    });
}

#define GDFAST_INSTANTIATE(T)                                                                               \
    template int mlp_forward(gdfast_mlp*, const Weights<T>&, const T*, int64_t, T*);                        \
    template int mlp_loss_and_grad(gdfast_mlp*, const Weights<T>&, const Samples<T>&, double*,              \
                                   const Weights<T>&);                                                      \
    template int mlp_step(gdfast_mlp*, const Weights<T>&, T* const*, const Samples<T>&, const gdfast_rule*, \
                          int64_t, double*);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast::capi
