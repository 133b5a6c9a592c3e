// Recurrent networks and sequences, checked.
#pragma once

#include <optional>

#include "bindings/arrays.h"
#include "network/sequences.h"
#include "training/sequence_steps.h"

namespace gdfast {

// Of each recurrent layer the weights input-to-hidden and hidden-to-hidden, each with biases, and then the
// head's.
template <class T>
struct RecurrentNetwork {
    PlainArrays<T> arrays;
    RecurrentSpec spec;
};
template <class T>
RecurrentNetwork<T> checked_recurrent(const py::sequence& coefs, const py::sequence& intercepts, Cell cell,
                                      Access access);

template <class T>
Sequences<T> checked_sequences(const py::object& x, const py::object& starts, const py::object& order,
                               const py::object& states, const RecurrentSpec& spec);

// None, or a pair (k1, k2).
std::optional<Truncation> checked_truncation(const py::object& tbptt);

}  // namespace gdfast
