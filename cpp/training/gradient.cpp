#include "training/gradient.h"

#include "training/row_sum.h"

namespace gdfast {

template <class T>
double loss_and_gradient(const Spec& spec, const ConstPlainArrays<T>& arrays, const Data<T>& data,
                         const LossFunction<T>& loss, double alpha, const PlainArrays<T>& gradient,
                         int thread_limit) {
    RowSum<T> sum(spec, arrays, data, kSumRows, 3, thread_limit);
    sum.run(loss);

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

template double loss_and_gradient(const Spec&, const ConstPlainArrays<float>&, const Data<float>&,
                                  const LossFunction<float>&, double, const PlainArrays<float>&, int);
template double loss_and_gradient(const Spec&, const ConstPlainArrays<double>&, const Data<double>&,
                                  const LossFunction<double>&, double, const PlainArrays<double>&, int);

}  // namespace gdfast
