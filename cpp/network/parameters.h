// A network's weights in panels, and the conversion between panels and plain row-major arrays.
#pragma once

#include <vector>

#include "network/spec.h"

namespace gdfast {

// The caller's arrays, which hold the parameters outside of fit: coefs[i] is (in, out) row-major,
// intercepts[i] is (out,). A normalised layer also has gammas[i], betas[i], means[i] and variances[i],
// (out,); these are null for the other layers. embeddings[i] is that of Spec::embeddings[i], row-major.
template <class T>
struct PlainArrays {
    std::vector<T*> coefs, intercepts, gammas, betas, means, variances, embeddings;
};
template <class T>
struct ConstPlainArrays {
    std::vector<const T*> coefs, intercepts, gammas, betas, means, variances, embeddings;
    ConstPlainArrays() = default;
    ConstPlainArrays(const PlainArrays<T>& a)
        : coefs(a.coefs.begin(), a.coefs.end()),
          intercepts(a.intercepts.begin(), a.intercepts.end()),
          gammas(a.gammas.begin(), a.gammas.end()),
          betas(a.betas.begin(), a.betas.end()),
          means(a.means.begin(), a.means.end()),
          variances(a.variances.begin(), a.variances.end()),
          embeddings(a.embeddings.begin(), a.embeddings.end()) {}
};

// Copies an array of Spec::parameters elements from or to plain arrays: the weights, or one array of an
// optimizer's state. pack() can be interrupted (stop_point).
template <class T>
void pack(const Spec& spec, const ConstPlainArrays<T>& from, T* to);
template <class T>
void unpack(const Spec& spec, const T* from, const PlainArrays<T>& to);
template <class T>
bool all_finite(const T* values, int64_t n);

template <class T>
class Parameters {
public:
    // `training`: with the transposed copies that the backward pass needs.
    Parameters(const Spec& spec, bool training)
        : values(spec.parameters), transposed(training ? spec.transposed : 0), spec_(spec) {}

    void load(const ConstPlainArrays<T>& arrays);

    const T* bias(const Layer& l) const { return values.data() + l.bias; }
    const T* gamma(const Layer& l) const { return values.data() + l.gamma; }
    const T* beta(const Layer& l) const { return values.data() + l.beta; }
    // Panel j of W, as the forward pass and the update read it.
    T* weight_panel(const Layer& l, int64_t j) const {
        return values.data() + l.weights + j * l.weight_panel(spec_.panel);
    }
    // Panel p of W transposed, as the backward pass reads it.
    T* transposed_panel(const Layer& l, int64_t p) const {
        return (l.narrow ? values : transposed).data() + l.transposed + p * l.transposed_panel(spec_.panel);
    }

    Buffer<T> values;      // biases and weights, Spec::parameters
    Buffer<T> transposed;  // Spec::transposed

private:
    const Spec& spec_;
};

}  // namespace gdfast
