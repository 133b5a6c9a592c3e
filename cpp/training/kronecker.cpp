#include "training/kronecker.h"

#include <cmath>

#include "network/interruption.h"
#include "training/row_steps.h"
#include "training/tiles.h"

namespace gdfast {

namespace {

// Rows whose activations are in memory at once; the sums over rows continue from one batch to the next.
constexpr int64_t kBatchRows = 1024;

// Second moments are gradients of matrices whose inputs are their deltas as well, and first moments those of
// their biases.
Spec moments_spec(const Spec& spec) {
    std::vector<Layer> squares;
    for (const auto side : {&Layer::in, &Layer::out})
        for (const Layer& l : spec.layers) {
            Layer square{};
            square.in = square.out = l.*side;
            squares.push_back(square);
        }
    return Spec(squares, spec.panel);
}

template <class T>
std::vector<RowPanels<T>> views(const Factors<T>& factors) {
    std::vector<RowPanels<T>> all;
    for (const auto* side : {&factors.inputs, &factors.deltas})
        for (const RowPanels<T>& panels : *side) all.push_back(panels.from_panel(0));
    return all;
}

// The second half of a step that adds its moments to those of the steps before.
template <class T>
class MomentSum final : public SecondHalf<T> {
public:
    MomentSum(const Spec& spec, const Tiling& tiling, int threads)
        : sums(spec.parameters), spec_(spec), tiling_(tiling), interruption_(Interruption::current()) {
        for (int i = 0; i < threads; ++i) scratch_.emplace_back(spec.panel + tiling.scratch());
    }

    std::vector<Phase> phases(const FirstHalf<T>& first) override {
        first_ = &first;
        panels_ = views(first.factors());
        return {{[this](int threads, int64_t* bounds) { tiling_.divide(0, threads, bounds); },
                 [this](int64_t unit, int thread) { add_strip(unit, thread); }, true}};
    }
    void begin_step(const Step& step) override { rows_.assign(spec_.layers.size(), step.terms); }
    void end_step(const Step&) override {}

    Buffer<T> sums;  // as the parameters of moments_spec() are laid out

private:
    void add_strip(int64_t unit, int thread) {
        const int64_t P = spec_.panel;
        T* scratch = scratch_[static_cast<size_t>(thread)].data();
        const StripGradient<T> part{scratch, scratch + P};
        const Strip& strip = tiling_[unit];
        StopCheck check(interruption_, thread);
        sum_strip(spec_, Factors<T>{panels_, panels_, nullptr, rows_}, strip, part, check);
        const StripGradient<T> whole = in_whole(spec_, strip, sums.data());
        const auto add = [](int64_t n, const T* from, T* to) {
            for (int64_t e = 0; e < n; ++e) to[e] += from[e];
        };
        if (strip.bias) add(P, part.bias, whole.bias);
        add(strip.blocks.count() * P * P, part.weights, whole.weights);
    }

    const Spec& spec_;
    const Tiling& tiling_;
    Interruption* const interruption_;
    const FirstHalf<T>* first_ = nullptr;
    std::vector<RowPanels<T>> panels_;
    std::vector<int64_t> rows_;
    std::vector<Buffer<T>> scratch_;
};

}  // namespace

template <class T>
void kronecker_factors(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data,
                       const LossFunction<T>& loss, const KroneckerFactors<T>& factors, int thread_limit) {
    const int64_t batch_rows = std::min(kBatchRows, data.count);
    const Spec moments = moments_spec(spec);
    const Tiling tiling(moments, batch_rows);
    const double work_per_row = 2 * spec.work_per_row() + moments.work_per_row();
    const int threads = std::min(
        {tiling.most_threads(),
         threads_for(work_per_row * static_cast<double>(batch_rows), tiling.size(), thread_limit),
         threads_for_once(work_per_row * static_cast<double>(data.count), tiling.size(), thread_limit)});
    Parameters<T> parameters(spec, true);
    parameters.load(arrays);
    Workspace<T> work(spec, batch_rows, std::vector<double>{});
    work.allocate(spec, data.x, data.order, data.count);
    std::vector<Moments<T>> norm_moments;  // nothing is normalised or dropped out
    std::vector<Buffer<T>> norm_gradients;
    const int64_t steps_taken = 0;
    // A delta's square is to be weighted: the delta is, by the root, and no sum of weights divides it.
    double weight_sum = 0;
    std::vector<T> roots;
    Data<T> weighted = data;
    if (data.weight) {
        roots.resize(static_cast<size_t>(data.x.rows));
        for (int64_t i = 0; i < data.count; ++i) {
            const auto row = static_cast<size_t>(data.row(i));
            weight_sum += static_cast<double>(data.weight[row]);
            roots[row] = std::sqrt(data.weight[row]);
        }
        weighted.weight = roots.data();
    } else {
        weight_sum = static_cast<double>(data.count);
    }
    RowSteps<T> rows({spec, parameters, work, loss, norm_moments, norm_gradients, {}, {0, 0}, steps_taken},
                     weighted, batch_rows, 0, 1.0);
    MomentSum<T> sum(moments, tiling, threads);
    run_steps<T>(rows, sum, threads);
    stop_point();

    const size_t layers = spec.layers.size();
    std::vector<std::vector<T>> squares, means;
    PlainArrays<T> plain;
    for (const Layer& l : moments.layers) {
        plain.coefs.push_back(squares.emplace_back(static_cast<size_t>(l.in * l.in)).data());
        plain.intercepts.push_back(means.emplace_back(static_cast<size_t>(l.in)).data());
    }
    plain.gammas.assign(2 * layers, nullptr);
    plain.betas.assign(2 * layers, nullptr);
    unpack(moments, sum.sums.data(), plain);
    const T by_rows = static_cast<T>(1 / static_cast<double>(data.count));
    const T by_weight = static_cast<T>(1 / weight_sum);
    for (size_t i = 0; i < layers; ++i) {
        const int64_t in = spec.layers[i].in, out = spec.layers[i].out, n = in + 1;
        T* to = factors.inputs[i];
        for (int64_t j = 0; j < in; ++j) {
            for (int64_t k = 0; k < in; ++k)
                to[j * n + k] = squares[i][static_cast<size_t>(j * in + k)] * by_rows;
            to[j * n + in] = to[in * n + j] = means[i][static_cast<size_t>(j)] * by_rows;
        }
        to[n * n - 1] = 1;
        for (int64_t e = 0; e < out * out; ++e)
            factors.deltas[i][e] = squares[layers + i][static_cast<size_t>(e)] * by_weight;
    }
}

template void kronecker_factors(const Spec&, const ConstPlainArrays<float>&, const Data<float>&,
                                const LossFunction<float>&, const KroneckerFactors<float>&, int);
template void kronecker_factors(const Spec&, const ConstPlainArrays<double>&, const Data<double>&,
                                const LossFunction<double>&, const KroneckerFactors<double>&, int);

}  // namespace gdfast
