#include "network/sequence_predict.h"

#include <algorithm>

#include "network/interruption.h"
#include "network/passes.h"
#include "network/team.h"

namespace gdfast {

namespace {

// The sequences and steps of one batch: enough rows to reuse the weights, few enough to fit the caches.
constexpr int64_t kMostSequences = 32, kMostSteps = 32;

// Applies the output function to rows of the head and copies row i of them to row to[i] of `out`.
template <class T>
void finish_rows(const RecurrentSpec& spec, Output output, RecurrentWorkspace<T>& work, Range rows,
                 const int64_t* to, T* out) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.matrices.panel;
    const int64_t columns = spec.head().out, count = rows.count();
    const RowPanels<T>& z = work.deltas.back();
    if (output == Output::softmax) table.softmax(count, columns, z.at(rows.first), z.stride);
    if (output == Output::quantiles) table.quantiles(count, columns, z.at(rows.first), z.stride);
    for (int64_t j = 0; j * P < columns; ++j) {
        T* panel = z.at(rows.first, j);
        if (output == Output::logistic)
            table.activate[static_cast<int>(Activation::logistic)](count * P, panel, panel, 0);
        if (output == Output::exp) table.exponential(count * P, panel);
        const int64_t n = std::min<int64_t>(P, columns - j * P);
        for (int64_t i = 0; i < count; ++i) std::copy_n(panel + i * P, n, out + to[i] * columns + j * P);
    }
}

}  // namespace

template <class T>
void predict_sequences(const RecurrentSpec& spec, const ConstPlainArrays<T>& arrays,
                       const Sequences<T>& sequences, bool per_step, Output output, T* out,
                       int thread_limit) {
    if (sequences.count == 0) return;
    Parameters<T> parameters(spec.matrices, false);
    parameters.load(arrays);
    const int64_t longest = sequences.longest(), most_steps = std::min(kMostSteps, longest);
    const double total_work = spec.matrices.work_per_row() * static_cast<double>(sequences.x.rows);
    const int threads = threads_for(total_work, sequences.count, thread_limit);
    // Shares as even as possible, none larger than the workspace.
    const int64_t least = (sequences.count + kMostSequences - 1) / kMostSequences;
    const int64_t units = std::min({sequences.count, kMostUnits, (least + threads - 1) / threads * threads});
    const int64_t most_sequences = std::min(kMostSequences, sequences.count);
    std::vector<RecurrentWorkspace<T>> work;
    for (int i = 0; i < threads; ++i) {
        work.emplace_back(spec, most_sequences, most_steps, (per_step ? most_steps : 1) * most_sequences,
                          false, false);
        work.back().prepare(spec, parameters);
    }
    Interruption* const interruption = Interruption::current();
    in_parallel(threads, units, [&](int64_t unit, int thread) {
        StopCheck check(interruption, thread);
        RecurrentWorkspace<T>& mine = work[static_cast<size_t>(thread)];
        SequenceBatch<T> batch(most_sequences);
        const Range taken = share(sequences.count, unit, units);
        for (int64_t first = taken.first; first < taken.last; first += most_sequences) {
            batch.take(sequences, first, std::min(most_sequences, taken.last - first), most_steps, !per_step);
            const Steps& steps = batch.steps;
            const Range group{0, steps.sequences};
            const Fetch<T> fetch = batch.fetch(sequences.x, mine.rows.data());
            batch.begin(spec, sequences.states, mine);
            for (int64_t t = 0; t < steps.last; t += steps.slots) {
                const Range block{t, std::min(t + steps.slots, steps.last)};
                const Range terms = per_step ? block : Range{steps.last - 1, steps.last};
                forward_steps(spec, parameters, mine, steps, block, terms, group, fetch, check);
                if (check.after(0)) return;
                for (int64_t term = std::max(terms.first, t); term < std::min(terms.last, block.last);
                     ++term) {
                    const Range active = steps.active(term, group);
                    const int64_t row = (term - terms.first) * steps.sequences;
                    int64_t* to = mine.rows.data();
                    for (int64_t s = active.first; s < active.last; ++s)
                        to[s] = per_step ? batch.row(s, term) : batch.number(s);
                    in_blocks<T>({row + active.first, row + active.last}, [&](Range part) {
                        head_forward(spec, parameters, mine, part);
                        finish_rows(spec, output, mine, part, to + part.first - row, out);
                    });
                }
            }
            batch.end(spec, sequences.states, mine);
        }
    });
}

template void predict_sequences(const RecurrentSpec&, const ConstPlainArrays<float>&, const Sequences<float>&,
                                bool, Output, float*, int);
template void predict_sequences(const RecurrentSpec&, const ConstPlainArrays<double>&,
                                const Sequences<double>&, bool, Output, double*, int);

}  // namespace gdfast
