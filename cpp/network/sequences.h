// A caller's sequences, and some of them as a batch: the longest first.
#pragma once

#include <vector>

#include "network/recurrent.h"
#include "network/rows.h"

namespace gdfast {

template <class T>
struct Sequences {
    Rows<T> x;  // the steps of all sequences, one sequence after another
    int64_t sequences = 0;
    const int64_t* starts = nullptr;  // (sequences + 1): the first step of each, and the end
    const int64_t* order = nullptr;   // sequence numbers, or null for 0, 1, ...
    int64_t count = 0;                // how many
    // Where sequences begin, and then where they ended, by layer: (sequences, state units) each. Or empty:
    // they begin with zeros.
    std::vector<T*> states;

    int64_t number(int64_t i) const { return order ? order[i] : i; }
    int64_t length(int64_t number) const { return starts[number + 1] - starts[number]; }
    // Of those to be taken.
    int64_t longest() const;
    bool equally_long() const;
    int64_t longest_of_all() const;
};

template <class T>
class SequenceBatch {
public:
    explicit SequenceBatch(int64_t capacity);

    // Sequences first, first + 1, ..., `count` at most; with memory for `slots` steps.
    void take(const Sequences<T>& all, int64_t first, int64_t count, int64_t slots, bool end_together);

    // The number of sequence s of the batch, and the row of X that is its step `step`.
    int64_t number(int64_t s) const { return number_[static_cast<size_t>(s)]; }
    int64_t row(int64_t s, int64_t step) const { return origin_[static_cast<size_t>(s)] + step; }

    // Fetches inputs for the batch; row numbers pass through `scratch` (sequences).
    Fetch<T> fetch(const Rows<T>& x, int64_t* scratch) const;

    // The caller's states, or zeros, to the workspace, and back.
    void begin(const RecurrentSpec& spec, const std::vector<T*>& states, RecurrentWorkspace<T>& work) const;
    void end(const RecurrentSpec& spec, const std::vector<T*>& states,
             const RecurrentWorkspace<T>& work) const;

    Steps steps{};

private:
    std::vector<int64_t> number_, length_, origin_;
};

}  // namespace gdfast
