#include "training/trainer.h"

#include <chrono>

namespace gdfast {

namespace {

constexpr auto kBetweenChecks = std::chrono::milliseconds(50);

}  // namespace

template <class T>
Trainer<T>::Trainer(const Spec& spec, Loss loss, const RuleSpec& rule, double alpha, int64_t batch_size,
                    int thread_limit)
    : spec_(spec),
      loss_(loss),
      rule_(rule),
      alpha_(alpha),
      batch_size_(batch_size),
      tiling_(spec_, batch_size),
      threads_(threads_for(3 * spec_.work_per_row() * static_cast<double>(batch_size), tiling_.size(), thread_limit)),
      parameters_(spec_),
      work_(spec_, batch_size, true),
      squares_(static_cast<size_t>(tiling_.size())) {
    for (size_t i = 0; i < rule_.slots().size(); ++i) slots_.emplace_back(spec_.parameters);
    for (int i = 0; i < threads_; ++i) scratch_.emplace_back(tiling_.scratch());
}

template <class T>
EpochResult Trainer<T>::run(const Data<T>& data, double learning_rate, const std::function<bool()>& interrupted) {
    using Clock = std::chrono::steady_clock;
    Meeting meeting;
    std::atomic<bool> stop{false};
    double total = 0;
    const int64_t steps_before = step;

    in_team(threads_, [&](int thread, int threads) {
        const bool leads = thread == 0;
        const Range strips = tiling_.strips_of(thread, threads);
        T* scratch = scratch_[static_cast<size_t>(thread)].data();
        int64_t steps = steps_before;
        auto next_check = Clock::now() + kBetweenChecks;

        for (int64_t first = 0; first < data.count && !stop; first += batch_size_) {
            const int64_t count = std::min(batch_size_, data.count - first);
            const Batch batch{first, count, data.weight_sum(first, count)};
            if (!(batch.weight_sum > 0)) continue;

            pass_rows(spec_, parameters_, work_, loss_, data, batch, share(count, thread, threads));
            meeting.wait(threads);

            const double data_loss = leads ? sum_losses(work_, batch) : 0;
            ++steps;
            update_strips(batch, rule_.at<T>(steps, learning_rate, alpha_ / batch.weight_sum), strips, scratch);
            if (leads && Clock::now() >= next_check) {
                if (interrupted()) stop = true;
                next_check = Clock::now() + kBetweenChecks;
            }
            meeting.wait(threads);

            // The others are on the next batch's rows by now, and write nothing that is read here.
            if (leads) {
                total += batch_loss(batch, data_loss) * static_cast<double>(count);
                step = steps;
            }
        }
    });
    return {data.count ? total / static_cast<double>(data.count) : 0, stop};
}

template <class T>
void Trainer<T>::update_strips(const Batch& batch, const RuleStep<T>& step, Range strips, T* scratch) {
    const KernelTable<T>& table = kernels<T>();
    const auto update = table.update[static_cast<int>(rule_.rule)];
    RuleStep<T> bias_step = step;
    bias_step.decay = 0;
    for (int64_t i = strips.first; i < strips.last; ++i) {
        double squares = 0;
        sum_strip(spec_, parameters_, work_, tiling_[i], batch.count, scratch, [&](const GradientPiece<T>& piece) {
            T* w = parameters_.values.data() + piece.offset;
            T* s0 = slots_.size() > 0 ? slots_[0].data() + piece.offset : nullptr;
            T* s1 = slots_.size() > 1 ? slots_[1].data() + piece.offset : nullptr;
            const T before = update(piece.elements, w, piece.gradient, s0, s1, piece.bias ? bias_step : step);
            if (!piece.bias) squares += static_cast<double>(before);
            if (piece.transposed) table.transpose(w, piece.transposed);
        });
        squares_[static_cast<size_t>(i)] = squares;
    }
}

template <class T>
double Trainer<T>::batch_loss(const Batch& batch, double data_loss) const {
    double squares = 0;
    for (const double strip : squares_) squares += strip;
    // scikit-learn averages the squared error over the outputs and descends the gradient of their sum.
    const double outputs = loss_ == Loss::squared_error ? static_cast<double>(spec_.outputs()) : 1;
    return (data_loss / outputs + 0.5 * alpha_ * squares) / batch.weight_sum;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace gdfast
