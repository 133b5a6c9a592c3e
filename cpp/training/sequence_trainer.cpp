#include "training/sequence_trainer.h"

#include <limits>

#include "network/interruption.h"

namespace gdfast {

namespace {

// Sequences that go through time together on one thread: their gates at a step stay in the first caches, and
// are enough rows for the weights that pass by.
constexpr int64_t kMostOfALot = 64;

// What to expect of an update, to share its work out evenly; the sequences are not known yet.
std::vector<int64_t> rows_of_matrices(const RecurrentSpec& spec, bool per_step,
                                      const std::optional<Truncation>& truncation, int64_t batch_size) {
    constexpr int64_t many = 100;
    const Truncation k = truncation.value_or(Truncation{many, many});
    const int64_t batch = std::min(batch_size, int64_t{1} << 32);  // to be multiplied
    std::vector<int64_t> rows(spec.matrices.layers.size(), batch * std::min(k.k2, many));
    rows.back() = batch * (per_step ? std::min(k.k1, many) : 1);
    return rows;
}

// How many terms of an update's loss there are.
template <class T>
int64_t terms_of(const SequenceBatch<T>& batch, Range steps_with_loss) {
    int64_t terms = 0;
    for (int64_t t = steps_with_loss.first; t < steps_with_loss.last; ++t)
        terms += batch.steps.active(t, {0, batch.steps.sequences}).count();
    return terms;
}

}  // namespace

template <class T>
double SequenceTrainer<T>::weight_sum(const SequenceData<T>& data, const SequenceBatch<T>& batch,
                                      Range steps_with_loss) const {
    if (!data.weight) return static_cast<double>(terms_of(batch, steps_with_loss));
    WeightSum<T> sum;
    for (int64_t t = steps_with_loss.first; t < steps_with_loss.last; ++t) {
        const Range active = batch.steps.active(t, {0, batch.steps.sequences});
        for (int64_t s = active.first; s < active.last; ++s) sum.add(data.weight[target_row(batch, s, t)]);
    }
    return sum.value();
}

template <class T>
SequenceTrainer<T>::SequenceTrainer(const RecurrentSpec& spec, const LossFunction<T>& loss,
                                    const DescentOptions& options, bool per_step,
                                    std::optional<Truncation> truncation, int64_t batch_size,
                                    int thread_limit)
    : spec_(spec),
      loss_(loss),
      per_step_(per_step),
      truncation_(truncation),
      batch_size_(batch_size),
      parameters_(spec_.matrices, true),
      descent(spec_.matrices, parameters_, options,
              rows_of_matrices(spec_, per_step, truncation, batch_size)),
      threads_(std::min(descent.most_threads(), thread_limit)) {
    descent.set_threads(threads_);
}

template <class T>
void SequenceTrainer<T>::make_room(const Sequences<T>& sequences) {
    const int64_t most = std::min(batch_size_, sequences.count), longest = sequences.longest();
    const int64_t k1 = truncation_ ? std::min(truncation_->k1, longest) : longest;
    const int64_t k2 = truncation_ ? std::min(truncation_->k2, longest) : longest;
    // A sequence that ends in the midst of a block reaches back that much further than the others.
    const bool even = !per_step_ || sequences.equally_long();
    const int64_t slots = even ? k2 : std::min(longest, k2 + k1 - 1);
    const int64_t terms = per_step_ ? k1 : 1;
    const bool in_place = !per_step_ || k1 == longest;
    if (room_ && room_->sequences == most && room_->slots == slots && room_->terms == terms &&
        room_->in_place == in_place)
        return;
    room_.reset();  // before there is another
    room_.emplace(
        Room{most, slots, terms, in_place,
             RecurrentWorkspace<T>(spec_, most, slots, checked_product(terms, most), true, in_place)});
}

template <class T>
int64_t SequenceTrainer<T>::updates_of_batch(const Sequences<T>& sequences) const {
    if (!per_step_ || !truncation_) return 1;
    const int64_t longest = sequences.longest_of_all();
    return longest / truncation_->k1 + (longest % truncation_->k1 != 0);
}

template <class T>
EpochResult SequenceTrainer<T>::run(const SequenceData<T>& data, const LearningRates& learning_rates,
                                    int thread_limit) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    const Sequences<T>& sequences = data.sequences;
    if (sequences.count == 0) return {none, 0};
    make_room(sequences);
    Room& room = *room_;
    SequenceBatch<T> batch(room.sequences);
    const double work = 3 * spec_.matrices.work_per_row() * static_cast<double>(room.sequences) *
                        static_cast<double>(per_step_ ? room.terms : room.slots);
    const int most_threads =
        std::min({threads_, threads_for(work, descent.units(), thread_limit), thread_limit});
    descent.begin_epoch(0, room.sequences * room.slots);

    Interruption* const interruption = Interruption::present();
    const auto stops = [&] { return interruption && interruption->requested(); };
    enum { begin, rows, tiles, moves } phase = begin;
    int64_t taken = 0, lots = 0, number = 0, steps_taken = 0;
    const int64_t updates = updates_of_batch(sequences);
    Update update{};
    double data_loss = 0, total = 0, terms_so_far = 0;
    const double outputs = loss_.reported_as_mean() ? static_cast<double>(spec_.head().out) : 1;

    const auto next_batch = [&](int threads) {
        taken += batch.steps.sequences;
        if (taken == sequences.count) return false;
        number = taken / batch_size_ * updates - 1;
        batch.take(sequences, taken, batch_size_, room.slots, !per_step_);
        batch.begin(spec_, sequences.states, room.work);
        update.back.loss = {0, 0};
        // As few lots as give each thread as many.
        const int64_t most = batch.steps.sequences, fewest = (most + kMostOfALot - 1) / kMostOfALot;
        lots = std::min(most, (fewest + threads - 1) / threads * threads);
        return true;
    };
    const auto next_update = [&] {
        const int64_t last = batch.steps.last, done = update.back.loss.last;
        const Truncation k = truncation_.value_or(Truncation{last, last});
        update.back.loss =
            per_step_ ? Range{done, done + std::min(k.k1, last - done)} : Range{last - 1, last};
        update.back.reach = std::min(k.k2, last);
        update.terms = update.back.loss.count() * batch.steps.sequences;
        update.rows = std::min(update.back.loss.last, batch.steps.slots) * batch.steps.sequences;
        update.weight_sum = weight_sum(data, batch, update.back.loss);
        room.work.prepare(spec_, parameters_);
        ++number;
    };
    // Whether the phase leaves the update such that it can be given up: no weight has changed.
    const auto can_give_up = [&] { return phase == rows || (phase == tiles && descent.moves_apart()); };
    in_phases(
        most_threads,
        [&](int threads, int64_t* bounds) {
            if (stops() && can_give_up()) return false;
            // Terms that weigh nothing have no mean: no update.
            if (phase == rows && update.weight_sum != 0) {
                descent.begin_step(learning_rates.at(number), update.weight_sum);
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
            if (phase == tiles || phase == moves) {
                const double terms = static_cast<double>(terms_of(batch, update.back.loss));
                total += (data_loss / outputs + descent.end_step()) / update.weight_sum * terms;
                terms_so_far += terms;
                ++steps_taken;
            }
            const bool batch_ends = update.back.loss.last == batch.steps.last;
            if (phase != begin && batch_ends) batch.end(spec_, sequences.states, room.work);
            if (stops() || (batch_ends && !next_batch(threads))) return false;
            next_update();
            divide_evenly(lots, threads, bounds);
            phase = rows;
            return true;
        },
        [&](int64_t unit, int thread) {
            if (stops() && can_give_up()) return;
            if (phase == rows) {
                StopCheck check(interruption, thread);
                pass_sequences(data, batch, update, share(batch.steps.sequences, unit, lots), check);
            } else if (phase == moves) {
                descent.move(unit, thread);
            } else if (unit == descent.units()) {
                data_loss = 0;
                for (int64_t i = 0; i < update.terms; ++i)
                    data_loss += static_cast<double>(room.work.row_loss.data()[i]);
            } else {
                const bool head = descent.layer_of(unit) == static_cast<int>(2 * spec_.layers());
                descent.sum(unit, thread, room.work.inputs, room.work.deltas,
                            head ? update.terms : update.rows);
            }
        });
    return {terms_so_far > 0 ? total / terms_so_far : none, steps_taken};
}

template <class T>
void SequenceTrainer<T>::pass_sequences(const SequenceData<T>& data, const SequenceBatch<T>& batch,
                                        const Update& update, Range lot, StopCheck& check) {
    RecurrentWorkspace<T>& work = room_->work;
    const Steps& steps = batch.steps;
    const Fetch<T> fetch = batch.fetch(data.sequences.x, work.rows.data());
    const int64_t end = update.back.loss.last;
    for (int64_t t = per_step_ ? update.back.loss.first : 0; t < end;) {
        // What no gradient reaches goes by in pieces that there is memory for; the last piece is what is
        // kept.
        const int64_t left = end - t,
                      now = left <= steps.slots ? left : std::min(steps.slots, left - steps.slots);
        forward_steps(spec_, parameters_, work, steps, {t, t + now}, update.back.loss, lot, fetch, check);
        if (check.after(0)) return;
        t += now;
    }
    pass_head(data, batch, update, lot, check);
    backward_steps(spec_, parameters_, work, steps, update.back, lot, check);
}

template <class T>
void SequenceTrainer<T>::pass_head(const SequenceData<T>& data, const SequenceBatch<T>& batch,
                                   const Update& update, Range lot, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    RecurrentWorkspace<T>& work = room_->work;
    const Steps& steps = batch.steps;
    const Range terms = update.back.loss;
    const int P = spec_.matrices.panel;
    const T scale = static_cast<T>(update.weight_sum != 0 ? 1 / update.weight_sum : 0);
    for (int64_t t = terms.first; t < terms.last; ++t) {
        const Range active = steps.active(t, lot);
        if (check.after(active.count() * spec_.head().in * spec_.head().out)) return;
        const int64_t first_row = (t - terms.first) * steps.sequences;
        in_blocks<T>({first_row + active.first, first_row + active.last}, [&](Range part) {
            const int64_t s = part.first - first_row, n = part.count();
            int64_t* row = work.rows.data() + s;
            T *target = work.target.at(part.first), *weight = work.weight.data() + part.first;
            int32_t* label = work.label.data() + part.first;
            for (int64_t i = 0; i < n; ++i) row[i] = target_row(batch, s + i, t);
            if (data.y.label)
                for (int64_t i = 0; i < n; ++i) label[i] = data.y.label_of(row[i], spec_.head().out);
            else
                data.y.values.gather(n, row, 0, target, work.target.stride);
            if (data.weight)
                for (int64_t i = 0; i < n; ++i) weight[i] = data.weight[row[i]];
            head_forward(spec_, parameters_, work, part);
            table.loss[static_cast<int>(loss_.kind)](
                {work.deltas.back().at(part.first), work.deltas.back().stride, target, label,
                 loss_.parameters.empty() ? nullptr : loss_.parameters.data(), data.weight ? weight : nullptr,
                 scale, work.row_loss.data() + part.first, n, spec_.head().out});
            head_backward(spec_, parameters_, work, part);
        });
        in_blocks<T>({first_row + active.last, first_row + lot.last}, [&](Range part) {
            for (int64_t j = 0; j < spec_.head().in_panels; ++j)
                std::fill_n(work.inputs.back().at(part.first, j), part.count() * P, T(0));
            for (int64_t j = 0; j < spec_.head().out_panels; ++j)
                std::fill_n(work.deltas.back().at(part.first, j), part.count() * P, T(0));
            std::fill_n(work.row_loss.data() + part.first, part.count(), T(0));
        });
    }
}

template class SequenceTrainer<float>;
template class SequenceTrainer<double>;

}  // namespace gdfast
