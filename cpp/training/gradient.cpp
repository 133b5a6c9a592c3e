#include "training/gradient.h"

namespace gdfast {

namespace {

// What remains once the rows have been summed.
template <class T>
double finish(const Spec& spec, const RowSum<T>& sum, double alpha, const PlainArrays<T>& gradient) {
    double squares = 0;
    const T decay = static_cast<T>(alpha / sum.weight_sum);
    for (const Layer& l : spec.layers) {
        const T* w = sum.parameters.values.data() + l.weights;
        T* g = sum.values.data() + l.weights;
        if (!(alpha > 0)) continue;
        for (int64_t e = 0; e < l.elements(spec.panel); ++e) {
            squares += static_cast<double>(w[e]) * static_cast<double>(w[e]);
            g[e] += decay * w[e];
        }
    }
    unpack(spec, sum.values.data(), gradient);
    return (sum.loss + 0.5 * alpha * squares) / sum.weight_sum;
}

}  // namespace

template <class T>
double loss_and_gradient(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data,
                         const LossFunction<T>& loss, double alpha, const PlainArrays<T>& gradient,
                         int thread_limit) {
    RowSum<T> sum(spec, arrays, data, kSumRows, 3, thread_limit);
    sum.run(loss);
    return finish(spec, sum, alpha, gradient);
}

template <class T>
LossGradient<T>::LossGradient(const Spec& spec, const LossFunction<T>& loss, int64_t most_rows,
                              int thread_limit)
    : spec_(spec), sum_(spec, most_rows, 3, thread_limit) {
    sum_.prepare(loss);
    sum_.work.allocate(spec, Rows<T>(), nullptr, 0);  // for dense rows
}

template <class T>
double LossGradient<T>::operator()(const ConstPlainArrays<T>& arrays, const Data<T>& data, double alpha,
                                   const PlainArrays<T>& gradient) {
    sum_.begin(arrays, data);
    sum_.run();
    return finish(spec_, sum_, alpha, gradient);
}

template class LossGradient<float>;
template class LossGradient<double>;
template double loss_and_gradient(const Spec&, const ConstPlainArrays<float>&, const Data<float>&,
                                  const LossFunction<float>&, double, const PlainArrays<float>&, int);
template double loss_and_gradient(const Spec&, const ConstPlainArrays<double>&, const Data<double>&,
                                  const LossFunction<double>&, double, const PlainArrays<double>&, int);

}  // namespace gdfast
