// The layout of the steps of a batch of sequences in memory, and the sequences that have each step.
#pragma once

#include <algorithm>

#include "network/workspace.h"

namespace gdfast {

// Sequences are sorted by length, the longest first: at any step, the sequences that have it are
// contiguous, and no padding is needed. Sequences begin together or end together; if they end together,
// steps are counted from the beginning of the longest sequence.
struct Steps {
    int64_t sequences;       // in the batch
    int64_t slots;           // steps in memory; step t is overwritten by step t + slots
    int64_t last;            // steps of the longest sequence
    const int64_t* lengths;  // (sequences), descending
    bool end_together;

    // The first row of a step in a matrix of slots * sequences rows.
    int64_t row(int64_t step) const { return step % slots * sequences; }
    bool ragged() const { return lengths[sequences - 1] != lengths[0]; }

    // The number of sequences longer than `length`.
    int64_t longer_than(int64_t length) const {
        if (length < lengths[sequences - 1]) return sequences;
        return std::partition_point(lengths, lengths + sequences, [=](int64_t l) { return l > length; }) -
               lengths;
    }
    // The sequences of `group` that have this step.
    Range active(int64_t step, Range group) const {
        return cut({0, longer_than(end_together ? last - 1 - step : step)}, group);
    }
    static Range cut(Range range, Range group) {
        return {std::clamp(range.first, group.first, group.last),
                std::clamp(range.last, group.first, group.last)};
    }
};

// The steps of one backward pass of (truncated) backpropagation through time.
struct BackwardWindow {
    Range loss;     // steps whose loss is included
    int64_t reach;  // number of steps back, for each sequence from its last step in `loss`

    // The sequences of `group` that have a gradient at this step.
    Range with_gradient(const Steps& steps, int64_t step, Range group) const {
        if (steps.end_together) return steps.active(step, group);
        // A sequence that has ended earlier goes back to an earlier step.
        const int64_t ended = loss.last > step + reach ? steps.longer_than(step + reach) : 0;
        return Steps::cut({ended, steps.longer_than(std::max(step, loss.first))}, group);
    }
    int64_t first(const Steps& steps) const {
        const int64_t end = steps.ragged() && !steps.end_together ? loss.first + 1 : loss.last;
        return std::max<int64_t>(0, end - reach);
    }
};

// Calls body(a, b, count) for each part of the rows starting at a and at b that lies in one block of both.
template <class T, class Body>
void in_blocks_of_both(int64_t a, int64_t b, int64_t count, Body&& body) {
    constexpr int64_t size = kRowBlock<T>;
    while (count > 0) {
        const int64_t part = std::min({count, size - a % size, size - b % size});
        body(a, b, part);
        a += part;
        b += part;
        count -= part;
    }
}

}  // namespace gdfast
