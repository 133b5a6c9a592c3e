// gdfast.h as a caller from C++ sees it: nothing is allocated in a loop, handles on threads, no memory.
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "capi/api.h"
#include "check.h"
#include "failing.h"

namespace gdfast {

namespace {

using Array = std::vector<double>;

// What gdfast_import() does.
const bool imported = (gdfast_table = &capi::kApi) != nullptr;

// A network with its arrays, and rows to learn.
class Problem {
public:
    static constexpr int64_t kRows = 40;

    explicit Problem(int loss = GDFAST_LOSS_SQUARED_ERROR, int rule = GDFAST_RULE_ADAM) {
        CHECK(imported);
        gdfast_mlp_options_init(&options, sizeof options);
        options.dtype = GDFAST_FLOAT64;
        options.n_layers = 3;
        options.layer_sizes = sizes_;
        options.activations = activations_;
        options.loss = loss;
        gdfast_rule_init(&rule_, sizeof rule_, rule);
        int seed = 0;
        for (int l = 0; l < 3; ++l) {
            arrays_.push_back(numbers(sizes_[l] * sizes_[l + 1], ++seed));
            arrays_.push_back(numbers(sizes_[l + 1], ++seed));
        }
        for (const Array& array : arrays_) gradients_.emplace_back(array.size());
        for (const Array& array : arrays_)
            for (int i = 0; i < 2; ++i) states_.emplace_back(array.size());
        for (size_t l = 0; l < 3; ++l) {
            weights[l] = arrays_[2 * l].data();
            biases[l] = arrays_[2 * l + 1].data();
            weight_grads[l] = gradients_[2 * l].data();
            bias_grads[l] = gradients_[2 * l + 1].data();
        }
        for (Array& state : states_) states.push_back(state.data());
        x_ = numbers(kRows * sizes_[0], 90);
        y_ = numbers(kRows * sizes_[3], 91);
        for (size_t i = 0; i < labels_.size(); ++i) labels_[i] = static_cast<int32_t>(i % 2);
        out_.resize(static_cast<size_t>(kRows * sizes_[3]));
    }
    Problem(const Problem&) = delete;
    Problem& operator=(const Problem&) = delete;
    ~Problem() { gdfast_mlp_destroy(mlp); }

    void use_threads(int n) { options.n_threads = rule_.n_threads = n; }
    int create() { return gdfast_mlp_create(&options, &mlp); }
    int forward(int64_t rows) {
        return gdfast_mlp_forward_f64(mlp, weights, biases, x_.data(), rows, out_.data());
    }
    int loss_and_grad(int64_t rows) {
        return gdfast_mlp_loss_and_grad_f64(mlp, weights, biases, x_.data(), y(), nullptr, rows, &loss,
                                            weight_grads, bias_grads);
    }
    int step(int64_t rows) {
        return gdfast_mlp_step_f64(mlp, weights, biases, states.data(), x_.data(), y(), nullptr, rows, &rule_,
                                   ++steps_, &loss);
    }
    int rule_update() {
        return gdfast_rule_update_f64(&rule_, ++steps_, 30, weights[0], weight_grads[0], states.data());
    }
    const std::vector<Array>& arrays() const { return arrays_; }

    gdfast_mlp_options options;
    gdfast_mlp* mlp = nullptr;
    double loss = 0;

private:
    static Array numbers(int64_t n, int seed) {
        Array values(static_cast<size_t>(n));
        uint32_t x = static_cast<uint32_t>(seed) * 2654435761u + 1;
        for (double& value : values) {
            x = x * 1664525u + 1013904223u;
            value = (x >> 8) / 16777216.0 - 0.5;
        }
        return values;
    }
    const void* y() const {
        return options.loss == GDFAST_LOSS_CROSS_ENTROPY ? static_cast<const void*>(labels_.data())
                                                         : y_.data();
    }

    const int64_t sizes_[4] = {37, 40, 3, 2};  // the last layers are narrow
    const int32_t activations_[2] = {GDFAST_ACTIVATION_GELU, GDFAST_ACTIVATION_RELU};
    gdfast_rule rule_;
    int64_t steps_ = 0;
    std::vector<Array> arrays_, gradients_, states_;
    double *weights[3], *biases[3], *weight_grads[3], *bias_grads[3];
    std::vector<double*> states;
    Array x_, y_, out_;
    std::vector<int32_t> labels_ = std::vector<int32_t>(kRows);
};

}  // namespace

TEST(capi, calls_allocate_nothing) {
    for (const int loss : {GDFAST_LOSS_SQUARED_ERROR, GDFAST_LOSS_CROSS_ENTROPY})
        for (const int rule : {GDFAST_RULE_SGD, GDFAST_RULE_ADAM, GDFAST_RULE_NADAM, GDFAST_RULE_RPROP}) {
            Problem problem(loss, rule);
            CHECK(problem.create() == GDFAST_OK);
            const check::FailingAllocation failing(0);
            for (const int64_t rows : {int64_t{1}, int64_t{3}, Problem::kRows}) {
                CHECK(problem.forward(rows) == GDFAST_OK);
                CHECK(problem.loss_and_grad(rows) == GDFAST_OK);
                CHECK(problem.step(rows) == GDFAST_OK);
                CHECK(problem.rule_update() == GDFAST_OK);
            }
            CHECK(!failing.has_failed());
        }
}

TEST(capi, without_memory_there_is_a_status) {
    bool created = false;
    for (int64_t number = 0; !created; ++number) {
        Problem problem;
        const check::FailingAllocation failing(number);
        const int status = problem.create();
        created = status == GDFAST_OK;
        CHECK(created != failing.has_failed());
        if (created) break;
        CHECK(status == GDFAST_OUT_OF_MEMORY);
        CHECK(!problem.mlp);
        CHECK(std::strcmp(gdfast_last_error(), "there is not enough memory") == 0);
    }
}

TEST(capi, a_step_without_memory_changes_nothing) {
    const check::Environment two("GDFAST_FORCE_THREADS", "2");  // one thread allocates nothing
    bool stepped = false;
    for (int64_t number = 0; !stepped; ++number) {
        Problem problem;
        problem.use_threads(2);
        CHECK(problem.create() == GDFAST_OK);
        const std::vector<Array> before = problem.arrays();
        const check::FailingAllocation failing(number);
        stepped = problem.step(Problem::kRows) == GDFAST_OK;
        CHECK(stepped || problem.arrays() == before);
    }
}

TEST(capi, handles_on_threads_are_independent) {
    constexpr int kThreads = 4, kSteps = 30;
    const auto train = [](Problem& problem) {
        CHECK(problem.create() == GDFAST_OK);
        for (int i = 0; i < kSteps; ++i) {
            CHECK(problem.step(Problem::kRows) == GDFAST_OK);
            CHECK(problem.forward(1) == GDFAST_OK);
        }
    };
    Problem alone, together[kThreads];
    train(alone);
    std::vector<std::thread> threads;
    for (Problem& problem : together) threads.emplace_back([&] { train(problem); });
    for (std::thread& thread : threads) thread.join();
    for (const Problem& problem : together) CHECK(problem.arrays() == alone.arrays());
}

// Each call is refused, or has the network for itself.
TEST(capi, one_handle_on_threads_is_refused) {
    Problem problem;
    CHECK(problem.create() == GDFAST_OK);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&problem] {
            Problem own;  // arrays of its own
            for (int i = 0; i < 200; ++i) {
                own.mlp = problem.mlp;
                const int status = own.step(3);
                own.mlp = nullptr;
                CHECK(status == GDFAST_OK || status == GDFAST_IN_USE);
                if (status == GDFAST_IN_USE)
                    CHECK(std::string(gdfast_last_error()).find("make one for each thread") !=
                          std::string::npos);
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(problem.step(3) == GDFAST_OK);
}

TEST(capi, a_table_that_is_missing_is_a_status) {
    gdfast_table = nullptr;
    gdfast_rule rule;
    CHECK(gdfast_rule_init(&rule, sizeof rule, GDFAST_RULE_SGD) == GDFAST_NOT_IMPORTED);
    CHECK(std::string(gdfast_last_error()).find("gdfast_import") == 0);
    gdfast_mlp_destroy(nullptr);
    gdfast_table = &capi::kApi;
    CHECK(gdfast_rule_init(&rule, sizeof rule, GDFAST_RULE_SGD) == GDFAST_OK);
}

}  // namespace gdfast
