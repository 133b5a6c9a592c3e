// Every allocation in turn fails: std::bad_alloc comes out, what was given is as it was, and a trainer is as
// it was after its last whole step.
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>

#include "check.h"
#include "failing.h"
#include "kernels/dispatch.h"
#include "network/predict.h"
#include "network/sequence_predict.h"
#include "training/gradient.h"
#include "training/sequence_trainer.h"
#include "training/trainer.h"
#include "training/update.h"

namespace gdfast {

namespace {

using Array = std::vector<float>;

Array numbers(int64_t n, unsigned seed, float size = 1) {
    std::mt19937 random(seed);
    Array values(static_cast<size_t>(n));
    for (float& value : values) value = (static_cast<float>(random() / 2147483648.0) - 1) * size;
    return values;
}

// Arrays that own their memory, by the names of PlainArrays.
struct Weights {
    std::vector<Array> coefs, intercepts, gammas, betas, means, variances, embeddings;

    explicit Weights(const Spec& spec) {
        unsigned seed = 0;
        for (const Layer& l : spec.layers) {
            coefs.push_back(numbers(l.in * l.out, ++seed, 0.3f));
            intercepts.push_back(numbers(l.out, ++seed, 0.1f));
            const auto n = static_cast<size_t>(l.normalized ? l.out : 0);
            for (auto [list, value] :
                 {std::pair{&gammas, 1.0f}, {&betas, 0.0f}, {&means, 0.0f}, {&variances, 1.0f}})
                list->emplace_back(n, value);
        }
        for (const EmbeddingShape& e : spec.embeddings)
            embeddings.push_back(numbers(e.categories * e.size, ++seed, 0.1f));
    }
    PlainArrays<float> plain() {
        PlainArrays<float> arrays;
        const auto add = [](std::vector<Array>& from, std::vector<float*>& to) {
            for (Array& array : from) to.push_back(array.data());
        };
        add(coefs, arrays.coefs);
        add(intercepts, arrays.intercepts);
        add(gammas, arrays.gammas);
        add(betas, arrays.betas);
        add(means, arrays.means);
        add(variances, arrays.variances);
        add(embeddings, arrays.embeddings);
        return arrays;
    }
    bool operator==(const Weights& o) const {
        return coefs == o.coefs && intercepts == o.intercepts && gammas == o.gammas && betas == o.betas &&
               means == o.means && variances == o.variances && embeddings == o.embeddings;
    }
};

// Calls attempt(number of the allocation that fails) until none fails any more. Returns how many did.
template <class Attempt>
int64_t fail_in_turn(Attempt attempt) {
    int64_t number = 0;
    while (attempt(number)) ++number;
    return number;
}

// Runs `work` with an allocation that fails; whether it did. bad_alloc has to come out then, and nothing
// else.
template <class Work>
bool fails(int64_t number, Work work) {
    bool failed = false, thrown = false;
    {
        const check::FailingAllocation failing(number);
        try {
            work();
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
        failed = failing.has_failed();
    }
    CHECK(failed == thrown);
    return failed;
}

constexpr int64_t kRows = 90, kBatch = 32, kEpochs = 2, kStepsOfEpoch = 3;

struct Problem {
    std::vector<int64_t> units{37, 40, 3, 2};
    std::vector<bool> normalized;
    std::vector<double> dropout;
    DescentOptions options;
    bool sparse = false, embedded = false, looked_at = false;

    Problem() { options.rule = RuleSpec(rule_kind("adam")); }
};

class RowProblem {
public:
    explicit RowProblem(const Problem& problem)
        : problem_(problem), x_(numbers(kRows * problem.units[0], 91)) {
        y_ = numbers(kRows * problem.units.back(), 92);
        data_.x.rows = data_.y.values.rows = data_.count = kRows;
        data_.x.columns = problem.units[0];
        data_.y.values.columns = problem.units.back();
        data_.y.values.dense = y_.data();
        data_.x.dense = x_.data();
        std::vector<EmbeddingShape> shapes;
        if (problem.sparse) {  // every fifth entry
            data_.x.dense = nullptr;
            Array entries;
            for (int64_t e = 0; e < kRows * problem.units[0]; ++e) {
                if (e % 5 == 0) {
                    entries.push_back(x_[static_cast<size_t>(e)]);
                    indices_.push_back(static_cast<int32_t>(e % problem.units[0]));
                }
                if ((e + 1) % problem.units[0] == 0) indptr_.push_back(static_cast<int32_t>(indices_.size()));
            }
            x_ = entries;
            data_.x.data = x_.data();
            data_.x.stored = static_cast<int64_t>(entries.size());
            data_.x.indices32 = indices_.data();
            data_.x.indptr32 = indptr_.data();
        }
        if (problem.embedded) {
            std::vector<Column<float>> columns(2);
            columns[0].categories = 9;
            columns[0].embedding = 36;
            columns[1].clipped = true;
            encoding_.emplace(columns);
            for (int64_t i = 0; i < kRows; ++i) x_[static_cast<size_t>(2 * i)] = static_cast<float>(i % 11);
            data_.x.dense = nullptr;
            data_.x.table = x_.data();
            data_.x.encoding = &*encoding_;
            shapes.push_back({9, 36});
        }
        spec_.emplace(problem.units,
                      std::vector<ActivationFunction>(problem.units.size() - 2, {Activation::tanh, 0}),
                      kernels<float>().panel, kernels<float>().lanes, problem.normalized, shapes);
    }

    const Spec& spec() const { return *spec_; }
    const Data<float>& data() const { return data_; }
    std::unique_ptr<Trainer<float>> trainer(int threads) const {
        return std::make_unique<Trainer<float>>(*spec_, LossFunction<float>{Loss::squared_error, {}},
                                                problem_.options, problem_.dropout, NormOptions{}, kBatch,
                                                threads);
    }
    void run_epoch(Trainer<float>& trainer, int threads, int64_t count) const {
        EpochOptions options{{&rate_, 1}, threads, 0, {}, {}, {}};
        if (problem_.looked_at) options.on_gradient = [] {};
        Data<float> data = data_;
        data.count = count;
        trainer.run(data, options);
    }
    // The weights after so many steps.
    Weights after(int64_t steps, int threads) const {
        Weights weights(*spec_);
        auto reference = trainer(threads);
        reference->load(weights.plain());
        for (; steps > 0; steps -= kStepsOfEpoch)
            run_epoch(*reference, threads, std::min(kRows, steps * kBatch));
        reference->save(weights.plain());
        return weights;
    }

private:
    const Problem problem_;
    Array x_, y_;
    std::vector<int32_t> indices_, indptr_{0};
    std::optional<Encoding<float>> encoding_;
    std::optional<Spec> spec_;
    Data<float> data_;
    const double rate_ = 0.01;
};

void check_training(const Problem& given) {
    for (int threads : {1, 3}) {
        const check::Environment environment("GDFAST_FORCE_THREADS", std::to_string(threads).c_str());
        const RowProblem problem(given);
        std::vector<Weights> after;
        for (int64_t steps = 0; steps <= kEpochs * kStepsOfEpoch; ++steps)
            after.push_back(problem.after(steps, threads));
        const int64_t failures = fail_in_turn([&](int64_t number) {
            Weights weights(problem.spec());
            const PlainArrays<float> plain = weights.plain();
            std::unique_ptr<Trainer<float>> trainer;
            bool loaded = false;
            const bool failed = fails(number, [&] {
                trainer = problem.trainer(threads);
                trainer->load(plain);
                loaded = true;
                for (int64_t epoch = 0; epoch < kEpochs; ++epoch) problem.run_epoch(*trainer, threads, kRows);
            });
            CHECK(weights == after[0]);  // only save() writes to them
            if (!loaded) return failed;
            const auto steps = static_cast<size_t>(trainer->descent.step);
            trainer->save(plain);
            CHECK(steps < after.size() && weights == after[steps]);
            // It goes on as if nothing had happened.
            problem.run_epoch(*trainer, threads, kRows);
            CHECK(trainer->finite());
            return failed;
        });
        CHECK(failures > 30);
    }
}

}  // namespace

TEST(memory, training_a_plain_net) { check_training({}); }

TEST(memory, training_with_limits_penalty_and_records) {
    Problem problem;
    problem.options.limits.norm = 0.5;
    problem.options.limits.layer_norm = 0.4;
    problem.options.limits.adaptive = true;
    problem.options.alpha = 0.01;
    problem.options.l1_ratio = 0.5;
    problem.options.gradient_noise = 0.01;
    problem.options.records = true;
    check_training(problem);
}

TEST(memory, training_with_batch_normalisation_and_dropout) {
    Problem problem;
    problem.normalized = {true, true, false};
    problem.dropout = {0.1, 0.2, 0.2};
    check_training(problem);
}

TEST(memory, training_on_sparse_rows) {
    Problem problem;
    problem.sparse = true;
    check_training(problem);
}

TEST(memory, training_with_embeddings) {
    Problem problem;
    problem.embedded = true;
    problem.options.limits.norm = 0.5;
    check_training(problem);
}

TEST(memory, training_with_somebody_at_the_gradient) {
    Problem problem;
    problem.looked_at = true;
    problem.options.records = true;
    check_training(problem);
}

TEST(memory, prediction) {
    for (bool sparse : {false, true})
        for (bool normalized : {false, true})
            for (int threads : {1, 3}) {
                const check::Environment environment("GDFAST_FORCE_THREADS", std::to_string(threads).c_str());
                Problem given;
                given.sparse = sparse;
                if (normalized) given.normalized = {true, true, false};
                const RowProblem problem(given);
                Weights weights(problem.spec());
                const ConstPlainArrays<float> plain = weights.plain();
                const auto run = [&](Array& out, int64_t rows) {
                    predict<float>(problem.spec(), plain, problem.data().x, nullptr, rows, Output::identity,
                                   1e-5, true, out.data(), threads);
                };
                for (int64_t rows : {int64_t{3}, kRows}) {
                    Array out(static_cast<size_t>(rows * 2)), expected = out;
                    run(expected, rows);
                    CHECK(fail_in_turn([&](int64_t n) { return fails(n, [&] { run(out, rows); }); }) > 5);
                    CHECK(out == expected);
                }
            }
}

TEST(memory, loss_and_gradient_write_all_or_nothing) {
    for (int threads : {1, 3}) {
        const check::Environment environment("GDFAST_FORCE_THREADS", std::to_string(threads).c_str());
        const RowProblem problem({});
        Weights weights(problem.spec()), gradient(problem.spec());
        const Weights before = gradient;
        const ConstPlainArrays<float> plain = weights.plain();
        const PlainArrays<float> to = gradient.plain();
        CHECK(fail_in_turn([&](int64_t number) {
                  CHECK(gradient == before);
                  return fails(number, [&] {
                      loss_and_gradient<float>(problem.spec(), plain, problem.data(),
                                               {Loss::squared_error, {}}, 0.1, to, threads);
                  });
              }) > 30);
        CHECK(!(gradient == before));
    }
}

TEST(memory, an_update_changes_all_or_nothing) {
    for (int threads : {1, 3}) {
        const check::Environment environment("GDFAST_FORCE_THREADS", std::to_string(threads).c_str());
        const RuleSpec rule(rule_kind("sgd"));
        Array w = numbers(100'000, 1), g = numbers(100'000, 2);
        const Array before = w;
        const std::vector<Updated<float>> arrays{{w.data(), g.data(), {}, 100'000}};
        fail_in_turn([&](int64_t number) {
            CHECK(w == before);
            return fails(number,
                         [&] { update_all<float>(rule.rule, rule.at<float>(1, 0.1, 0), arrays, threads); });
        });
        CHECK(w != before);
    }
}

TEST(memory, sequences) {
    constexpr int64_t count = 7, length = 12, features = 3, units = 20;
    for (int threads : {1, 3})
        for (bool per_step : {false, true}) {
            const check::Environment environment("GDFAST_FORCE_THREADS", std::to_string(threads).c_str());
            const RecurrentSpec spec(Cell::lstm, features, {units}, 1, kernels<float>().panel);
            Array x = numbers(count * length * features, 1), y = numbers(count * length, 2);
            std::vector<int64_t> starts(count + 1);
            for (int64_t i = 0; i <= count; ++i) starts[static_cast<size_t>(i)] = i * length;
            Array states(count * 2 * units);
            SequenceData<float> data;
            data.sequences.x.rows = count * length;
            data.sequences.x.columns = features;
            data.sequences.x.dense = x.data();
            data.sequences.sequences = data.sequences.count = count;
            data.sequences.starts = starts.data();
            data.y.values.rows = per_step ? count * length : count;
            data.y.values.columns = 1;
            data.y.values.dense = y.data();
            const std::optional<Truncation> truncation =
                per_step ? std::optional<Truncation>({3, 5}) : std::nullopt;
            DescentOptions options;
            options.rule = RuleSpec(rule_kind("adam"));
            options.limits.norm = 0.5;
            const double rate = 0.01;
            const auto run = [&](SequenceTrainer<float>& trainer) {
                trainer.run(data, EpochOptions{{&rate, 1}, threads, 0, {}, {}, {}});
            };

            Weights weights(spec.matrices);
            const Weights before = weights;
            const PlainArrays<float> plain = weights.plain();
            Weights expected = before;
            int64_t all_steps = 0;
            const int64_t failures = fail_in_turn([&](int64_t number) {
                std::optional<SequenceTrainer<float>> trainer;
                bool loaded = false;
                const bool failed = fails(number, [&] {
                    trainer.emplace(spec, LossFunction<float>{Loss::squared_error, {}}, options, per_step,
                                    truncation, 4, threads);
                    trainer->load(plain);
                    loaded = true;
                    run(*trainer);
                });
                if (!loaded) return failed;
                Weights now = before;
                trainer->save(now.plain());
                CHECK(trainer->finite());
                if (trainer->descent.step == 0) CHECK(now == before);
                if (failed) return true;
                expected = now;
                all_steps = trainer->descent.step;
                return false;
            });
            CHECK(weights == before);
            CHECK(failures > 30);
            CHECK(!(expected == before) && all_steps >= 2);

            Array out(count * length), wanted(count * length);
            const auto predicted = [&](Array& to) {
                Sequences<float> sequences = data.sequences;
                sequences.states = {states.data()};
                std::fill(states.begin(), states.end(), 0.0f);
                predict_sequences<float>(spec, plain, sequences, per_step, Output::identity, to.data(),
                                         threads);
            };
            predicted(wanted);
            CHECK(fail_in_turn([&](int64_t n) { return fails(n, [&] { predicted(out); }); }) > 10);
            CHECK(out == wanted);
        }
}

}  // namespace gdfast
