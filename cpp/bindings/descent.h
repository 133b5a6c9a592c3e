// What the trainers' bindings share: the arguments, the state and the records of a Descent.
#pragma once

#include <vector>

#include "bindings/arrays.h"
#include "bindings/interruptible.h"
#include "training/trainer.h"

namespace gdfast {

// Raises ValueError or TypeError that name what is wrong.
DescentOptions descent_options(double alpha, double l1_ratio, double weight_decay,
                               const py::object& clip_value, const py::object& clip_norm,
                               const py::object& clip_layer_norm, double gradient_noise, uint64_t seed,
                               bool records, const std::string& rule, const py::dict& rule_params);

// A number, which `one` is to keep, or an array of `steps` numbers.
LearningRates checked_learning_rates(const py::object& learning_rate, int64_t steps, double& one);

// The step and the slots: arrays of the shapes of weights, biases, and then each normalised layer's gamma and
// beta.
template <class T>
py::dict descent_state(const Descent<T>& descent, const Spec& spec);
template <class T>
void load_descent_state(Descent<T>& descent, const Spec& spec, const py::dict& state);

// Runs an epoch of a trainer, and writes the weights back where they are finite: also when Ctrl-C has ended
// it. Returns the mean loss, and whether they are.
template <class Trainer, class T, class Run>
py::tuple epoch_run(Trainer& trainer, const LentArrays<T>& lent, const Spec& spec, Run run) {
    EpochResult result{};
    bool finite = false;
    const auto save = [&] {
        if (finite) trainer.save(lent.of(spec));
    };
    try {
        interruptible([&] {
            result = run();
            finite = trainer.finite();
        });
    } catch (const py::error_already_set&) {
        save();
        throw;
    }
    save();
    return py::make_tuple(result.loss, finite);
}

template <class T>
py::object descent_records(const Descent<T>& descent);

// In a range, or an error that names it.
double checked_share(double value, const char* name, double least, double most);

}  // namespace gdfast
