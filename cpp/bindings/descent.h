// A Descent as Python sees it: its arguments, the gradient's place, its state and its records.
#pragma once

#include <functional>

#include "bindings/arguments.h"
#include "training/descent.h"

namespace gdfast {

// Reads the arguments that determine the moves of a step; raises ValueError or TypeError that name what is
// wrong.
DescentOptions descent_options(Arguments& arguments);

// Whether there is a learning rate's factor for each of its layers, or an error that names the group.
void check_rate_factors(const DescentOptions& options, const Spec& spec);

double checked_weight_decay(py::handle value);

// A number, which `one` is to keep, or an array of `steps` numbers.
LearningRates checked_learning_rates(const py::object& learning_rate, int64_t steps, double& one);

// The gradient's place as Python has it: calls a function with a list of arrays, and takes from them what it
// has left there. The arrays are the same in every step of an epoch.
template <class T>
class GradientHook {
public:
    // `function`: a callable, or None. Raises TypeError that names it.
    GradientHook(const py::object& function, Descent<T>& descent, const Spec& spec);
    // EpochOptions::on_gradient: to be called without the GIL. Valid as long as this.
    std::function<void()> callback();

private:
    void call();

    const py::object function_;
    Descent<T>& descent_;
    const Spec& spec_;
    py::tuple arrays_;
};

// The step and the slots: arrays of the shapes of weights, biases, and then each normalised layer's gamma and
// beta.
template <class T>
py::dict descent_state(const Descent<T>& descent, const Spec& spec);
template <class T>
void load_descent_state(Descent<T>& descent, const Spec& spec, const py::dict& state);

template <class T>
py::object descent_records(const Descent<T>& descent);

// In a range, or an error that names it.
double checked_share(double value, const char* name, double least, double most);

}  // namespace gdfast
