#include "network/sequences.h"

#include <algorithm>

namespace gdfast {

namespace {

// Calls copy(plain, panel, count) for each piece of the state of sequence s: h, then c of an lstm.
template <class T, class Copy>
void for_state(const RecurrentLayer<T>& layer, const StatePanels<T>& h, int64_t units, int64_t s, T* plain,
               Copy copy) {
    for (int64_t first = 0, j = 0; first < units; first += h.panel, ++j) {
        const int64_t n = std::min<int64_t>(h.panel, units - first);
        copy(plain + first, h.at(s, j), n);
        if (layer.cell.panel) copy(plain + units + first, layer.cell.at(s, j), n);
    }
}

}  // namespace

template <class T>
int64_t Sequences<T>::longest() const {
    int64_t most = 0;
    for (int64_t i = 0; i < count; ++i) most = std::max(most, length(number(i)));
    return most;
}

template <class T>
int64_t Sequences<T>::longest_of_all() const {
    int64_t most = 0;
    for (int64_t number = 0; number < sequences; ++number) most = std::max(most, length(number));
    return most;
}

template <class T>
bool Sequences<T>::equally_long() const {
    for (int64_t i = 1; i < count; ++i)
        if (length(number(i)) != length(number(0))) return false;
    return true;
}

template <class T>
SequenceBatch<T>::SequenceBatch(int64_t capacity) {
    for (auto* numbers : {&number_, &length_, &origin_}) numbers->reserve(static_cast<size_t>(capacity));
}

template <class T>
void SequenceBatch<T>::take(const Sequences<T>& all, int64_t first, int64_t count, int64_t slots,
                            bool end_together) {
    number_.clear();
    for (int64_t i = first; i < std::min(first + count, all.count); ++i) number_.push_back(all.number(i));
    // Insertion sort: it is stable, allocates nothing, and is linear if all lengths are equal.
    const auto longer = [&](int64_t a, int64_t b) { return all.length(a) > all.length(b); };
    for (auto next = number_.begin(); next != number_.end(); ++next)
        if (next != number_.begin() && longer(*next, *(next - 1)))
            std::rotate(std::upper_bound(number_.begin(), next, *next, longer), next, next + 1);
    length_.clear();
    for (const int64_t n : number_) length_.push_back(all.length(n));
    const int64_t last = length_.front();
    origin_.clear();
    for (const int64_t n : number_)
        origin_.push_back(all.starts[n] - (end_together ? last - all.length(n) : 0));
    steps = {static_cast<int64_t>(number_.size()), std::min(slots, last), last, length_.data(), end_together};
}

template <class T>
Fetch<T> SequenceBatch<T>::fetch(const Rows<T>& x, int64_t* scratch) const {
    return [this, &x, scratch](int64_t step, Range sequences, T* panels, int64_t stride) {
        // Each sequence is a separate stream of reads: too many for the hardware prefetcher.
        constexpr int64_t ahead = 2, line = 64 / sizeof(T);
        for (int64_t s = sequences.first; s < sequences.last; ++s) {
            scratch[s] = row(s, step);
            for (int64_t k = 0; k < x.columns; k += line)
                __builtin_prefetch(x.dense + (scratch[s] + ahead) * x.columns + k);
        }
        x.gather(sequences.count(), scratch + sequences.first, 0, panels, stride);
    };
}

template <class T>
void SequenceBatch<T>::begin(const RecurrentSpec& spec, const std::vector<T*>& states,
                             RecurrentWorkspace<T>& work) const {
    for (size_t l = 0; l < spec.layers(); ++l) {
        const RecurrentLayer<T>& layer = work.layers[l];
        for (const StatePanels<T>* panels : {&layer.state[0], &layer.state[1], &layer.cell})
            std::fill_n(panels->memory.data(), panels->memory.size(), T(0));
        if (states.empty()) continue;
        for (int64_t s = 0; s < steps.sequences; ++s)
            for (const StatePanels<T>& h : layer.state)  // the first step of a sequence may be even or odd
                for_state(layer, h, spec.hidden[l], s, states[l] + number(s) * spec.state_units(l),
                          [](const T* plain, T* panel, int64_t n) { std::copy_n(plain, n, panel); });
    }
}

template <class T>
void SequenceBatch<T>::end(const RecurrentSpec& spec, const std::vector<T*>& states,
                           const RecurrentWorkspace<T>& work) const {
    if (states.empty()) return;
    for (size_t l = 0; l < spec.layers(); ++l)
        for (int64_t s = 0; s < steps.sequences; ++s) {
            const int64_t steps_taken = steps.end_together ? steps.last : steps.lengths[s];
            for_state(work.layers[l], work.layers[l].state[steps_taken % 2], spec.hidden[l], s,
                      states[l] + number(s) * spec.state_units(l),
                      [](T* plain, const T* panel, int64_t n) { std::copy_n(panel, n, plain); });
        }
}

template struct Sequences<float>;
template struct Sequences<double>;
template class SequenceBatch<float>;
template class SequenceBatch<double>;

}  // namespace gdfast
