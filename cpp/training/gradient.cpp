#include "training/gradient.h"

#include "network/interruption.h"
#include "training/row_steps.h"

namespace gdfast {

namespace {

// Rows whose activations are in memory at once; the sums over rows continue from one batch to the next.
constexpr int64_t kBatchRows = 1024;

// The second half of a step that adds its gradient to those of the steps before.
template <class T>
class GradientSum final : public SecondHalf<T> {
public:
    GradientSum(const Spec& spec, const Parameters<T>& parameters, const Tiling& tiling, int threads)
        : gradient(spec.parameters),
          spec_(spec),
          parameters_(parameters),
          tiling_(tiling),
          interruption_(Interruption::current()) {
        for (int i = 0; i < threads; ++i) scratch_.emplace_back(spec.panel + tiling.scratch());
    }

    std::vector<Phase> phases(const FirstHalf<T>& first) override {
        return {{[this](int threads, int64_t* bounds) {
                     tiling_.divide(0, threads, bounds);
                     ++bounds[threads];  // one more unit: the loss
                 },
                 [this, &first](int64_t unit, int thread) {
                     if (unit == tiling_.size())
                         loss += first.sum_losses();
                     else
                         add_strip(first.factors(), unit, thread);
                 },
                 true}};
    }
    void begin_step(const Step&) override {}
    void end_step(const Step&) override {}

    Buffer<T> gradient;  // as the parameters are laid out
    double loss = 0;

private:
    void add_strip(const Factors<T>& factors, int64_t unit, int thread) {
        T* scratch = scratch_[static_cast<size_t>(thread)].data();
        const StripGradient<T> part{scratch, scratch + spec_.panel};
        StopCheck check(interruption_, thread);
        sum_strip(spec_, factors, tiling_[unit], part, check);
        for_pieces(spec_, parameters_, tiling_[unit], part, [&](const GradientPiece<T>& piece) {
            T* sum = gradient.data() + piece.offset;
            for (int64_t e = 0; e < piece.elements; ++e) sum[e] += piece.gradient[e];
        });
    }

    const Spec& spec_;
    const Parameters<T>& parameters_;
    const Tiling& tiling_;
    Interruption* const interruption_;
    std::vector<Buffer<T>> scratch_;
};

}  // namespace

template <class T>
double loss_and_gradient(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data,
                         const LossFunction<T>& loss, double alpha, const PlainArrays<T>& gradient,
                         int thread_limit) {
    const int64_t batch_rows = std::min(kBatchRows, std::max<int64_t>(data.count, 1));
    const Tiling tiling(spec, batch_rows);
    const double work_per_batch = 3 * spec.work_per_row() * static_cast<double>(batch_rows);
    const double work_in_all = 3 * spec.work_per_row() * static_cast<double>(data.count);
    const int threads =
        std::min({tiling.most_threads(), threads_for(work_per_batch, tiling.size(), thread_limit),
                  threads_for_once(work_in_all, tiling.size(), thread_limit)});
    const double weight_sum = data.weight_sum(0, data.count);
    Parameters<T> parameters(spec, true);
    parameters.load(arrays);
    Workspace<T> work(spec, batch_rows, std::vector<double>{});
    work.allocate(spec, data.x, data.order, data.count);
    std::vector<Moments<T>> moments;  // nothing is normalised or dropped out
    std::vector<Buffer<T>> norm_gradients;
    const int64_t steps_taken = 0;
    RowSteps<T> rows({spec, parameters, work, loss, moments, norm_gradients, {}, {0, 0}, steps_taken}, data,
                     batch_rows, 0, weight_sum);
    GradientSum<T> sum(spec, parameters, tiling, threads);
    run_steps<T>(rows, sum, threads);
    stop_point();

    double squares = 0;
    const T decay = static_cast<T>(alpha / weight_sum);
    for (const Layer& l : spec.layers) {
        const T* w = parameters.values.data() + l.weights;
        T* g = sum.gradient.data() + l.weights;
        if (!(alpha > 0)) continue;
        for (int64_t e = 0; e < l.elements(spec.panel); ++e) {
            squares += static_cast<double>(w[e]) * static_cast<double>(w[e]);
            g[e] += decay * w[e];
        }
    }
    unpack(spec, sum.gradient.data(), gradient);
    return (sum.loss + 0.5 * alpha * squares) / weight_sum;
}

template double loss_and_gradient(const Spec&, const ConstPlainArrays<float>&, const Data<float>&,
                                  const LossFunction<float>&, double, const PlainArrays<float>&, int);
template double loss_and_gradient(const Spec&, const ConstPlainArrays<double>&, const Data<double>&,
                                  const LossFunction<double>&, double, const PlainArrays<double>&, int);

}  // namespace gdfast
