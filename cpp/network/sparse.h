// The inputs of a batch of sparse rows: copies of the stored entries, in the order of rows for the forward
// pass and in the order of panels of inputs for the gradient. No array is as large as rows times columns.
#pragma once

#include "network/buffer.h"
#include "network/rows.h"

namespace gdfast {

struct DropoutRate;
struct Range;
template <class T>
class RowPanels;

template <class T>
class SparseInputs {
public:
    // Allocates memory for any `capacity` consecutive rows of the rows order[0 .. count) (order null: 0, 1,
    // ...) of x, and for sort() if `sorted`. The other functions allocate nothing.
    void allocate(const Rows<T>& x, const int64_t* order, int64_t count, int64_t capacity, bool sorted);
    void clear() { *this = SparseInputs(); }
    bool in_use() const { return start_.size() > 0; }

    // Begins a batch of the rows order[0 .. count) (order null: first, first + 1, ...).
    void begin(const Rows<T>& x, const int64_t* order, int64_t first, int64_t count);
    // Copies the rows `rows` of the batch and applies dropout to their entries.
    void gather(const Rows<T>& x, const int64_t* order, int64_t first, Range rows,
                const DropoutRate& dropout) const;
    // Squares the values of these rows.
    void square(Range rows) const;
    // Sorts the entries of the whole batch for part `part` of `parts` of the panels of inputs. The row
    // offsets of the entries are those of `deltas`.
    void sort(const RowPanels<T>& deltas, int64_t part, int64_t parts) const;

    SparseRows<T> rows(Range rows) const;
    // The entries of panel p in the order of their rows, once all parts are sorted.
    const BlockEntry<T>* panel(int64_t p) const { return sorted_.data() + panel_start(p); }
    int64_t panel_count(int64_t p) const { return panel_end_.data()[p] - panel_start(p); }

private:
    int64_t panel_start(int64_t p) const { return p > 0 ? panel_end_.data()[p - 1] : 0; }

    int64_t count_ = 0;  // rows of the batch
    Buffer<int64_t> start_, column_, panel_end_;
    Buffer<T> value_;
    Buffer<BlockEntry<T>> sorted_;
};

}  // namespace gdfast
