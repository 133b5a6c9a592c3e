// A network's weights in panels, and the way between panels and plain row-major arrays.
#pragma once

#include <vector>

#include "network/spec.h"

namespace gdfast {

// The caller's arrays: coefs[i] is (in, out) row-major, intercepts[i] is (out,). The one truth outside of
// fit.
// A normalised layer has gammas[i] and betas[i], and means[i] and variances[i], (out,), too; the others' are
// null.
template <class T>
struct PlainArrays {
    std::vector<T*> coefs, intercepts, gammas, betas, means, variances;
};
template <class T>
struct ConstPlainArrays {
    std::vector<const T*> coefs, intercepts, gammas, betas, means, variances;
    ConstPlainArrays() = default;
    ConstPlainArrays(const PlainArrays<T>& a)
        : coefs(a.coefs.begin(), a.coefs.end()),
          intercepts(a.intercepts.begin(), a.intercepts.end()),
          gammas(a.gammas.begin(), a.gammas.end()),
          betas(a.betas.begin(), a.betas.end()),
          means(a.means.begin(), a.means.end()),
          variances(a.variances.begin(), a.variances.end()) {}
};

// One array of Spec::parameters elements from or to plain arrays: weights, or a slot of an optimizer's state.
// (On the way in there are points to stop at.)
template <class T>
void pack(const Spec& spec, const ConstPlainArrays<T>& from, T* to);
template <class T>
void unpack(const Spec& spec, const T* from, const PlainArrays<T>& to);
template <class T>
bool all_finite(const T* values, int64_t n);

template <class T>
class Parameters {
public:
    // With the transposed copies that a backward pass needs, or without.
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
