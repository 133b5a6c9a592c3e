// Objects on threads of the caller's, as several Python threads have them without a GIL: some train networks
// of their own, and others predict with one shared set of parameters. ThreadSanitizer is to see that they
// share nothing else.
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "check.h"
#include "kernels/dispatch.h"
#include "network/interruption.h"
#include "network/predict.h"
#include "network/sequence_predict.h"
#include "network/team.h"
#include "training/gradient.h"
#include "training/sequence_trainer.h"
#include "training/trainer.h"

namespace gdfast {

namespace {

template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed, double size) {
    std::vector<T> values(static_cast<size_t>(n));
    for (T& value : values) {
        seed = seed * 1664525 + 1013904223;
        value = static_cast<T>((seed / 2147483648.0 - 1) * size);
    }
    return values;
}

using Arrays = std::vector<std::vector<double>>;

PlainArrays<double> plain(Arrays& arrays) {
    PlainArrays<double> pointers;
    for (size_t i = 0; i < arrays.size(); i += 2) {
        pointers.coefs.push_back(arrays[i].data());
        pointers.intercepts.push_back(arrays[i + 1].data());
    }
    return pointers;
}

constexpr int64_t kRows = 60, kBatch = 20;
const std::vector<int64_t> kUnits{17, 33, 3};

Spec spec() {
    return Spec(kUnits, {{Activation::tanh, 0}}, kernels<double>().panel, kernels<double>().lanes);
}

Arrays weights(uint32_t seed) {
    Arrays arrays;
    for (size_t i = 0; i + 1 < kUnits.size(); ++i) {
        arrays.push_back(numbers<double>(kUnits[i] * kUnits[i + 1], seed++, 0.3));
        arrays.push_back(numbers<double>(kUnits[i + 1], seed++, 0.1));
    }
    return arrays;
}

Data<double> data(const std::vector<double>& x, const std::vector<double>& y) {
    Data<double> rows;
    rows.x.rows = rows.y.values.rows = rows.count = kRows;
    rows.x.columns = kUnits.front();
    rows.x.dense = x.data();
    rows.y.values.columns = kUnits.back();
    rows.y.values.dense = y.data();
    return rows;
}

Arrays trained(uint32_t seed) {
    const auto x = numbers<double>(kRows * kUnits.front(), seed, 1),
               y = numbers<double>(kRows * kUnits.back(), seed + 1, 1);
    Arrays arrays = weights(seed);
    DescentOptions options;
    options.rule = RuleSpec(rule_kind("nadam"));
    Trainer<double> trainer(spec(), {Loss::squared_error, {}}, options, {0.1, 0.2}, {}, kBatch,
                            thread_limit(0));
    trainer.load(plain(arrays));
    const double rate = 0.01;
    for (int epoch = 0; epoch < 3; ++epoch) {
        Interruption never([] { return false; });
        trainer.run(data(x, y), {{&rate, 1}, thread_limit(0), 0, {}, {0.1, 0.2}, {}});
    }
    trainer.save(plain(arrays));
    return arrays;
}

Arrays trained_on_sequences(uint32_t seed) {
    const RecurrentSpec recurrent(Cell::gru, 5, {9}, 2, kernels<double>().panel);
    Arrays arrays;
    for (const Layer& layer : recurrent.matrices.layers) {
        arrays.push_back(numbers<double>(layer.in * layer.out, seed++, 0.3));
        arrays.push_back(numbers<double>(layer.out, seed++, 0.1));
    }
    const auto x = numbers<double>(kRows * 5, seed, 1), y = numbers<double>(12 * 2, seed + 1, 1);
    std::vector<int64_t> starts;
    for (int64_t start = 0; start <= kRows; start += 5) starts.push_back(start);
    SequenceData<double> rows;
    rows.sequences.x.rows = kRows;
    rows.sequences.x.columns = 5;
    rows.sequences.x.dense = x.data();
    rows.sequences.starts = starts.data();
    rows.sequences.sequences = rows.sequences.count = rows.y.values.rows = 12;
    rows.y.values.columns = 2;
    rows.y.values.dense = y.data();
    DescentOptions options;
    options.rule = RuleSpec(rule_kind("adam"));
    SequenceTrainer<double> trainer(recurrent, {Loss::squared_error, {}}, options, false, {}, 4,
                                    thread_limit(0));
    trainer.load(plain(arrays));
    const double rate = 0.01;
    for (int epoch = 0; epoch < 3; ++epoch) trainer.run(rows, {{&rate, 1}, thread_limit(0), 0, {}, {}, {}});
    trainer.save(plain(arrays));
    std::vector<double> out(12 * 2);
    predict_sequences<double>(recurrent, plain(arrays), rows.sequences, false, Output::identity, out.data(),
                              thread_limit(0));
    arrays.push_back(out);
    return arrays;
}

// What one set of weights and rows gives to any number of threads that only read it.
class Shared {
public:
    Arrays predictions() {
        std::vector<double> out(static_cast<size_t>(kRows * kUnits.back()));
        CHECK(predict<double>(spec(), plain(arrays_), data(x_, y_).x, nullptr, kRows, Output::identity, 1e-5,
                              true, out.data(), thread_limit(0)));
        return {out};
    }
    Arrays gradient() {
        Arrays sums = arrays_;
        const double loss =
            loss_and_gradient<double>(spec(), plain(arrays_), data(x_, y_), {Loss::squared_error, {}}, 0.01,
                                      plain(sums), thread_limit(0));
        sums.push_back({loss});
        return sums;
    }

private:
    Arrays arrays_ = weights(7);
    const std::vector<double> x_ = numbers<double>(kRows * kUnits.front(), 3, 1),
                              y_ = numbers<double>(kRows * kUnits.back(), 4, 1);
};

// Runs every job on `copies` threads of its own, all at once, again and again: the results are those of one
// thread.
void check_at_once(const std::vector<std::function<Arrays()>>& jobs, int copies, int rounds) {
    std::vector<Arrays> expected;
    for (const auto& job : jobs) expected.push_back(job());
    std::atomic<bool> begin{false};
    std::vector<std::thread> threads;
    for (size_t j = 0; j < jobs.size(); ++j)
        for (int copy = 0; copy < copies; ++copy)
            threads.emplace_back([&, j] {
                while (!begin) std::this_thread::yield();
                for (int round = 0; round < rounds; ++round) CHECK(jobs[j]() == expected[j]);
            });
    begin = true;
    for (std::thread& thread : threads) thread.join();
}

void check_trainers_beside_predictions(const char* threads) {
    const check::Environment environment("GDFAST_FORCE_THREADS", threads);
    Shared shared;
    check_at_once(
        {[] { return trained(100); }, [] { return trained(200); }, [] { return trained_on_sequences(300); },
         [&] { return shared.predictions(); }, [&] { return shared.gradient(); }},
        2, 4);
}

}  // namespace

TEST(sharing, trainers_beside_predictions_with_shared_parameters) {
    check_trainers_beside_predictions(nullptr);
}

TEST(sharing, each_with_a_team_of_its_own) { check_trainers_beside_predictions("3"); }

// Each thread's interruption is its own: one that is stopped stops no other.
TEST(sharing, an_interruption_stops_its_own_thread_only) {
    const check::Environment environment("GDFAST_FORCE_THREADS", "2");
    std::atomic<int> whole{0}, stopped{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            std::atomic<int> done{0};
            Interruption interruption([t] { return t % 2 == 0; });
            in_parallel(2, 200, [&](int64_t, int) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                ++done;
            });
            if (t % 2 == 1 && done == 200) ++whole;
            if (interruption.check(0)) ++stopped;
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(whole == 4);
    CHECK(stopped == 4);
}

}  // namespace gdfast
