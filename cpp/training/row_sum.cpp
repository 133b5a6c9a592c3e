#include "training/row_sum.h"

#include <optional>

#include "network/interruption.h"

namespace gdfast {

namespace {

// The second half of a step that adds its products to those of the steps before.
template <class T>
class ProductSum final : public SecondHalf<T> {
public:
    ProductSum(const Spec& spec, const Parameters<T>& parameters, const Tiling& tiling, int threads,
               const FurtherProducts<T>* further, T* sum, double& loss)
        : spec_(spec),
          parameters_(parameters),
          tiling_(tiling),
          sum_(sum),
          loss_(loss),
          interruption_(Interruption::current()) {
        if (further) further_.emplace(Factors<T>{further->inputs, further->deltas, nullptr, {}});
        for (int i = 0; i < threads; ++i) scratch_.emplace_back(spec.panel + tiling.scratch());
    }

    std::vector<Phase> phases(const FirstHalf<T>& first) override {
        return {{[this](int threads, int64_t* bounds) {
                     tiling_.divide(0, threads, bounds);
                     ++bounds[threads];  // one more unit: the loss
                 },
                 [this, &first](int64_t unit, int thread) {
                     if (unit == tiling_.size())
                         loss_ += first.sum_losses();
                     else
                         add_strip(first.factors(), unit, thread);
                 },
                 true}};
    }
    void begin_step(const Step& step) override {
        if (further_) further_->rows.assign(spec_.layers.size(), step.terms);
    }
    void end_step(const Step&) override {}

private:
    void add_strip(const Factors<T>& factors, int64_t unit, int thread) {
        T* scratch = scratch_[static_cast<size_t>(thread)].data();
        const StripGradient<T> part{scratch, scratch + spec_.panel};
        StopCheck check(interruption_, thread);
        const auto add = [&](const Factors<T>& of, const Strip& strip) {
            sum_strip(spec_, of, strip, part, check);
            for_pieces(spec_, parameters_, strip, part, [&](const GradientPiece<T>& piece) {
                T* sum = sum_ + piece.offset;
                for (int64_t e = 0; e < piece.elements; ++e) sum[e] += piece.gradient[e];
            });
        };
        Strip strip = tiling_[unit];
        add(factors, strip);
        strip.bias = false;
        if (further_ && strip.layer > 0) add(*further_, strip);
    }

    const Spec& spec_;
    const Parameters<T>& parameters_;
    const Tiling& tiling_;
    std::optional<Factors<T>> further_;
    T* const sum_;
    double& loss_;
    Interruption* const interruption_;
    std::vector<Buffer<T>> scratch_;
};

}  // namespace

template <class T>
RowSum<T>::RowSum(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data, int64_t most_rows,
                  double passes, int thread_limit)
    : weight_sum(data.weight_sum(0, data.count)),
      batch_rows(std::min(most_rows, std::max<int64_t>(data.count, 1))),
      parameters(spec, true),
      work(spec, batch_rows, std::vector<double>{}),
      values(spec.parameters),
      spec_(spec),
      data_(data),
      tiling_(spec, batch_rows),
      threads_([&] {
          const double work_per_row = passes * spec.work_per_row();
          return std::min(
              {tiling_.most_threads(),
               threads_for(work_per_row * static_cast<double>(batch_rows), tiling_.size(), thread_limit),
               threads_for_once(work_per_row * static_cast<double>(data.count), tiling_.size(),
                                thread_limit)});
      }()) {
    parameters.load(arrays);
    work.allocate(spec, data.x, data.order, data.count);
}

template <class T>
void RowSum<T>::run(const LossFunction<T>& loss_function, OtherPass pass, const FurtherProducts<T>* further) {
    std::vector<Moments<T>> moments;  // nothing is normalised or dropped out
    std::vector<Buffer<T>> norm_gradients;
    const int64_t steps_taken = 0;
    RowSteps<T> rows(
        {spec_, parameters, work, loss_function, moments, norm_gradients, {}, {0, 0}, steps_taken}, data_,
        batch_rows, 0, weight_sum, std::move(pass));
    ProductSum<T> sum(spec_, parameters, tiling_, threads_, further, values.data(), loss);
    run_steps<T>(rows, sum, threads_);
    stop_point();
}

template class RowSum<float>;
template class RowSum<double>;

}  // namespace gdfast
