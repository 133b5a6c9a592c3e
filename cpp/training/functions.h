// Activations and losses with their parameters, checked. `name` is what errors call them; errors are
// std::invalid_argument.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "network/spec.h"
#include "training/batch.h"

namespace gdfast {

// With torch's default where there is no parameter.
ActivationFunction activation_function(Activation kind, const std::string& name,
                                       std::optional<double> parameter);
bool has_parameter(Activation kind);

// That of the output layer.
Output output_of(Loss loss);

// For a network of so many outputs.
template <class T>
LossFunction<T> loss_function(Loss kind, const std::string& name, const std::vector<double>& parameters,
                              int64_t outputs);

}  // namespace gdfast
