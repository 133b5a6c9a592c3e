// The caller's sequences, and batches of them, which are sorted by length, the longest first.
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
    int64_t count = 0;                // number of sequences to be used
    // The initial states, replaced by the final states, one array (sequences, state units) for each layer.
    // Empty: initial states of zero.
    std::vector<T*> states;

    int64_t number(int64_t i) const { return order ? order[i] : i; }
    int64_t length(int64_t number) const { return starts[number + 1] - starts[number]; }
    // Over the `count` sequences to be used; longest_of_all() is over all sequences.
    int64_t longest() const;
    bool equally_long() const;
    int64_t longest_of_all() const;
};

template <class T>
class SequenceBatch {
public:
    explicit SequenceBatch(int64_t capacity);

    // Makes a batch of sequences first, first + 1, ..., `count` at most, with memory for `slots` steps.
    void take(const Sequences<T>& all, int64_t first, int64_t count, int64_t slots, bool end_together);

    // The sequence number of sequence s of the batch, and the row of X of its step `step`.
    int64_t number(int64_t s) const { return number_[static_cast<size_t>(s)]; }
    int64_t row(int64_t s, int64_t step) const { return origin_[static_cast<size_t>(s)] + step; }

    // A function that fetches inputs for the batch; `scratch` (sequences) holds row numbers.
    Fetch<T> fetch(const Rows<T>& x, int64_t* scratch) const;

    // begin() copies the caller's states, or zeros, to the workspace; end() copies the final states back.
    void begin(const RecurrentSpec& spec, const std::vector<T*>& states, RecurrentWorkspace<T>& work) const;
    void end(const RecurrentSpec& spec, const std::vector<T*>& states,
             const RecurrentWorkspace<T>& work) const;

    Steps steps{};

private:
    std::vector<int64_t> number_, length_, origin_;
};

}  // namespace gdfast
