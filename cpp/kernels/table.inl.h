// Assembles one ISA's tables from the kernels, which are written once. An isa_*.cpp defines GDFAST_TABLE (the
// name of its tables) and GDFAST_VECTOR_BYTES, and includes this file.
#pragma once

#include "kernels/activation.inl.h"
#include "kernels/cell.inl.h"
#include "kernels/gemm.inl.h"
#include "kernels/gradient.inl.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "kernels/loss.inl.h"
#include "kernels/move.inl.h"
#include "kernels/normalize.inl.h"
#include "kernels/random.inl.h"
#include "kernels/rules.inl.h"
#include "kernels/sparse.inl.h"
#include "kernels/update.inl.h"

namespace gdfast {
namespace {

template <class T, template <class> class Function>
constexpr void add_activation(KernelTable<T>& t, Activation a) {
    t.activate[static_cast<int>(a)] = activate<T, Function>;
    t.differentiate[static_cast<int>(a)] = differentiate<T, Function>;
}

template <class T>
constexpr KernelTable<T> make_table() {
    KernelTable<T> t{};
    t.lanes = Simd<T>::lanes;
    t.panel = kPanel<T>;
    t.product = product<T, false>;
    t.product_plain = product<T, true>;
    t.outer = outer<T>;
    t.dots = dots<T>;
    t.sparse_product = sparse_product<T, false>;
    t.sparse_product_plain = sparse_product<T, true>;
    t.sparse_dots = sparse_dots<T>;
    t.sparse_outer = sparse_outer<T>;
    t.sparse_outer_narrow = sparse_outer_narrow<T>;
    t.column_sums = column_sums<T>;
    add_activation<T, Logistic>(t, Activation::logistic);
    add_activation<T, Tanh>(t, Activation::tanh);
    add_activation<T, Relu>(t, Activation::relu);
    add_activation<T, LeakyRelu>(t, Activation::leaky_relu);
    add_activation<T, Elu>(t, Activation::elu);
    add_activation<T, Selu>(t, Activation::selu);
    add_activation<T, Gelu>(t, Activation::gelu);
    add_activation<T, GeluTanh>(t, Activation::gelu_tanh);
    add_activation<T, Silu>(t, Activation::silu);
    add_activation<T, Mish>(t, Activation::mish);
    add_activation<T, Softplus>(t, Activation::softplus);
    add_activation<T, Softsign>(t, Activation::softsign);
    add_activation<T, HardTanh>(t, Activation::hard_tanh);
    t.exponential = exponential<T>;
    t.softmax = softmax<T>;
    t.quantiles = quantiles<T>;
    t.loss[static_cast<int>(Loss::cross_entropy)] = cross_entropy<T>;
    t.loss[static_cast<int>(Loss::binary_cross_entropy)] = separable_loss<T, BinaryCrossEntropy<T>>;
    t.loss[static_cast<int>(Loss::squared_error)] = separable_loss<T, SquaredError<T>>;
    t.loss[static_cast<int>(Loss::poisson)] = separable_loss<T, Poisson<T>>;
    t.loss[static_cast<int>(Loss::absolute_error)] = separable_loss<T, AbsoluteError<T>>;
    t.loss[static_cast<int>(Loss::huber)] = separable_loss<T, Huber<T>>;
    t.loss[static_cast<int>(Loss::quantile)] = quantile_loss<T>;
#define GDFAST_ADD_RULE(kernel, Move, ...)                                                                \
    static_assert(Move<T>::states == states_of(Rule::kernel), "its row in rules.h names as many states"); \
    t.update[static_cast<int>(Rule::kernel)] = update<T, Move<T>>;
    GDFAST_RULES(GDFAST_ADD_RULE)
#undef GDFAST_ADD_RULE
    t.cell_forward[static_cast<int>(Cell::elman_tanh)] = elman_forward<T, Tanh>;
    t.cell_forward[static_cast<int>(Cell::elman_relu)] = elman_forward<T, Relu>;
    t.cell_forward[static_cast<int>(Cell::gru)] = gru_forward<T>;
    t.cell_forward[static_cast<int>(Cell::lstm)] = lstm_forward<T>;
    t.cell_backward[static_cast<int>(Cell::elman_tanh)] = elman_backward<T, Tanh>;
    t.cell_backward[static_cast<int>(Cell::elman_relu)] = elman_backward<T, Relu>;
    t.cell_backward[static_cast<int>(Cell::gru)] = gru_backward<T>;
    t.cell_backward[static_cast<int>(Cell::lstm)] = lstm_backward<T>;
    t.sum_squares = sum_squares<T>;
    t.norm = norm<T>;
    t.sum_magnitudes = sum_magnitudes<T>;
    t.sum_squared_differences = sum_squared_differences<T>;
    t.penalize = penalize<T>;
    t.clip = clip<T>;
    t.scale = scale<T>;
    t.add_noise = add_noise<T>;
    t.normalize = normalize<T>;
    t.normalize_backward = normalize_backward<T>;
    t.column_products = column_products<T>;
    t.derive_key = derive_key;
    t.drop = drop<T>;
    t.drop_entries = drop_entries<T>;
    t.transpose = transpose<T>;
    t.gather = gather<T>;
    return t;
}

constexpr KernelTable<float> table_f32 = make_table<float>();
constexpr KernelTable<double> table_f64 = make_table<double>();

// A missing kernel is a compile-time error, not a null pointer at run time.
template <class Kernel, int n>
constexpr bool is_full(Kernel* const (&kernels)[n], int first = 0) {
    for (int i = first; i < n; ++i)
        if (!kernels[i]) return false;
    return true;
}
template <class T>
constexpr bool is_full(const KernelTable<T>& t) {
    constexpr int after_identity = static_cast<int>(Activation::identity) + 1;
    return is_full(t.activate, after_identity) && is_full(t.differentiate, after_identity) &&
           is_full(t.loss) && is_full(t.update) && is_full(t.cell_forward) && is_full(t.cell_backward);
}
static_assert(is_full(table_f32) && is_full(table_f64), "an activation, loss, rule or cell has no kernel");

// Has enough independent chains to hide the latency of a fused multiply-add. Returns the operations.
double fma_burst(int64_t repeats) {
    constexpr int chains = 12;
    VecF acc[chains];
    const VecF x = broadcast(0.999999f), y = broadcast(1e-6f);
    for (int i = 0; i < chains; ++i) acc[i] = broadcast(1.0f + static_cast<float>(i));
    for (int64_t r = 0; r < repeats; ++r)
#pragma GCC unroll 16
        for (int i = 0; i < chains; ++i) acc[i] = fma(acc[i], x, y);
    VecF sum{};
    for (int i = 0; i < chains; ++i) sum += acc[i];
    volatile float sink = sum_lanes<float>(sum);
    (void)sink;
    return 2.0 * chains * Simd<float>::lanes * static_cast<double>(repeats);
}

}  // namespace

const IsaTables GDFAST_TABLE = {&table_f32, &table_f64, fma_burst};

}  // namespace gdfast
