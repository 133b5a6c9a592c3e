#include "network/sparse.h"

#include <algorithm>

#include "network/passes.h"

namespace gdfast {

namespace {

// The largest number of entries of `window` consecutive rows.
template <class T>
int64_t most_entries(const Rows<T>& x, const int64_t* order, int64_t count, int64_t window) {
    const auto entries = [&](int64_t i) { return x.entries(order ? order[i] : i); };
    int64_t sum = 0, most = 0;
    for (int64_t i = 0; i < count; ++i) {
        sum += entries(i);
        if (i >= window) sum -= entries(i - window);
        most = std::max(most, sum);
    }
    return most;
}

// Never shrinks the buffer: an epoch of the same size as the last one allocates nothing.
template <class T>
void grow(Buffer<T>& buffer, int64_t size) {
    if (buffer.size() >= size) return;
    buffer = Buffer<T>();
    buffer = Buffer<T>(size);
}

}  // namespace

template <class T>
void SparseInputs<T>::allocate(const Rows<T>& x, const int64_t* order, int64_t count, int64_t capacity,
                               bool sorted) {
    const int P = kernels<T>().panel;
    const int64_t entries = most_entries(x, order, count, capacity);
    grow(start_, capacity + 1);
    grow(column_, entries);
    grow(value_, entries);
    if (!sorted) return;
    grow(panel_end_, x.columns / P + 1);
    grow(sorted_, entries);
}

template <class T>
void SparseInputs<T>::begin(const Rows<T>& x, const int64_t* order, int64_t first, int64_t count) {
    count_ = count;
    int64_t* start = start_.data();
    start[0] = 0;
    for (int64_t i = 0; i < count; ++i)  // within the buffer, even if the caller changes x meanwhile
        start[i + 1] = std::min(start[i] + x.entries(order ? order[i] : first + i), column_.size());
}

template <class T>
void SparseInputs<T>::gather(const Rows<T>& x, const int64_t* order, int64_t first, Range rows,
                             const DropoutRate& dropout) const {
    for (int64_t i = rows.first; i < rows.last; ++i) {
        const int64_t from = start_.data()[i], count = start_.data()[i + 1] - from;
        int64_t* column = column_.data() + from;
        T* value = value_.data() + from;
        x.copy_entries(order ? order[i] : first + i, count, column, value);
        if (dropout.rate > 0)
            kernels<T>().drop_entries({column, value, count, dropout.first_row + i, dropout.key,
                                       dropout.threshold(), static_cast<T>(dropout.factor())});
    }
}

template <class T>
void SparseInputs<T>::square(Range rows) const {
    for (int64_t e = start_.data()[rows.first]; e < start_.data()[rows.last]; ++e)
        value_.data()[e] *= value_.data()[e];
}

// Counting sort. Each part reads all entries and stores those of its panels, so that parts are independent.
template <class T>
void SparseInputs<T>::sort(const RowPanels<T>& deltas, int64_t part, int64_t parts) const {
    const int P = kernels<T>().panel, shift = __builtin_ctz(static_cast<unsigned>(P));
    const Range mine = share(panel_end_.size(), part, parts);
    const int64_t *start = start_.data(), *column = column_.data();
    int64_t* end = panel_end_.data();
    std::fill(end + mine.first, end + mine.last, 0);
    int64_t place = 0;
    for (int64_t e = 0; e < start[count_]; ++e) {
        const int64_t panel = column[e] >> shift;
        place += panel < mine.first;
        if (panel >= mine.first && panel < mine.last) ++end[panel];
    }
    for (int64_t panel = mine.first; panel < mine.last; ++panel) {
        const int64_t entries = end[panel];
        end[panel] = place;
        place += entries;
    }
    for (int64_t i = 0; i < count_; ++i) {
        const int64_t row_offset = deltas.at(i) - deltas.at(0);
        for (int64_t e = start[i]; e < start[i + 1]; ++e) {
            const int64_t panel = column[e] >> shift;
            if (panel >= mine.first && panel < mine.last)
                sorted_.data()[end[panel]++] = {row_offset, static_cast<int32_t>(column[e] & (P - 1)),
                                                value_.data()[e]};
        }
    }
}

template <class T>
SparseRows<T> SparseInputs<T>::rows(Range rows) const {
    return {rows.count(), start_.data() + rows.first, column_.data(), value_.data()};
}

template class SparseInputs<float>;
template class SparseInputs<double>;

}  // namespace gdfast
