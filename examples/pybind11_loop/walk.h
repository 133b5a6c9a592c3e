// What a C++ library may look like that knows nothing of Python: it includes gdfast.h without it.
#pragma once

#include <cstdint>
#include <vector>

// A network with one input, one hidden layer of tanh and one output.
struct Network {
    std::vector<double> weights[2], biases[2];
    explicit Network(std::int64_t hidden, std::uint64_t seed);
};

// Learns the value of every place of a random walk by TD(0): a walk starts in the middle of 0 .. 1, takes
// steps of up to 0.2 to either side, and ends with 0 below and with 1 above. The value of a place is the
// chance of ending above. Throws std::runtime_error.
void learn_values(Network& network, std::int64_t walks, double lr, std::uint64_t seed);

// The values of `n` places.
void values(Network& network, const double* places, std::int64_t n, double* out);
