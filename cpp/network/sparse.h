// The inputs of a batch whose rows are sparse: copies of the stored entries, row by row for the forward pass
// and once more panel by panel of inputs for the gradient. Nothing is as large as rows times columns.
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
    // Room for any `capacity` rows one after another of rows order[0 .. count) (order null: 0, 1, ...) of x;
    // where `sorted`, for sort() as well. All other functions find the room that they need.
    void make_room(const Rows<T>& x, const int64_t* order, int64_t count, int64_t capacity, bool sorted);
    void clear() { *this = SparseInputs(); }
    bool in_use() const { return start_.size() > 0; }

    // A batch begins, of rows order[0 .. count) (order null: first, first + 1, ...).
    void begin(const Rows<T>& x, const int64_t* order, int64_t first, int64_t count);
    // Copies its rows `rows`, and drops out entries.
    void gather(const Rows<T>& x, const int64_t* order, int64_t first, Range rows,
                const DropoutRate& dropout) const;
    // Part `part` of `parts`: the entries of the whole batch for some panels of inputs, whose rows' deltas
    // are where those of `deltas` are.
    void sort(const RowPanels<T>& deltas, int64_t part, int64_t parts) const;

    SparseRows<T> rows(Range rows) const;
    // Panel p's, in the order of their rows, when all parts are sorted.
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
