#include "training/trainer.h"

#include <atomic>
#include <chrono>

#include "network/denormals.h"

namespace gdfast {

namespace {

// Weights beyond this leave too little of the second cache to a batch's rows.
constexpr int64_t kNearBytes = 256 * 1024;

constexpr auto kBetweenChecks = std::chrono::milliseconds(50);

}  // namespace

template <class T>
Trainer<T>::Trainer(const Spec& spec, const LossFunction<T>& loss, const RuleSpec& rule, double alpha,
                    int64_t batch_size, int thread_limit)
    : spec_(spec),
      loss_(loss),
      rule_(rule),
      alpha_(alpha),
      batch_size_(batch_size),
      tiling_(spec_, batch_size),
      threads_(std::min(tiling_.most_threads(),
                        threads_for(3 * spec_.work_per_row() * static_cast<double>(batch_size),
                                    tiling_.size(), thread_limit))),
      parameters_(spec_, true),
      work_(spec_, batch_size, true),
      squares_(static_cast<size_t>(tiling_.size())) {
    for (size_t i = 0; i < rule_.slots().size(); ++i) slots_.emplace_back(spec_.parameters);
    for (int i = 0; i < threads_; ++i) scratch_.emplace_back(tiling_.scratch());
}

template <class T>
EpochResult Trainer<T>::run(const Data<T>& data, double learning_rate, int thread_limit,
                            const std::function<bool()>& interrupted) {
    using Clock = std::chrono::steady_clock;
    std::atomic<bool> stop{false};
    auto next_check = Clock::now() + kBetweenChecks;
    enum { begin, rows, tiles } phase = begin;
    Batch batch{0, 0, 0};
    int64_t units = 0;
    RuleStep<T> rule_step{};
    double data_loss = 0, total = 0;

    in_phases(
        std::min(threads_, thread_limit),
        [&](int threads, int64_t* bounds) {
            if (phase == rows) {
                rule_step = rule_.at<T>(step + 1, learning_rate, alpha_ / batch.weight_sum);
                tiling_.divide(threads, bounds);
                ++bounds[threads];  // one more unit: the loss
                phase = tiles;
                return true;
            }
            if (phase == tiles) {
                total += batch_loss(batch, data_loss) * static_cast<double>(batch.count);
                ++step;
            }
            do {
                batch.first += batch.count;
                batch.count = std::min(batch_size_, data.count - batch.first);
                if (batch.count <= 0 || stop) return false;
                batch.weight_sum = data.weight_sum(batch.first, batch.count);
            } while (!(batch.weight_sum > 0));
            units = row_units(batch.count, threads);
            divide_evenly(units, threads, bounds);
            phase = rows;
            return true;
        },
        [&](int64_t unit, int thread) {
            if (phase == rows)
                pass_rows(spec_, parameters_, work_, loss_, data, batch, share(batch.count, unit, units));
            else if (unit == tiling_.size())
                data_loss = sum_losses(work_, batch);
            else
                update_strip(unit, batch, rule_step, scratch_[static_cast<size_t>(thread)].data());
        },
        [&] {
            if (stop || Clock::now() < next_check) return;
            const DenormalMode as_the_caller(Denormals::keep);
            if (interrupted()) stop = true;
            next_check = Clock::now() + kBetweenChecks;
        });
    return {data.count ? total / static_cast<double>(data.count) : 0, stop};
}

// Enough units that a thread which is slowed down can be helped out, none so small that taking it, or
// streaming the weights past so few rows, would count.
template <class T>
int64_t Trainer<T>::row_units(int64_t rows, int threads) const {
    if (threads == 1) return 1;
    constexpr double least_work = 400e3;
    const int64_t least_rows = spec_.parameters * static_cast<int64_t>(sizeof(T)) > kNearBytes ? 64 : 16;
    const double by_work = 3 * spec_.work_per_row() * static_cast<double>(rows) / least_work;
    const int64_t units = std::min(static_cast<int64_t>(std::min(by_work, 8.0 * threads)), rows / least_rows);
    return std::max<int64_t>(1, units / threads) * threads;
}

template <class T>
void Trainer<T>::update_strip(int64_t strip, const Batch& batch, const RuleStep<T>& step, T* scratch) {
    const KernelTable<T>& table = kernels<T>();
    const auto update = table.update[static_cast<int>(rule_.rule)];
    double squares = 0;
    sum_strip(spec_, parameters_, work_, tiling_[strip], batch.count, scratch,
              [&](const GradientPiece<T>& piece) {
                  RuleStep<T> scalars = step;
                  if (piece.bias) scalars.decay = 0;
                  T* w = parameters_.values.data() + piece.offset;
                  T* states[kMostStates];
                  for (size_t i = 0; i < slots_.size(); ++i) states[i] = slots_[i].data() + piece.offset;
                  const T before = update(piece.elements, w, piece.gradient, states, scalars);
                  if (!piece.bias) squares += static_cast<double>(before);
                  if (piece.transposed) table.transpose(w, piece.transposed);
              });
    squares_[static_cast<size_t>(strip)] = squares;
}

template <class T>
double Trainer<T>::batch_loss(const Batch& batch, double data_loss) const {
    double squares = 0;
    for (const double strip : squares_) squares += strip;
    const double outputs = loss_.reported_as_mean() ? static_cast<double>(spec_.outputs()) : 1;
    return (data_loss / outputs + 0.5 * alpha_ * squares) / batch.weight_sum;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace gdfast
