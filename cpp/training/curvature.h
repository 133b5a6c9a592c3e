// Products with the curvature of the loss of a whole data set, and diagonals. No matrix is formed.
#pragma once

#include "training/batch.h"

namespace gdfast {

// The function is that of loss_and_gradient(), and what is said there of memory and interruption holds here.
// Where an activation or the loss has a kink, its second derivative is taken as zero.
template <class T>
struct CurvatureArguments {
    const Spec& spec;
    ConstPlainArrays<T> parameters;
    const Data<T>& data;
    const LossFunction<T>& loss;
    double alpha;
    int thread_limit;
};

// Hessian times direction (Pearlmutter 1994, see network/tangents.h).
template <class T>
void hessian_product(const CurvatureArguments<T>& arguments, const ConstPlainArrays<T>& direction,
                     const PlainArrays<T>& product);

// Gauss-Newton matrix times direction: J' H J v, of the Jacobian J of the output layer's pre-activations and
// the loss's Hessian H with respect to those (Schraudolph, "Fast curvature matrix-vector products for
// second-order gradient descent", Neural Computation 14, 2002).
template <class T>
void gauss_newton_product(const CurvatureArguments<T>& arguments, const ConstPlainArrays<T>& direction,
                          const PlainArrays<T>& product);

// The diagonal of the Gauss-Newton matrix: the sum of squares of one backward pass for each output. (Dangel,
// Kunstner and Hennig, "BackPACK: Packing more into backprop", ICLR 2020.)
template <class T>
void gauss_newton_diagonal(const CurvatureArguments<T>& arguments, const PlainArrays<T>& diagonal);

// The diagonal of the empirical Fisher matrix: the mean of the squares of the rows' gradients.
template <class T>
void fisher_diagonal(const CurvatureArguments<T>& arguments, const PlainArrays<T>& diagonal);

}  // namespace gdfast
