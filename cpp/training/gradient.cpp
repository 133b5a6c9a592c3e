#include "training/gradient.h"

#include "network/interruption.h"
#include "network/team.h"
#include "training/tiles.h"

namespace gdfast {

namespace {

// Rows whose activations are in memory at once; the sums over rows go on from one batch to the next.
constexpr int64_t kBatchRows = 1024;

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
    work.make_room(spec, data.x, data.order, data.count);
    const SparseInputs<T>* sparse = work.sparse.in_use() ? &work.sparse : nullptr;
    Buffer<T> sums(spec.parameters);
    std::vector<Buffer<T>> scratch;
    for (int i = 0; i < threads; ++i) scratch.emplace_back(spec.panel + tiling.scratch());

    const int last = static_cast<int>(spec.layers.size()) - 1;
    const Way way{{0, last + 1}, last, 0};
    enum { begin, rows, sort, tiles } phase = begin;
    Batch batch{0, 0, weight_sum};
    Interruption* const interruption = Interruption::present();
    const auto stops = [&] { return interruption && interruption->requested(); };
    const auto add_strip = [&](int64_t unit, int thread) {
        T* mine = scratch[static_cast<size_t>(thread)].data();
        const StripGradient<T> gradient{mine, mine + spec.panel};
        StopCheck check(interruption, thread);
        sum_strip(spec, work.activations, work.deltas, tiling[unit], batch.count, gradient, sparse, check);
        for_pieces(spec, parameters, tiling[unit], gradient, [&](const GradientPiece<T>& piece) {
            T* sum = sums.data() + piece.offset;
            for (int64_t e = 0; e < piece.elements; ++e) sum[e] += piece.gradient[e];
        });
    };
    int64_t units = 0;
    double total = 0;
    in_phases(
        threads,
        [&](int members, int64_t* bounds) {
            if (stops()) return false;
            if (phase == rows && sparse) {
                units = members;
                divide_evenly(units, members, bounds);
                phase = sort;
                return true;
            }
            if (phase == rows || phase == sort) {
                total += sum_losses(work, batch);
                tiling.divide(0, members, bounds);
                phase = tiles;
                return true;
            }
            batch.first += batch.count;
            batch.count = std::min(batch_rows, data.count - batch.first);
            if (sparse && batch.count > 0)
                work.sparse.begin(data.x, data.order ? data.order + batch.first : nullptr, batch.first,
                                  batch.count);
            units = std::min<int64_t>(batch.count, 4 * members);
            divide_evenly(units, members, bounds);
            phase = rows;
            return batch.count > 0;
        },
        [&](int64_t unit, int thread) {
            if (stops()) return;
            StopCheck check(interruption, thread);
            if (phase == rows)
                pass_rows(spec, parameters, work, loss, data, batch, way, share(batch.count, unit, units),
                          check);
            else if (phase == sort)
                work.sparse.sort(work.deltas[0], unit, units);
            else
                add_strip(unit, thread);
        });

    stop_point();
    double squares = 0;
    const T decay = static_cast<T>(alpha / weight_sum);
    for (const Layer& l : spec.layers) {
        const T* w = parameters.values.data() + l.weights;
        T* sum = sums.data() + l.weights;
        if (!(alpha > 0)) continue;
        for (int64_t e = 0; e < l.elements(spec.panel); ++e) {
            squares += static_cast<double>(w[e]) * static_cast<double>(w[e]);
            sum[e] += decay * w[e];
        }
    }
    unpack(spec, sums.data(), gradient);
    return (total + 0.5 * alpha * squares) / weight_sum;
}

template double loss_and_gradient(const Spec&, const ConstPlainArrays<float>&, const Data<float>&,
                                  const LossFunction<float>&, double, const PlainArrays<float>&, int);
template double loss_and_gradient(const Spec&, const ConstPlainArrays<double>&, const Data<double>&,
                                  const LossFunction<double>&, double, const PlainArrays<double>&, int);

}  // namespace gdfast
