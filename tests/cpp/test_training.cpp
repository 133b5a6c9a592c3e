// A trainer on one thread and on several: the same bits, and no race on the way, which is what
// ThreadSanitizer is to see here. That the numbers are right is for the Python tests.
#include <numeric>
#include <random>
#include <thread>

#include "check.h"
#include "kernels/dispatch.h"
#include "training/trainer.h"

namespace gdfast {

namespace {

struct Problem {
    std::vector<int64_t> units{37, 61, 70, 3};
    std::vector<bool> normalized;
    std::vector<double> dropout;
    DescentOptions options;
    bool sparse = false;
    bool looked_at = false;  // whether there is somebody at the gradient's place
};

constexpr int64_t kRows = 150, kBatch = 64;

template <class T>
std::vector<std::vector<T>> trained(const Problem& problem, int threads) {
    const check::Environment environment("GDFAST_FORCE_THREADS", std::to_string(threads).c_str());
    const auto& units = problem.units;
    const size_t layers = units.size() - 1;
    const bool normalized = !problem.normalized.empty();
    std::mt19937 random(1);
    // (Not std::normal_distribution, which is another one in another standard library.)
    const auto numbers = [&](int64_t n, double size) {
        std::vector<T> values(static_cast<size_t>(n));
        for (T& value : values) value = static_cast<T>((random() / 2147483648.0 - 1) * size);
        return values;
    };

    // Six arrays to a layer, in the order of PlainArrays.
    std::vector<std::vector<T>> arrays;
    PlainArrays<T> plain;
    for (size_t i = 0; i < layers; ++i) {
        const int64_t out = units[i + 1];
        arrays.push_back(numbers(units[i] * out, 0.2));
        arrays.push_back(numbers(out, 0.1));
        const bool norm = normalized && i + 1 < layers;
        for (double filler : {1.0, 0.0, 0.0, 1.0})
            arrays.emplace_back(static_cast<size_t>(norm ? out : 0), static_cast<T>(filler));
    }
    for (size_t i = 0; i < layers; ++i) {
        size_t k = 6 * i;
        for (auto* list :
             {&plain.coefs, &plain.intercepts, &plain.gammas, &plain.betas, &plain.means, &plain.variances})
            list->push_back(arrays[k++].data());
    }

    std::vector<T> x = numbers(kRows * units[0], 1), y = numbers(kRows * units.back(), 1);
    std::vector<int32_t> indices, indptr{0};
    Data<T> data;
    data.x.rows = data.y.values.rows = data.count = kRows;
    data.x.columns = units[0];
    data.y.values.columns = units.back();
    data.y.values.dense = y.data();
    if (problem.sparse) {  // every fifth entry
        std::vector<T> entries;
        for (int64_t e = 0; e < kRows * units[0]; ++e) {
            if (e % 5 == 0) {
                entries.push_back(x[static_cast<size_t>(e)]);
                indices.push_back(static_cast<int32_t>(e % units[0]));
            }
            if ((e + 1) % units[0] == 0) indptr.push_back(static_cast<int32_t>(indices.size()));
        }
        x = entries;
        data.x.data = x.data();
        data.x.indices32 = indices.data();
        data.x.indptr32 = indptr.data();
    } else {
        data.x.dense = x.data();
    }
    std::vector<int64_t> order(kRows);
    std::iota(order.rbegin(), order.rend(), 0);
    data.order = order.data();

    const Spec spec(units, std::vector<ActivationFunction>(layers - 1, {Activation::tanh, 0}),
                    kernels<T>().panel, kernels<T>().lanes, problem.normalized);
    Trainer<T> trainer(spec, {Loss::squared_error, {}}, problem.options, problem.dropout, {}, kBatch,
                       thread_limit(threads));
    trainer.load(plain);
    const double rate = 0.01;
    std::vector<T> losses;
    std::vector<std::vector<T>> copies = arrays;
    PlainArrays<T> gradient;
    for (size_t i = 0; i < layers; ++i) {
        size_t k = 6 * i;
        for (auto* list : {&gradient.coefs, &gradient.intercepts, &gradient.gammas, &gradient.betas})
            list->push_back(copies[k++].data());
    }
    const std::thread::id caller = std::this_thread::get_id();
    int64_t calls = 0, steps = 0;
    const auto look = [&] {
        CHECK(std::this_thread::get_id() == caller);
        ++calls;
        trainer.descent.get_gradient(gradient);
        trainer.descent.set_gradient(gradient);
    };
    for (int epoch = 0; epoch < 10; ++epoch) {
        EpochOptions options{{&rate, 1}, thread_limit(threads), 0, {}, {}, {}};
        if (problem.looked_at) options.on_gradient = look;
        const EpochResult result = trainer.run(data, options);
        losses.push_back(static_cast<T>(result.loss));
        steps += result.steps;
    }
    CHECK(calls == (problem.looked_at ? steps : 0));
    CHECK(trainer.finite());
    CHECK(losses.back() < losses.front());
    trainer.save(plain);
    arrays.push_back(losses);
    return arrays;
}

void check_bits(Problem problem) {
    problem.options.rule = RuleSpec(rule_kind("adam"));
    const auto narrow = trained<float>(problem, 1);
    const auto wide = trained<double>(problem, 1);
    for (int threads : {2, 5}) {
        CHECK(trained<float>(problem, threads) == narrow);
        CHECK(trained<double>(problem, threads) == wide);
    }
    problem.looked_at = true;
    for (int threads : {1, 3}) {
        CHECK(trained<float>(problem, threads) == narrow);
        CHECK(trained<double>(problem, threads) == wide);
    }
}

}  // namespace

TEST(training, a_plain_net) { check_bits({}); }

TEST(training, limits_on_norms_move_in_a_phase_of_their_own) {
    Problem problem;
    problem.options.limits.norm = 0.5;
    problem.options.alpha = 0.01;
    problem.options.records = true;
    check_bits(problem);
}

TEST(training, batch_normalisation_and_dropout) {
    Problem problem;
    problem.normalized = {true, true, false};
    problem.dropout = {0.1, 0.2, 0.2};
    check_bits(problem);
}

TEST(training, sparse_rows) {
    Problem problem;
    problem.sparse = true;
    check_bits(problem);
}

}  // namespace gdfast
