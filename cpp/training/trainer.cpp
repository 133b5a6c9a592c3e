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
Trainer<T>::Trainer(const Spec& spec, const LossFunction<T>& loss, const DescentOptions& options,
                    int64_t batch_size, int thread_limit)
    : spec_(spec),
      loss_(loss),
      batch_size_(batch_size),
      parameters_(spec_, true),
      work_(spec_, batch_size, true),
      descent(spec_, parameters_, options, batch_size),
      threads_(std::min(descent.most_threads(),
                        threads_for(3 * spec_.work_per_row() * static_cast<double>(batch_size),
                                    descent.units(), thread_limit))) {
    descent.set_threads(threads_);
}

template <class T>
EpochResult Trainer<T>::run(const Data<T>& data, const EpochOptions& options,
                            const std::function<bool()>& interrupted) {
    using Clock = std::chrono::steady_clock;
    std::atomic<bool> stop{false};
    auto next_check = Clock::now() + kBetweenChecks;
    const int layers = static_cast<int>(spec_.layers.size());
    const int first_layer = static_cast<int>(std::max<int64_t>(0, layers - options.backprop_depth));
    enum { begin, rows, tiles, moves } phase = begin;
    Batch batch{0, 0, 0};
    int64_t units = 0;
    double data_loss = 0, total = 0;
    const double outputs = loss_.reported_as_mean() ? static_cast<double>(spec_.outputs()) : 1;
    descent.begin_epoch(first_layer);

    in_phases(
        std::min(threads_, options.thread_limit),
        [&](int threads, int64_t* bounds) {
            if (phase == rows) {
                descent.begin_step(options.learning_rates.at(batch.first / batch_size_), batch.weight_sum);
                descent.divide(threads, bounds);
                ++bounds[threads];  // one more unit: the loss
                phase = tiles;
                return true;
            }
            if (phase == tiles && descent.moves_apart()) {
                descent.limit();
                descent.divide(threads, bounds);
                phase = moves;
                return true;
            }
            if (phase != begin)
                total += (data_loss / outputs + descent.end_step()) / batch.weight_sum *
                         static_cast<double>(batch.count);
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
                pass_rows(spec_, parameters_, work_, loss_, data, batch, share(batch.count, unit, units),
                          first_layer);
            else if (phase == moves)
                descent.move(unit, thread);
            else if (unit == descent.units())
                data_loss = sum_losses(work_, batch);
            else
                descent.sum(unit, thread, work_.activations, work_.deltas, batch.count);
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

template class Trainer<float>;
template class Trainer<double>;

}  // namespace gdfast
