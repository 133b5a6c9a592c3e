// Where the steps of a batch of sequences lie in memory, and which sequences have which.
#pragma once

#include <algorithm>

#include "network/workspace.h"

namespace gdfast {

// Sequences stand in the order of their lengths, the longest first: whatever the step, those that have it lie
// side by side, and nothing is ever padded. They begin together, or end together: then a sequence's step is
// counted from the beginning of the longest one.
struct Steps {
    int64_t sequences;       // in the batch
    int64_t slots;           // steps that there is memory for; step t is kept until step t + slots
    int64_t last;            // steps of the longest sequence
    const int64_t* lengths;  // (sequences), falling
    bool end_together;

    // A matrix of slots * sequences rows has step after step, a row for each sequence.
    int64_t row(int64_t step) const { return step % slots * sequences; }
    bool ragged() const { return lengths[sequences - 1] != lengths[0]; }

    // How many sequences are longer than this.
    int64_t longer_than(int64_t length) const {
        if (length < lengths[sequences - 1]) return sequences;
        return std::partition_point(lengths, lengths + sequences, [=](int64_t l) { return l > length; }) -
               lengths;
    }
    // Of sequences `group`, those that have this step.
    Range active(int64_t step, Range group) const {
        return cut({0, longer_than(end_together ? last - 1 - step : step)}, group);
    }
    static Range cut(Range range, Range group) {
        return {std::clamp(range.first, group.first, group.last),
                std::clamp(range.last, group.first, group.last)};
    }
};

// The steps that go back together after an update's loss is known.
struct WayBack {
    Range loss;     // steps whose loss enters
    int64_t reach;  // how many steps back, of each sequence from its last one that enters

    // Of sequences `group`, those through which something flows back at this step.
    Range flowing(const Steps& steps, int64_t step, Range group) const {
        if (steps.end_together) return steps.active(step, group);
        // One that has ended before goes back further.
        const int64_t ended = loss.last > step + reach ? steps.longer_than(step + reach) : 0;
        return Steps::cut({ended, steps.longer_than(std::max(step, loss.first))}, group);
    }
    int64_t first(const Steps& steps) const {
        const int64_t end = steps.ragged() && !steps.end_together ? loss.first + 1 : loss.last;
        return std::max<int64_t>(0, end - reach);
    }
};

// Calls body(a, b, count) for each part of the rows from a and from b on that lies in one block of either.
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
