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

// The gradient's place and the rule's place as Python has them: functions that get lists of arrays and leave
// in them what the step goes on with. The arrays are the same in every step of an epoch.
template <class T>
class StepHooks {
public:
    // Takes on_gradient and on_step: callables or None, or TypeError that names the one that is neither.
    // ValueError for a network with embeddings.
    StepHooks(Arguments& arguments, Descent<T>& descent, const Spec& spec);
    // Sets the callbacks, which are called without the GIL, and are valid as long as this.
    void set(EpochOptions& options);

private:
    py::object taken(Arguments& arguments, const char* name) const;
    py::tuple arrays() const;
    // Pointers to the elements of `arrays`, looked up again each time, for Python can do anything to an
    // array.
    PlainArrays<T> pointers(const py::tuple& arrays, const char* name) const;

    Descent<T>& descent_;
    const Spec& spec_;
    const py::object on_gradient_, on_step_;
    py::tuple gradients_, weights_;
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
