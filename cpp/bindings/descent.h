// What the trainers' bindings share: the arguments, the state and the records of a Descent.
#pragma once

#include <functional>
#include <vector>

#include "bindings/arrays.h"
#include "training/trainer.h"

namespace gdfast {

// Raises ValueError or TypeError that name what is wrong.
DescentOptions descent_options(double alpha, double l1_ratio, double weight_decay,
                               const py::object& clip_value, const py::object& clip_norm,
                               const py::object& clip_layer_norm, double gradient_noise, uint64_t seed,
                               bool records, const std::string& rule, const py::dict& rule_params);

// A number, which `one` is to keep, or an array of `steps` numbers.
LearningRates checked_learning_rates(const py::object& learning_rate, int64_t steps, double& one);

// What plain arrays the arrays of a state are, in their order.
template <class T>
using Arrange = std::function<PlainArrays<T>(const std::vector<T*>&)>;

// `trained` are the caller's arrays: the state has their shapes.
template <class T>
py::dict descent_state(const Descent<T>& descent, const Spec& spec, const py::list& trained,
                       const Arrange<T>& arrange);
template <class T>
void load_descent_state(Descent<T>& descent, const Spec& spec, const py::list& trained,
                        const Arrange<T>& arrange, const py::dict& state);

template <class T>
py::object descent_records(const Descent<T>& descent);

// In a range, or an error that names it.
double checked_share(double value, const char* name, double least, double most);

}  // namespace gdfast
