#include "network/normalization.h"

#include <algorithm>
#include <cmath>

namespace gdfast {

namespace {

struct Scaled {
    double mean, deviation;
};

// The mean and standard deviation of one column of a panel, computed in units of its largest magnitude.
template <class T>
Scaled scaled_moments(const RowPanels<T>& z, int64_t j, int column, int P, int64_t rows) {
    const auto mean_of = [&](auto term) {
        double sum = 0;
        in_blocks<T>({0, rows}, [&](Range block) {
            const T* numbers = z.at(block.first, j) + column;
            for (int64_t i = 0; i < block.count(); ++i) sum += term(static_cast<double>(numbers[i * P]));
        });
        return sum / static_cast<double>(rows);
    };
    double largest = 0;
    mean_of([&](double x) { return largest = std::max(largest, std::abs(x)); });
    const double mean = mean_of([&](double x) { return x / largest; });
    const double variance = mean_of([&](double x) { return (x / largest - mean) * (x / largest - mean); });
    return {largest * mean, largest * std::sqrt(variance)};
}

}  // namespace

template <class T>
void find_moments(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work, Moments<T>& moments,
                  const NormOptions& options, size_t i, int64_t j, int64_t rows, bool update_running) {
    const KernelTable<T>& table = kernels<T>();
    const Layer& l = spec.layers[i];
    const int P = spec.panel;
    Norm<T>& norm = work.norms[i];
    T *center = norm.center.data() + j * P, *scale = norm.scale.data() + j * P;
    in_blocks<T>({0, rows}, [&](Range block) {
        table.column_sums(block.count(), work.raw[i].at(block.first, j), center, block.first > 0);
    });
    const T n = static_cast<T>(rows);
    for (int c = 0; c < P; ++c) center[c] /= n;
    in_blocks<T>({0, rows}, [&](Range block) {  // `scale` holds the sums of squared differences for now
        table.column_products(block.count(), nullptr, work.raw[i].at(block.first, j), center, scale,
                              block.first > 0);
    });
    const T unbiased = n / std::max(n - 1, T(1)), momentum = static_cast<T>(options.momentum);
    for (int c = 0; c < P; ++c) {
        const int64_t column = j * P + c;
        T variance = scale[c] / n;
        T inverse = 1 / std::sqrt(variance + static_cast<T>(options.epsilon));
        if (!std::isfinite(variance)) {
            const Scaled m = scaled_moments(work.raw[i], j, c, P, rows);
            center[c] = static_cast<T>(m.mean);
            variance = static_cast<T>(m.deviation * m.deviation);
            inverse = static_cast<T>(1 / std::hypot(m.deviation, std::sqrt(options.epsilon)));
        }
        moments.inverse.data()[column] = inverse;
        scale[c] = parameters.gamma(l)[column] * inverse;
        norm.shift.data()[column] = parameters.beta(l)[column];
        if (!update_running) continue;
        T &mean = moments.mean.data()[column], &running = moments.variance.data()[column];
        mean += momentum * (center[c] - mean);
        running += momentum * (variance * unbiased - running);
    }
}

template <class T>
void find_norm_gradients(const Spec& spec, Workspace<T>& work, const Moments<T>& moments, size_t i, int64_t j,
                         int64_t rows, T* gamma_gradient, T* beta_gradient) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    Norm<T>& norm = work.norms[i];
    const T* center = norm.center.data() + j * P;
    in_blocks<T>({0, rows}, [&](Range block) {
        const T* deltas = work.deltas[i].at(block.first, j);
        table.column_sums(block.count(), deltas, beta_gradient, block.first > 0);
        table.column_products(block.count(), deltas, work.raw[i].at(block.first, j), center, gamma_gradient,
                              block.first > 0);
    });
    const T n = static_cast<T>(rows);
    for (int c = 0; c < P; ++c) {
        const int64_t column = j * P + c;
        const T inverse = moments.inverse.data()[column], scale = norm.scale.data()[column];
        gamma_gradient[c] *= inverse;
        norm.factor.data()[column] = -scale * inverse * (gamma_gradient[c] / n);
        norm.offset.data()[column] = -scale * (beta_gradient[c] / n);
    }
    // The padding of parameters stays zero.
    for (int64_t c = std::max<int64_t>(0, spec.layers[i].out - j * P); c < P; ++c)
        gamma_gradient[c] = beta_gradient[c] = 0;
}

template <class T>
void use_running_moments(const Spec& spec, const ConstPlainArrays<T>& arrays, double epsilon,
                         Workspace<T>& work) {
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        if (!spec.layers[i].normalized) continue;
        Norm<T>& norm = work.norms[i];
        for (int64_t c = 0; c < spec.layers[i].out; ++c) {
            norm.center.data()[c] = arrays.means[i][c];
            norm.scale.data()[c] =
                arrays.gammas[i][c] / std::sqrt(arrays.variances[i][c] + static_cast<T>(epsilon));
            norm.shift.data()[c] = arrays.betas[i][c];
        }
    }
}

#define GDFAST_INSTANTIATE(T)                                                                         \
    template void find_moments(const Spec&, const Parameters<T>&, Workspace<T>&, Moments<T>&,         \
                               const NormOptions&, size_t, int64_t, int64_t, bool);                   \
    template void find_norm_gradients(const Spec&, Workspace<T>&, const Moments<T>&, size_t, int64_t, \
                                      int64_t, T*, T*);                                               \
    template void use_running_moments(const Spec&, const ConstPlainArrays<T>&, double, Workspace<T>&);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast
