#include "training/functions.h"

#include <cmath>
#include <stdexcept>

namespace gdfast {

bool has_parameter(Activation kind) { return kind == Activation::leaky_relu || kind == Activation::elu; }

ActivationFunction activation_function(Activation kind, const std::string& name,
                                       std::optional<double> parameter) {
    if (!parameter) return {kind, kind == Activation::leaky_relu ? 0.01 : kind == Activation::elu ? 1 : 0};
    if (!has_parameter(kind)) throw std::invalid_argument(name + " has no parameter");
    // Below zero the value would not tell on which side the argument was.
    if (!(*parameter >= 0 && std::isfinite(*parameter)))
        throw std::invalid_argument("the parameter of " + name + " must be finite and not negative, got " +
                                    std::to_string(*parameter));
    return {kind, *parameter};
}

Output output_of(Loss loss) {
    switch (loss) {
        case Loss::cross_entropy:
            return Output::softmax;
        case Loss::binary_cross_entropy:
            return Output::logistic;
        case Loss::poisson:
            return Output::exp;
        case Loss::quantile:
            return Output::quantiles;
        default:
            return Output::identity;
    }
}

template <class T>
LossFunction<T> loss_function(Loss kind, const std::string& name, const std::vector<double>& parameters,
                              int64_t outputs) {
    const auto need = [&](bool met, const std::string& what) {
        if (!met) throw std::invalid_argument(name + " " + what);
    };
    const size_t count = parameters.size();
    LossFunction<T> loss{kind, std::vector<T>(parameters.begin(), parameters.end())};
    if (kind == Loss::cross_entropy) {
        need(count == 0 || (count == 1 && parameters[0] >= 0 && parameters[0] < 1),
             "takes at most one parameter, the label smoothing, in [0, 1)");
    } else if (kind == Loss::huber) {
        need(count == 1 && parameters[0] > 0 && std::isfinite(parameters[0]),
             "needs one parameter, delta, which must be positive and finite");
    } else if (kind == Loss::quantile) {
        bool rising = count > 0;
        for (size_t i = 0; i < count; ++i)
            rising = rising && parameters[i] > (i > 0 ? parameters[i - 1] : 0) && parameters[i] < 1;
        need(rising, "needs the levels of its quantiles, strictly increasing between 0 and 1");
        need(static_cast<int64_t>(count) == outputs, "has " + std::to_string(count) +
                                                         " quantiles, but the network has " +
                                                         std::to_string(outputs) + " outputs");
        double sum = 0;
        loss.parameters.resize(2 * count);
        for (size_t i = count; i > 0; --i)
            loss.parameters[count + i - 1] = static_cast<T>(sum += parameters[i - 1]);
    } else {
        need(count == 0, "has no parameters");
    }
    return loss;
}

template LossFunction<float> loss_function(Loss, const std::string&, const std::vector<double>&, int64_t);
template LossFunction<double> loss_function(Loss, const std::string&, const std::vector<double>&, int64_t);

}  // namespace gdfast
