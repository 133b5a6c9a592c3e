#include "training/sequence_trainer.h"

#include <atomic>
#include <chrono>

#include "network/denormals.h"

namespace gdfast {

namespace {

constexpr auto kBetweenChecks = std::chrono::milliseconds(50);

// Sequences that go through time together on one thread: their gates at a step stay in the first caches, and are
// enough rows for the weights that pass by.
constexpr int64_t kMostOfALot = 64;

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
double SequenceData<T>::weight_sum(const SequenceBatch<T>& batch, Range steps_with_loss) const {
    if (!weight) return static_cast<double>(terms_of(batch, steps_with_loss));
    double sum = 0;
    for (int64_t t = steps_with_loss.first; t < steps_with_loss.last; ++t) {
        const Range active = batch.steps.active(t, {0, batch.steps.sequences});
        for (int64_t s = active.first; s < active.last; ++s) sum += static_cast<double>(weight[batch.number(s)]);
    }
    return sum;
}

template <class T>
SequenceTrainer<T>::SequenceTrainer(const RecurrentSpec& spec, const LossFunction<T>& loss, const RuleSpec& rule, double alpha,
                                    bool per_step, std::optional<Truncation> truncation, int64_t batch_size)
    : spec_(spec),
      loss_(loss),
      rule_(rule),
      alpha_(alpha),
      per_step_(per_step),
      truncation_(truncation),
      batch_size_(batch_size),
      parameters_(spec_.matrices, true) {
    for (size_t i = 0; i < rule_.slots().size(); ++i) slots_.emplace_back(spec_.matrices.parameters);
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
    std::vector<int64_t> rows(spec_.matrices.layers.size(), slots * most);
    rows.back() = terms * most;
    room_.emplace(Room{most, slots, terms, in_place,
                       RecurrentWorkspace<T>(spec_, most, slots, checked_product(terms, most), true, in_place),
                       Tiling(spec_.matrices, rows), {}});
    room_->squares.resize(static_cast<size_t>(room_->tiling.size()));
}

template <class T>
EpochResult SequenceTrainer<T>::run(const SequenceData<T>& data, double learning_rate, int thread_limit,
                                    const std::function<bool()>& interrupted) {
    using Clock = std::chrono::steady_clock;
    const Sequences<T>& sequences = data.sequences;
    if (sequences.count == 0) return {0, false};
    make_room(sequences);
    Room& room = *room_;
    SequenceBatch<T> batch(room.sequences);
    const double work = 3 * spec_.matrices.work_per_row() * static_cast<double>(room.sequences) *
                        static_cast<double>(per_step_ ? room.terms : room.slots);
    const int most_threads =
        std::min({room.tiling.most_threads(), threads_for(work, room.tiling.size(), thread_limit), thread_limit});
    while (scratch_.size() < static_cast<size_t>(most_threads)) scratch_.emplace_back(room.tiling.scratch());

    std::atomic<bool> stop{false};
    auto next_check = Clock::now() + kBetweenChecks;
    enum { begin, rows, tiles } phase = begin;
    int64_t taken = 0, lots = 0;
    Update update{};
    double data_loss = 0, total = 0, terms_so_far = 0;
    RuleStep<T> rule_step{};

    const auto next_batch = [&](int threads) {
        taken += batch.steps.sequences;
        if (taken == sequences.count) return false;
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
        update.back.loss = per_step_ ? Range{done, done + std::min(k.k1, last - done)} : Range{last - 1, last};
        update.back.reach = std::min(k.k2, last);
        update.terms = update.back.loss.count() * batch.steps.sequences;
        update.rows = std::min(update.back.loss.last, batch.steps.slots) * batch.steps.sequences;
        update.weight_sum = data.weight_sum(batch, update.back.loss);
        room.work.prepare(spec_, parameters_);
    };
    in_phases(
        most_threads,
        [&](int threads, int64_t* bounds) {
            // Terms that weigh nothing have no mean: no update.
            if (phase == rows && update.weight_sum > 0) {
                rule_step = rule_.at<T>(step + 1, learning_rate, alpha_ / update.weight_sum);
                room.tiling.divide(threads, bounds);
                ++bounds[threads];  // one more unit: the loss
                phase = tiles;
                return true;
            }
            if (phase == tiles) {
                const double terms = static_cast<double>(terms_of(batch, update.back.loss));
                total += update_loss(data_loss, update.weight_sum) * terms;
                terms_so_far += terms;
                ++step;
            }
            const bool batch_ends = update.back.loss.last == batch.steps.last;
            if (phase != begin && batch_ends) batch.end(spec_, sequences.states, room.work);
            if (stop || (batch_ends && !next_batch(threads))) return false;
            next_update();
            divide_evenly(lots, threads, bounds);
            phase = rows;
            return true;
        },
        [&](int64_t unit, int thread) {
            if (phase == rows) {
                pass_sequences(data, batch, update, share(batch.steps.sequences, unit, lots));
            } else if (unit == room.tiling.size()) {
                data_loss = 0;
                for (int64_t i = 0; i < update.terms; ++i)
                    data_loss += static_cast<double>(room.work.row_loss.data()[i]);
            } else {
                update_strip(unit, update, rule_step, scratch_[static_cast<size_t>(thread)].data());
            }
        },
        [&] {
            if (stop || Clock::now() < next_check) return;
            const DenormalMode as_the_caller(Denormals::keep);
            if (interrupted()) stop = true;
            next_check = Clock::now() + kBetweenChecks;
        });
    return {terms_so_far > 0 ? total / terms_so_far : 0, stop};
}

template <class T>
void SequenceTrainer<T>::pass_sequences(const SequenceData<T>& data, const SequenceBatch<T>& batch,
                                        const Update& update, Range lot) {
    RecurrentWorkspace<T>& work = room_->work;
    const Steps& steps = batch.steps;
    const Fetch<T> fetch = batch.fetch(data.sequences.x, work.rows.data());
    const int64_t end = update.back.loss.last;
    for (int64_t t = per_step_ ? update.back.loss.first : 0; t < end;) {
        // What no gradient reaches goes by in pieces that there is memory for; the last piece is what is kept.
        const int64_t left = end - t, now = left <= steps.slots ? left : std::min(steps.slots, left - steps.slots);
        forward_steps(spec_, parameters_, work, steps, {t, t + now}, update.back.loss, lot, fetch);
        t += now;
    }
    pass_head(data, batch, update, lot);
    backward_steps(spec_, parameters_, work, steps, update.back, lot);
}

template <class T>
void SequenceTrainer<T>::pass_head(const SequenceData<T>& data, const SequenceBatch<T>& batch,
                                   const Update& update, Range lot) {
    const KernelTable<T>& table = kernels<T>();
    RecurrentWorkspace<T>& work = room_->work;
    const Steps& steps = batch.steps;
    const Range terms = update.back.loss;
    const int P = spec_.matrices.panel;
    const T scale = static_cast<T>(update.weight_sum > 0 ? 1 / update.weight_sum : 0);
    for (int64_t t = terms.first; t < terms.last; ++t) {
        const Range active = steps.active(t, lot);
        const int64_t first_row = (t - terms.first) * steps.sequences;
        in_blocks<T>({first_row + active.first, first_row + active.last}, [&](Range part) {
            const int64_t s = part.first - first_row, n = part.count();
            int64_t* row = work.rows.data() + s;
            T *target = work.target.at(part.first), *weight = work.weight.data() + part.first;
            int32_t* label = work.label.data() + part.first;
            for (int64_t i = 0; i < n; ++i) row[i] = per_step_ ? batch.row(s + i, t) : batch.number(s + i);
            if (data.y.label)
                for (int64_t i = 0; i < n; ++i) label[i] = data.y.label[row[i]];
            else
                data.y.values.gather(n, row, 0, target, work.target.stride);
            if (data.weight)
                for (int64_t i = 0; i < n; ++i) weight[i] = data.weight[batch.number(s + i)];
            head_forward(spec_, parameters_, work, part);
            table.loss[static_cast<int>(loss_.kind)]({work.head_deltas.at(part.first), work.head_deltas.stride, target,
                                                 label, loss_.parameters.empty() ? nullptr : loss_.parameters.data(), data.weight ? weight : nullptr, scale,
                                                 work.row_loss.data() + part.first, n, spec_.head().out});
            head_backward(spec_, parameters_, work, part);
        });
        in_blocks<T>({first_row + active.last, first_row + lot.last}, [&](Range part) {
            for (int64_t j = 0; j < spec_.head().in_panels; ++j)
                std::fill_n(work.head_inputs.at(part.first, j), part.count() * P, T(0));
            for (int64_t j = 0; j < spec_.head().out_panels; ++j)
                std::fill_n(work.head_deltas.at(part.first, j), part.count() * P, T(0));
            std::fill_n(work.row_loss.data() + part.first, part.count(), T(0));
        });
    }
}

template <class T>
void SequenceTrainer<T>::update_strip(int64_t strip, const Update& update, const RuleStep<T>& step,
                                      T* scratch) {
    const KernelTable<T>& table = kernels<T>();
    const auto apply = table.update[static_cast<int>(rule_.rule)];
    const Strip& s = room_->tiling[strip];
    const size_t l = static_cast<size_t>(s.layer) / 2;
    const bool head = l == spec_.layers(), below = s.layer % 2 == 0;
    const RecurrentWorkspace<T>& work = room_->work;
    const RowPanels<T>& inputs = head ? work.head_inputs : below ? work.layers[l].inputs : work.layers[l].h;
    const RowPanels<T>& deltas =
        head ? work.head_deltas : below ? work.layers[l].deltas_below : work.layers[l].deltas_before;
    double squares = 0;
    sum_strip(spec_.matrices, parameters_, inputs, deltas, s, head ? update.terms : update.rows, scratch,
              [&](const GradientPiece<T>& piece) {
                  RuleStep<T> scalars = step;
                  if (piece.bias) scalars.decay = 0;
                  T* w = parameters_.values.data() + piece.offset;
                  T* states[kMostStates];
                  for (size_t i = 0; i < slots_.size(); ++i) states[i] = slots_[i].data() + piece.offset;
                  const T before = apply(piece.elements, w, piece.gradient, states, scalars);
                  if (!piece.bias) squares += static_cast<double>(before);
                  if (piece.transposed) table.transpose(w, piece.transposed);
              });
    room_->squares[static_cast<size_t>(strip)] = squares;
}

template <class T>
double SequenceTrainer<T>::update_loss(double data_loss, double weight_sum) const {
    double squares = 0;
    for (const double strip : room_->squares) squares += strip;
    const double outputs = loss_.reported_as_mean() ? static_cast<double>(spec_.head().out) : 1;
    return (data_loss / outputs + 0.5 * alpha_ * squares) / weight_sum;
}

template class SequenceTrainer<float>;
template class SequenceTrainer<double>;

}  // namespace gdfast
