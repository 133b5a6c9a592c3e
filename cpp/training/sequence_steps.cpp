#include "training/sequence_steps.h"

#include "network/interruption.h"

namespace gdfast {

namespace {

// Sequences that go through time together on one thread: their gates at a time step stay in the first caches,
// and are enough rows for the weights that pass by.
constexpr int64_t kMostOfAGroup = 64;

}  // namespace

template <class T>
SequenceSteps<T>::SequenceSteps(const SequenceNetwork<T>& network, const SequenceData<T>& data,
                                int64_t batch_size, int64_t slots, int64_t updates)
    : FirstHalf<T>({network.work.inputs, network.work.deltas, nullptr,
                    std::vector<int64_t>(network.spec.matrices.layers.size())}),
      network_(network),
      data_(data),
      batch_size_(batch_size),
      slots_(slots),
      updates_(updates),
      interruption_(Interruption::current()),
      batch_(std::min(batch_size, data.sequences.count)) {}

template <class T>
std::vector<Phase> SequenceSteps<T>::phases() {
    return {{[this](int threads, int64_t* bounds) { divide_evenly(groups_, threads, bounds); },
             [this](int64_t unit, int thread) {
                 StopCheck check(interruption_, thread);
                 pass_sequences(share(batch_.steps.sequences, unit, groups_), check);
             },
             true}};
}

template <class T>
bool SequenceSteps<T>::next(int threads) {
    if (batch_ends() && !next_batch(threads)) return false;
    const int64_t last = batch_.steps.last, done = back_.loss.last;
    const Truncation k = network_.truncation.value_or(Truncation{last, last});
    back_.loss = network_.per_step ? Range{done, done + std::min(k.k1, last - done)} : Range{last - 1, last};
    back_.reach = std::min(k.k2, last);
    ++this->step_.number;
    this->step_.terms = terms();
    this->step_.weight_sum = weight_sum();
    return true;
}

template <class T>
bool SequenceSteps<T>::next_batch(int threads) {
    const Sequences<T>& sequences = data_.sequences;
    if (taken_ == sequences.count) return false;
    this->step_.number = taken_ / batch_size_ * updates_ - 1;
    batch_.take(sequences, taken_, batch_size_, slots_, !network_.per_step);
    batch_.begin(network_.spec, sequences.states, network_.work);
    back_.loss = {0, 0};
    taken_ += batch_.steps.sequences;
    // As few groups as give each thread as many.
    const int64_t most = batch_.steps.sequences, fewest = (most + kMostOfAGroup - 1) / kMostOfAGroup;
    groups_ = std::min(most, (fewest + threads - 1) / threads * threads);
    return true;
}

template <class T>
void SequenceSteps<T>::begin_step() {
    head_rows_ = back_.loss.count() * batch_.steps.sequences;
    this->set_rows(std::min(back_.loss.last, batch_.steps.slots) * batch_.steps.sequences);
    this->factors_.rows.back() = head_rows_;
    network_.work.prepare(network_.spec, network_.parameters);
}

template <class T>
void SequenceSteps<T>::end_step() {
    if (batch_ends()) batch_.end(network_.spec, data_.sequences.states, network_.work);
}

// Of the loss.
template <class T>
int64_t SequenceSteps<T>::terms() const {
    int64_t terms = 0;
    for (int64_t t = back_.loss.first; t < back_.loss.last; ++t)
        terms += batch_.steps.active(t, {0, batch_.steps.sequences}).count();
    return terms;
}

template <class T>
double SequenceSteps<T>::weight_sum() const {
    if (!data_.weight) return static_cast<double>(this->step_.terms);
    WeightSum<T> sum;
    for (int64_t t = back_.loss.first; t < back_.loss.last; ++t) {
        const Range active = batch_.steps.active(t, {0, batch_.steps.sequences});
        for (int64_t s = active.first; s < active.last; ++s) sum.add(data_.weight[target_row(s, t)]);
    }
    return sum.value();
}

template <class T>
double SequenceSteps<T>::sum_losses() const {
    double sum = 0;
    for (int64_t i = 0; i < head_rows_; ++i) sum += static_cast<double>(network_.work.row_loss.data()[i]);
    return sum;
}

template <class T>
void SequenceSteps<T>::pass_sequences(Range group, StopCheck& check) {
    RecurrentWorkspace<T>& work = network_.work;
    const Steps& steps = batch_.steps;
    const Fetch<T> fetch = batch_.fetch(data_.sequences.x, work.rows.data());
    const int64_t end = back_.loss.last;
    for (int64_t t = network_.per_step ? back_.loss.first : 0; t < end;) {
        // What no gradient reaches goes by in pieces that there is memory for; the last piece is what is
        // kept.
        const int64_t left = end - t,
                      now = left <= steps.slots ? left : std::min(steps.slots, left - steps.slots);
        forward_steps(network_.spec, network_.parameters, work, steps, {t, t + now}, back_.loss, group, fetch,
                      check);
        if (check.after(0)) return;
        t += now;
    }
    pass_head(group, check);
    backward_steps(network_.spec, network_.parameters, work, steps, back_, group, check);
}

template <class T>
void SequenceSteps<T>::pass_head(Range group, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    RecurrentWorkspace<T>& work = network_.work;
    const Steps& steps = batch_.steps;
    const Range terms = back_.loss;
    const int P = network_.spec.matrices.panel;
    const T scale = static_cast<T>(this->step_.weight_sum != 0 ? 1 / this->step_.weight_sum : 0);
    for (int64_t t = terms.first; t < terms.last; ++t) {
        const Range active = steps.active(t, group);
        if (check.after(active.count() * network_.spec.head().in * network_.spec.head().out)) return;
        const int64_t first_row = (t - terms.first) * steps.sequences;
        in_blocks<T>({first_row + active.first, first_row + active.last}, [&](Range part) {
            const int64_t s = part.first - first_row, n = part.count();
            int64_t* row = work.rows.data() + s;
            T *target = work.target.at(part.first), *weight = work.weight.data() + part.first;
            int32_t* label = work.label.data() + part.first;
            for (int64_t i = 0; i < n; ++i) row[i] = target_row(s + i, t);
            if (data_.y.label)
                for (int64_t i = 0; i < n; ++i) label[i] = data_.y.label_of(row[i], network_.spec.head().out);
            else
                data_.y.values.gather(n, row, 0, target, work.target.stride);
            if (data_.weight)
                for (int64_t i = 0; i < n; ++i) weight[i] = data_.weight[row[i]];
            head_forward(network_.spec, network_.parameters, work, part);
            table.loss[static_cast<int>(network_.loss.kind)](
                {work.deltas.back().at(part.first), work.deltas.back().stride, target, label,
                 network_.loss.parameters.empty() ? nullptr : network_.loss.parameters.data(),
                 data_.weight ? weight : nullptr, scale, work.row_loss.data() + part.first, n,
                 network_.spec.head().out});
            head_backward(network_.spec, network_.parameters, work, part);
        });
        in_blocks<T>({first_row + active.last, first_row + group.last}, [&](Range part) {
            for (int64_t j = 0; j < network_.spec.head().in_panels; ++j)
                std::fill_n(work.inputs.back().at(part.first, j), part.count() * P, T(0));
            for (int64_t j = 0; j < network_.spec.head().out_panels; ++j)
                std::fill_n(work.deltas.back().at(part.first, j), part.count() * P, T(0));
            std::fill_n(work.row_loss.data() + part.first, part.count(), T(0));
        });
    }
}

template class SequenceSteps<float>;
template class SequenceSteps<double>;

}  // namespace gdfast
