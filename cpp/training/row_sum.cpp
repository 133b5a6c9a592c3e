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

// Both halves of a step, and what they refer to.
template <class T>
struct RowSum<T>::Loop {
    Loop(RowSum& sum, const LossFunction<T>& loss, OtherPass pass, const FurtherProducts<T>* further)
        : rows({sum.spec_, sum.parameters, sum.work, loss, moments, norm_gradients, {}, {0, 0}, steps_taken},
               sum.data_, sum.batch_rows, 0, std::nullopt, std::move(pass)),
          products(sum.spec_, sum.parameters, sum.tiling_, sum.most_threads_, further, sum.values.data(),
                   sum.loss),
          steps(rows, products) {}

    std::vector<Moments<T>> moments;  // nothing is normalised or dropped out
    std::vector<Buffer<T>> norm_gradients;
    const int64_t steps_taken = 0;
    RowSteps<T> rows;
    ProductSum<T> products;
    StepLoop<T> steps;
};

template <class T>
RowSum<T>::RowSum(const Spec& spec, int64_t most_rows, double passes, int thread_limit)
    : batch_rows(most_rows),
      parameters(spec, true),
      work(spec, batch_rows, std::vector<double>{}),
      values(spec.parameters),
      spec_(spec),
      tiling_(spec, batch_rows),
      work_per_row_(passes * spec.work_per_row()),
      thread_limit_(thread_limit),
      most_threads_(thread_limit == 1 ? 1
                                      : std::min(tiling_.most_threads(),
                                                 threads_for(work_per_row_ * static_cast<double>(batch_rows),
                                                             tiling_.size(), thread_limit))) {}

template <class T>
RowSum<T>::RowSum(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data, int64_t most_rows,
                  double passes, int thread_limit)
    : RowSum(spec, std::min(most_rows, std::max<int64_t>(data.count, 1)), passes, thread_limit) {
    begin(arrays, data);
}

template <class T>
RowSum<T>::~RowSum() = default;

template <class T>
int RowSum<T>::threads_worth(int64_t rows) const {
    if (most_threads_ == 1) return 1;
    return std::min(most_threads_, threads_for_once(work_per_row_ * static_cast<double>(rows), tiling_.size(),
                                                    thread_limit_));
}

template <class T>
void RowSum<T>::prepare(const LossFunction<T>& loss_function, OtherPass pass,
                        const FurtherProducts<T>* further) {
    loop_ = std::make_unique<Loop>(*this, loss_function, std::move(pass), further);
}

template <class T>
void RowSum<T>::begin(const ConstPlainArrays<T>& arrays, const Data<T>& data) {
    data_ = data;
    weight_sum = data.weight_sum(0, data.count);
    parameters.load(arrays);
    work.allocate(spec_, data.x, data.order, data.count);
    if (!summed_) return;
    std::fill_n(values.data(), values.size(), T(0));
    loss = 0;
}

template <class T>
void RowSum<T>::run() {
    summed_ = true;
    loop_->rows.restart(weight_sum);
    loop_->steps.run(threads_worth(data_.count));
    stop_point();
}

template class RowSum<float>;
template class RowSum<double>;

}  // namespace gdfast
