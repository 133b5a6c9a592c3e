// The forward pass over sequences, for prediction.
#pragma once

#include "network/sequences.h"

namespace gdfast {

// out row-major = output(head): (steps of all sequences, outputs), or (sequences, outputs) of their last
// steps, by sequence number either way. Memory does not grow with the sequences' lengths. An Interruption
// leaves anything in `out` and in the sequences' states.
template <class T>
void predict_sequences(const RecurrentSpec& spec, const ConstPlainArrays<T>& arrays,
                       const Sequences<T>& sequences, bool per_step, Output output, T* out, int thread_limit);

}  // namespace gdfast
