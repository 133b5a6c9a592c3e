// The contract between the arithmetic and everything above it: one table of functions per element type and
// instruction set. A kernel sees raw pointers; it knows no thread, no network and no Python.
//
// Matrices live in *panels*: P columns side by side, row after row (P = KernelTable::panel, two vectors or
// four).
//
//   activations, deltas   (rows, n)  ->  ceil(n / P) panels of (rows, P), `stride` elements apart
//   weights W             (in, out)  ->  ceil(out / P) panels of (in rounded up to P, P)
//   weights transposed    (out, in)  ->  ceil(in / P) panels of (out rounded up to P, P)
//
// Every inner loop then has strides known at compile time, whatever the size of a layer, and the block of
// P x P weights that one gradient tile updates is contiguous in both orientations.
//
// The order of every sum is fixed by the shapes alone, so that tile sizes, threads and chunks of rows cannot
// change a bit of any result:
//   over a layer's inputs    starts from the bias and adds one fused product after another, in the order of
//                            the inputs or of a sparse row's entries
//   the same, narrow layer   adds lane by lane, then vectors and lanes as trees, then the bias (see Spec)
//   over a batch             adds products row after row; the gradient of a bias has four interleaved sums in
//                            each block of rows, and the blocks are added in order
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/rules.h"

namespace gdfast {

enum class Activation : int {
    identity,
    logistic,
    tanh,
    relu,
    leaky_relu,
    elu,
    selu,
    gelu,
    gelu_tanh,
    silu,
    mish,
    softplus,
    softsign,
    hard_tanh
};
constexpr int kActivations = static_cast<int>(Activation::hard_tanh) + 1;

// Whether the derivative of an activation is computed from its pre-activation; otherwise from its output.
constexpr bool derivative_from_sum(Activation a) {
    return a == Activation::gelu || a == Activation::gelu_tanh || a == Activation::silu ||
           a == Activation::mish;
}

// Whether the sign of an activation's output determines its derivative: that of a value after dropout does,
// too.
constexpr bool derivative_from_sign(Activation a) {
    return a == Activation::identity || a == Activation::relu || a == Activation::leaky_relu;
}

enum class Output : int { identity, softmax, logistic, exp, quantiles };
constexpr int kOutputs = static_cast<int>(Output::quantiles) + 1;

enum class Loss : int {
    cross_entropy,
    binary_cross_entropy,
    squared_error,
    poisson,
    absolute_error,
    huber,
    quantile
};
constexpr int kLosses = static_cast<int>(Loss::quantile) + 1;

// The initial value of a sum.
enum class Start : int { zero, bias, output };
// The operation on a finished sum before it is stored. Other activations are a separate pass over the panel,
// which is still in the L1 cache.
// relu_derivative and drop are for the way back: times `factor`, or zero where the forward pass stored no
// positive number, or dropped the value.
enum class Epilogue : int { none, relu, relu_derivative, drop };

// One panel of outputs for a range of rows: c = epilogue(start + a . b)
template <class T>
struct Product {
    const T* a;          // inputs: element (i, k) at a[(k / P) * a_stride + i * P + k % P]
    int64_t a_stride;    // elements from one input panel to the next
    const T* b;          // (depth, >= columns), b_stride elements from row to row
    int64_t b_stride;    // P for panels; the row length for plain row-major weights
    T* c;                // (rows, P)
    const T* bias;       // (P) or, for plain weights, (columns)
    const T* activated;  // (rows, P): what the forward pass stored, for relu_derivative and drop
    int64_t rows, depth;
    int columns;  // 1 .. P
    Start start;
    Epilogue epilogue;
    T factor;  // of relu_derivative and drop
};

// One block of a weight gradient over a range of rows: g (+)= a^T . b
template <class T>
struct Outer {
    const T* a;  // (rows, P): one panel of the layer's inputs
    const T* b;  // (rows, P): one panel of its deltas
    T* g;        // (height, P)
    int64_t rows;
    int height;   // 1 .. P inputs
    int columns;  // 1 .. P outputs
    bool accumulate;
};

// The outputs of a narrow layer, whose weights are stored transposed only:
// c[i, n] = bias[n] + a[i, :] . w[n, :]
template <class T>
struct Dots {
    const T* a;  // inputs, in panels
    int64_t a_stride;
    const T* w;  // transposed panels: element (n, k) at w[(k / P) * w_stride + n * P + k % P]
    int64_t w_stride;
    const T* bias;  // (columns)
    T* c;           // (rows, P)
    int64_t rows, depth;
    int columns;
};

// Sparse rows (CSR): row i has the entries start[i] .. start[i + 1], in any order; duplicates are allowed.
template <class T>
struct SparseRows {
    int64_t count;
    const int64_t* start;   // (count + 1)
    const int64_t* column;  // by entry
    const T* value;
};

// Product with Start::bias, and Dots, for sparse rows.
template <class T>
struct SparseProduct {
    SparseRows<T> rows;
    const T* b;
    int64_t b_stride;
    T* c;  // (rows, P)
    const T* bias;
    int columns;
    Epilogue epilogue;  // none or relu
};
template <class T>
struct SparseDots {
    SparseRows<T> rows;
    const T* w;  // element (n, k) at w[(k / P) * panel_stride + n * output_stride + k % P * input_stride]
    int64_t panel_stride, output_stride, input_stride;
    const T* bias;
    T* c;  // (rows, P)
    int columns;
};

// An entry of a batch's sparse rows, in the list of its panel of inputs.
template <class T>
struct BlockEntry {
    int64_t row_offset;  // from the deltas of the batch's first row to those of the entry's row
    int32_t input;       // within the panel
    T value;
};

// Outer for sparse inputs: one block of a weight gradient, from the entries of one panel in the order of
// their rows. g is transposed, (columns, P), in a narrow layer.
template <class T>
struct SparseOuter {
    const BlockEntry<T>* entries;
    int64_t count;
    const T* b;  // one panel of deltas
    T* g;        // (height, P)
    int height, columns;
};

// The loss of a batch's rows. In: the pre-activations of the output layer. Out: their deltas, and each row's
// loss.
template <class T>
struct LossRows {
    T* z;  // (rows, columns) in panels
    int64_t z_stride;
    const T* target;  // (rows, columns; one, for quantile) in panels, z_stride apart; not for cross_entropy
    const int32_t* label;  // (rows), for cross_entropy
    const T* parameters;   // cross_entropy: the smoothing, huber: delta, quantile: see loss.inl.h
    const T* weight;       // (rows) or null: each row's factor in loss and gradient
    T scale;               // every delta's factor: 1 / the sum of the batch's weights
    T* row_loss;           // (rows)
    int64_t rows, columns;
};

// The Hessian of each row's loss with respect to the output layer's pre-activations, times a vector.
template <class T>
struct LossCurvature {
    T* z;            // in: the pre-activations, (rows, columns) in panels; out: the product
    const T* t;      // the vector, of the same layout
    const T* delta;  // of the same layout, what `loss` has made of z: for quantile only
    int64_t z_stride;
    const T* target;      // as in LossRows, like parameters, weight and scale
    const T* parameters;  // of huber
    const T* weight;
    T scale;
    int64_t rows, columns;
};

// One column of a square root of that Hessian, without weight and scale: the sum of the columns' outer
// products is the Hessian. Of losses that are convex and have one.
template <class T>
struct LossRoot {
    const T* p;  // predictions: the loss's output function of the pre-activations
    T* root;     // of the same layout
    int64_t z_stride;
    const T* target;
    const T* parameters;
    int64_t rows, columns, column;
};

// Recurrent cells. One step covers one panel of units in all their gates. Each gate has its own panels, so
// that the gates of one unit share a lane:
//   elman  a                       gru  n, r, z, and the hidden-to-hidden part of n
//   lstm   i, f, g, o, tanh c
enum class Cell : int { elman_tanh, elman_relu, gru, lstm };
constexpr int kCells = static_cast<int>(Cell::lstm) + 1, kMostGates = 5;

// In: the pre-activations of every gate, the previous state. Out: the gates, as the backward pass needs them,
// and the new state.
template <class T>
struct CellForward {
    T* gate[kMostGates];  // (rows, P) each
    const T* h;           // (rows, P), the previous state
    T* c;                 // (rows, P), of an lstm, in place
    T* h_next;            // (rows, P)
    T* output;            // a copy of h_next for the next layer or the head, or null
    T* c_prev;            // a copy of c before the step, or null
    int64_t n;            // rows * P
};

// In: d loss / d h, from the layer's output and from the next step, and d loss / d c. Out: the gates' deltas,
// and the gradient that reaches the previous step without the product with the weights (gru and lstm).
template <class T>
struct CellBackward {
    const T* gate[kMostGates];
    T* delta[kMostGates];  // may be the gates' own memory
    const T* d_output;     // or null
    T *dh, *dc;            // in place
    const T *h, *c;        // the state before the step
    int64_t n;
};

// The key of a counter-based generator: a random number is a function of key and counter (random.inl.h).
struct RandomKey {
    uint32_t first, second;
};

// Dropout of one panel of a layer's outputs for some rows; every element has the same probability.
template <class T>
struct Dropout {
    const T* a;  // (rows, P)
    T* out;      // (rows, P), may be a
    int64_t rows, first_row, column;
    RandomKey key;
    uint32_t threshold;  // the probability, times 2^16
    T factor;            // 1 / (1 - the probability)
};

// The same for the stored entries of one sparse row.
template <class T>
struct EntryDropout {
    const int64_t* column;
    T* value;
    int64_t count, row;
    RandomKey key;
    uint32_t threshold;
    T factor;
};

template <class T>
struct KernelTable {
    int lanes;  // elements in a vector
    int panel;  // P

    void (*product)(const Product<T>&);
    void (*product_plain)(const Product<T>&);  // b is row-major weights
    void (*outer)(const Outer<T>&);
    void (*dots)(const Dots<T>&);
    void (*sparse_product)(const SparseProduct<T>&);
    void (*sparse_product_plain)(const SparseProduct<T>&);
    void (*sparse_dots)(const SparseDots<T>&);
    void (*sparse_outer)(const SparseOuter<T>&);
    void (*sparse_outer_narrow)(const SparseOuter<T>&);
    // (rows, P) -> (P): the bias's gradient
    void (*column_sums)(int64_t rows, const T* b, T* g, bool accumulate);

    // a = f(z) over n contiguous elements, or in place.
    void (*activate[kActivations])(int64_t n, const T* z, T* a, T parameter);
    // delta *= f'(z), computed from the stored f(z), or from z (derivative_from_sum)
    void (*differentiate[kActivations])(int64_t n, const T* stored, T* delta, T parameter);
    // The same, and tangent = tangent f'(z) + delta f''(z) R{z}, for the derivative R{} along a direction of
    // the parameters. `stored_tangent` is R{stored}. At a kink, and with it everywhere for a function that is
    // straight on both sides, f'' is 0.
    void (*differentiate_tangent[kActivations])(int64_t n, const T* stored, const T* stored_tangent, T* delta,
                                                T* tangent, T parameter);
    void (*exponential)(int64_t n, T* z);
    void (*softmax)(int64_t rows, int64_t columns, T* z, int64_t z_stride);
    // The first output is the first quantile; each further one adds its softplus to the quantile before.
    void (*quantiles)(int64_t rows, int64_t columns, T* z, int64_t z_stride);
    void (*loss[kLosses])(const LossRows<T>&);
    void (*loss_curvature[kLosses])(const LossCurvature<T>&);
    void (*loss_root[kLosses])(const LossRoot<T>&);  // not of absolute_error and quantile

    // Updates w and the rule's state arrays in place. Returns the sum of squares of w before the update.
    T (*update[kRules])(int64_t n, T* w, const T* g, T* const* states, const RuleStep<T>&);

    // Operations on gradients, before the rule.
    double (*sum_squares)(int64_t n, const T* x);
    double (*norm)(int64_t n, const T* x);  // sqrt(sum_squares), finite even where only the sum overflows
    double (*sum_magnitudes)(int64_t n, const T* x);
    double (*sum_squared_differences)(int64_t n, const T* x, const T* y);
    void (*penalize)(int64_t n, const T* w, T* g, T l2, T l1);  // g += l2 w + l1 sign(w)
    void (*clip)(int64_t n, T* g, T bound);
    void (*scale)(int64_t n, T* x, T factor);
    void (*add_noise)(int64_t n, int64_t first, RandomKey key, T sigma, T* g);

    // Batch normalisation of one panel (normalize.inl.h).
    void (*normalize)(int64_t rows, const T* z, const T* center, const T* scale, const T* shift, T* y);
    void (*normalize_backward)(int64_t rows, const T* z, const T* center, const T* scale, const T* factor,
                               const T* shift, T* delta);
    void (*column_products)(int64_t rows, const T* a, const T* b, const T* center, T* sums, bool accumulate);

    RandomKey (*derive_key)(RandomKey key, uint32_t x0, uint32_t x1);
    void (*drop)(const Dropout<T>&);
    void (*drop_entries)(const EntryDropout<T>&);

    void (*cell_forward[kCells])(const CellForward<T>&);
    void (*cell_backward[kCells])(const CellBackward<T>&);

    // Transposes one P x P block.
    void (*transpose)(const T* block, T* transposed);
    // Rows of a row-major matrix into panels; order may be null (0, 1, ...).
    void (*gather)(int64_t rows, int64_t columns, const T* x, int64_t x_stride, const int64_t* order,
                   T* panels, int64_t stride);
};

}  // namespace gdfast
