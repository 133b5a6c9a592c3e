// The forward pass over sequences, for prediction.
#pragma once

#include "network/sequences.h"

namespace gdfast {

// out, row-major = output(head): (steps of all sequences, outputs) if `per_step`, else (sequences, outputs)
// of the last steps, both in the order of sequence numbers. Memory does not grow with the lengths of the
// sequences. After an Interruption `out` and the states of the sequences are undefined.
template <class T>
void predict_sequences(const RecurrentSpec& spec, const ConstPlainArrays<T>& arrays,
                       const Sequences<T>& sequences, bool per_step, Output output, T* out, int thread_limit);

}  // namespace gdfast
