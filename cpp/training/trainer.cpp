#include "training/trainer.h"

#include <limits>

#include "network/interruption.h"

namespace gdfast {

namespace {

// Weights beyond this leave too little of the second cache to a batch's rows.
constexpr int64_t kNearBytes = 256 * 1024;

}  // namespace

template <class T>
Trainer<T>::Trainer(const Spec& spec, const LossFunction<T>& loss, const DescentOptions& options,
                    const std::vector<double>& dropout, const NormOptions& norm, int64_t batch_size,
                    int thread_limit)
    : spec_(spec),
      loss_(loss),
      norm_(norm),
      batch_size_(batch_size),
      parameters_(spec_, true),
      work_(spec_, batch_size, dropout),
      descent(spec_, parameters_, options, batch_size),
      threads_(std::min(descent.most_threads(),
                        threads_for(3 * spec_.work_per_row() * static_cast<double>(batch_size),
                                    descent.units(), thread_limit))) {
    descent.set_threads(threads_);
    for (const Layer& l : spec_.layers)
        moments_.push_back(l.normalized ? Moments<T>(l.out_panels * spec_.panel) : Moments<T>());
}

template <class T>
void Trainer<T>::load(const ConstPlainArrays<T>& arrays) {
    parameters_.load(arrays);
    for (size_t i = 0; i < moments_.size(); ++i) {
        if (!spec_.layers[i].normalized) continue;
        std::copy_n(arrays.means[i], spec_.layers[i].out, moments_[i].mean.data());
        std::copy_n(arrays.variances[i], spec_.layers[i].out, moments_[i].variance.data());
    }
}

template <class T>
void Trainer<T>::save(const PlainArrays<T>& arrays) const {
    unpack(spec_, parameters_.values.data(), arrays);
    for (size_t i = 0; i < moments_.size(); ++i) {
        if (!spec_.layers[i].normalized) continue;
        std::copy_n(moments_[i].mean.data(), spec_.layers[i].out, arrays.means[i]);
        std::copy_n(moments_[i].variance.data(), spec_.layers[i].out, arrays.variances[i]);
    }
}

template <class T>
bool Trainer<T>::finite() const {
    bool all = all_finite(parameters_.values.data(), spec_.parameters);
    for (size_t i = 0; i < moments_.size() && all; ++i)
        if (spec_.layers[i].normalized)
            all = all_finite(moments_[i].mean.data(), spec_.layers[i].out) &&
                  all_finite(moments_[i].variance.data(), spec_.layers[i].out);
    return all;
}

// Rows, then tiles; a normalised layer's sums and deltas are taken together over the batch before rows go on.
template <class T>
std::vector<typename Trainer<T>::Phase> Trainer<T>::plan_step(int first_layer) const {
    const int layers = static_cast<int>(spec_.layers.size());
    const auto normalized = [&](int i) { return spec_.layers[static_cast<size_t>(i)].normalized; };
    std::vector<Phase> phases;
    Way way;
    for (int i = 0; i < layers; ++i) {
        way.forward.last = i + 1;
        if (!normalized(i)) continue;
        phases.push_back({Phase::rows, way});
        phases.push_back({Phase::moments, {}, static_cast<size_t>(i)});
        way.forward = {i + 1, i + 1};
    }
    way.backward_from = layers - 1;
    for (int i = layers - 2; i >= first_layer; --i) {
        if (!normalized(i)) continue;
        way.backward_to = i;
        phases.push_back({Phase::rows, way});
        phases.push_back({Phase::slopes, {}, static_cast<size_t>(i)});
        way = {{0, 0}, i, first_layer};
    }
    way.backward_to = first_layer;
    phases.push_back({Phase::rows, way});
    if (work_.sparse.in_use() && first_layer == 0) phases.push_back({Phase::sort});
    phases.push_back({Phase::tiles});
    if (descent.moves_apart()) phases.push_back({Phase::moves});
    return phases;
}

template <class T>
EpochResult Trainer<T>::run(const Data<T>& data, const EpochOptions& options) {
    Interruption* const interruption = Interruption::present();
    const auto stops = [&] { return interruption && interruption->requested(); };
    const int layers = static_cast<int>(spec_.layers.size());
    const int first_layer = static_cast<int>(std::max<int64_t>(0, layers - options.backprop_depth));
    const double outputs = loss_.reported_as_mean() ? static_cast<double>(spec_.outputs()) : 1;
    work_.make_room(spec_, data.x, data.order, data.count);
    const SparseInputs<T>* sparse = work_.sparse.in_use() ? &work_.sparse : nullptr;
    descent.begin_epoch(first_layer, std::min(batch_size_, data.count));
    const std::vector<Phase> phases = plan_step(first_layer);
    const Phase* phase = nullptr;
    Batch batch{0, 0, 0};
    int64_t units = 0;
    double data_loss = 0, total = 0;
    int64_t rows_with_loss = 0, steps = 0;

    const auto begin_step = [&] {
        do {
            batch.first += batch.count;
            batch.count = std::min(batch_size_, data.count - batch.first);
            if (batch.count <= 0 || stops()) return false;
            batch.weight_sum = data.weight_sum(batch.first, batch.count);
        } while (batch.weight_sum == 0);
        descent.begin_step(options.learning_rates.at(batch.first / batch_size_), batch.weight_sum);
        work_.begin_step(descent.options().key, descent.step);
        if (sparse)
            work_.sparse.begin(data.x, data.order ? data.order + batch.first : nullptr, batch.first,
                               batch.count);
        for (Moments<T>& moments : moments_) moments.keep_running();
        phase = phases.data();
        return true;
    };
    const auto end_step = [&] {
        total +=
            (data_loss / outputs + descent.end_step()) / batch.weight_sum * static_cast<double>(batch.count);
        rows_with_loss += batch.count;
        ++steps;
        phase = nullptr;
    };

    in_phases(
        std::min({threads_, options.thread_limit,
                  threads_for_once(3 * spec_.work_per_row() * static_cast<double>(data.count),
                                   descent.units(), options.thread_limit)}),
        [&](int threads, int64_t* bounds) {
            if (phase && stops() && can_give_up(*phase)) {
                for (Moments<T>& moments : moments_) moments.restore_running();
                return false;
            }
            if (phase && ++phase == phases.data() + phases.size()) end_step();
            if (!phase && !begin_step()) return false;
            switch (phase->kind) {
                case Phase::rows:
                    units = row_units(batch.count, threads);
                    divide_evenly(units, threads, bounds);
                    break;
                case Phase::moments:
                case Phase::slopes:
                    divide_evenly(spec_.layers[phase->layer].out_panels, threads, bounds);
                    break;
                case Phase::sort:
                    units = threads;
                    divide_evenly(units, threads, bounds);
                    break;
                case Phase::tiles:
                    descent.divide(threads, bounds);
                    ++bounds[threads];  // one more unit: the loss
                    break;
                case Phase::moves:
                    descent.limit();
                    descent.divide(threads, bounds);
                    break;
            }
            return true;
        },
        [&](int64_t unit, int thread) {
            if (stops() && can_give_up(*phase)) return;
            switch (phase->kind) {
                case Phase::rows: {
                    StopCheck check(interruption, thread);
                    pass_rows(spec_, parameters_, work_, loss_, data, batch, phase->way,
                              share(batch.count, unit, units), check);
                    break;
                }
                case Phase::moments:
                    find_moments(spec_, parameters_, work_, moments_[phase->layer], norm_, phase->layer, unit,
                                 batch.count, static_cast<int>(phase->layer) >= first_layer);
                    break;
                case Phase::slopes: {
                    T* gradient = descent.norm_gradients[phase->layer].data() + unit * spec_.panel;
                    find_slopes(spec_, work_, moments_[phase->layer], phase->layer, unit, batch.count,
                                gradient, gradient + spec_.layers[phase->layer].out_panels * spec_.panel);
                    break;
                }
                case Phase::sort:
                    work_.sparse.sort(work_.deltas[0], unit, units);
                    break;
                case Phase::tiles:
                    if (unit == descent.units())
                        data_loss = sum_losses(work_, batch);
                    else
                        descent.sum(unit, thread, work_.activations, work_.deltas, batch.count, sparse);
                    break;
                case Phase::moves:
                    descent.move(unit, thread);
                    break;
            }
        });
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return {rows_with_loss ? total / static_cast<double>(rows_with_loss) : none, steps};
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
