// What the trainers' bindings share: the arguments, the state and the records of a Descent.
#pragma once

#include <atomic>

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

// coefs and intercepts are the arrays that are trained: the state has their shapes.
template <class T>
py::dict descent_state(const Descent<T>& descent, const Spec& spec, const py::list& coefs,
                       const py::list& intercepts);
template <class T>
void load_descent_state(Descent<T>& descent, const Spec& spec, const py::list& coefs,
                        const py::list& intercepts, const py::dict& state);

template <class T>
py::object descent_records(const Descent<T>& descent);

// The GIL is released while an epoch runs: a second thread must not come in by the same trainer.
class Busy {
public:
    explicit Busy(std::atomic<bool>& flag) : flag_(flag) {
        if (flag.exchange(true))
            throw std::runtime_error("this trainer is already at work in another thread");
    }
    ~Busy() { flag_ = false; }

private:
    std::atomic<bool>& flag_;
};

}  // namespace gdfast
