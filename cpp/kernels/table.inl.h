// Assembles one ISA's tables from the kernels, which are written once. An isa_*.cpp defines GDFAST_TABLE (the
// name of its tables) and GDFAST_VECTOR_BYTES, and includes this file.
#pragma once

#include "kernels/activation.inl.h"
#include "kernels/cell.inl.h"
#include "kernels/curvature.inl.h"
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

// A table, and which of its rows have been filled. (Whether a pointer to a function is null is no constant to
// a compiler that checks for undefined behaviour.)
template <class T>
struct Filled {
    KernelTable<T> t{};
    bool activations[kActivations]{}, losses[kLosses]{}, rules[kRules]{}, cells[kCells]{};

    template <class Forward, class Backward, class Tangent>
    constexpr void add(Activation activation, Forward forward, Backward backward, Tangent tangent) {
        t.activate[static_cast<int>(activation)] = forward;
        t.differentiate[static_cast<int>(activation)] = backward;
        t.differentiate_tangent[static_cast<int>(activation)] = tangent;
        activations[static_cast<int>(activation)] = true;
    }
    template <template <class> class Function>
    constexpr void add(Activation activation) {
        add(activation, activate<T, Function>, differentiate<T, Function>,
            differentiate_tangent<T, Function>);
    }
    template <template <class> class Function>
    constexpr void add_straight(Activation activation) {
        add(activation, activate<T, Function>, differentiate<T, Function>,
            differentiate_straight<T, Function>);
    }
    constexpr void add(Loss loss, void (*kernel)(const LossRows<T>&),
                       void (*curvature)(const LossCurvature<T>&), void (*root)(const LossRoot<T>&)) {
        t.loss[static_cast<int>(loss)] = kernel;
        t.loss_curvature[static_cast<int>(loss)] = curvature;
        t.loss_root[static_cast<int>(loss)] = root;
        losses[static_cast<int>(loss)] = true;
    }
    template <class Piece>
    constexpr void add(Loss loss) {
        add(loss, separable_loss<T, Piece>, separable_curvature<T, Piece>, separable_root<T, Piece>);
    }
    template <class Move>
    constexpr void add(Rule rule) {
        t.update[static_cast<int>(rule)] = update<T, Move>;
        rules[static_cast<int>(rule)] = true;
    }
    constexpr void add(Cell cell, void (*forward)(const CellForward<T>&),
                       void (*backward)(const CellBackward<T>&)) {
        t.cell_forward[static_cast<int>(cell)] = forward;
        t.cell_backward[static_cast<int>(cell)] = backward;
        cells[static_cast<int>(cell)] = true;
    }
};

template <class T>
constexpr Filled<T> make_table() {
    Filled<T> filled;
    KernelTable<T>& t = filled.t;
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
    filled.add(Activation::identity, activate_identity<T>, differentiate_identity<T>,
               differentiate_tangent_identity<T>);
    filled.template add<Logistic>(Activation::logistic);
    filled.template add<Tanh>(Activation::tanh);
    filled.template add_straight<Relu>(Activation::relu);
    filled.template add_straight<LeakyRelu>(Activation::leaky_relu);
    filled.template add<Elu>(Activation::elu);
    filled.template add<Selu>(Activation::selu);
    filled.template add<Gelu>(Activation::gelu);
    filled.template add<GeluTanh>(Activation::gelu_tanh);
    filled.template add<Silu>(Activation::silu);
    filled.template add<Mish>(Activation::mish);
    filled.template add<Softplus>(Activation::softplus);
    filled.template add<Softsign>(Activation::softsign);
    filled.template add_straight<HardTanh>(Activation::hard_tanh);
    t.exponential = exponential<T>;
    t.softmax = softmax<T>;
    t.quantiles = quantiles<T>;
    filled.add(Loss::cross_entropy, cross_entropy<T>, cross_entropy_curvature<T>, cross_entropy_root<T>);
    filled.template add<BinaryCrossEntropy<T>>(Loss::binary_cross_entropy);
    filled.template add<SquaredError<T>>(Loss::squared_error);
    filled.template add<Poisson<T>>(Loss::poisson);
    filled.template add<AbsoluteError<T>>(Loss::absolute_error);
    filled.template add<Huber<T>>(Loss::huber);
    filled.add(Loss::quantile, quantile_loss<T>, quantile_curvature<T>, no_root<T>);
#define GDFAST_ADD_RULE(kernel, Move, ...)                                                                \
    static_assert(Move<T>::states == states_of(Rule::kernel), "its row in rules.h names as many states"); \
    filled.template add<Move<T>>(Rule::kernel);
    GDFAST_RULES(GDFAST_ADD_RULE)
#undef GDFAST_ADD_RULE
    filled.add(Cell::elman_tanh, elman_forward<T, Tanh>, elman_backward<T, Tanh>);
    filled.add(Cell::elman_relu, elman_forward<T, Relu>, elman_backward<T, Relu>);
    filled.add(Cell::gru, gru_forward<T>, gru_backward<T>);
    filled.add(Cell::lstm, lstm_forward<T>, lstm_backward<T>);
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
    return filled;
}

template <size_t n>
constexpr bool all(const bool (&rows)[n]) {
    for (bool row : rows)
        if (!row) return false;
    return true;
}

template <class T>
constexpr KernelTable<T> full_table() {
    constexpr Filled<T> filled = make_table<T>();
    static_assert(all(filled.activations), "an activation has no kernels");
    static_assert(all(filled.losses), "a loss has no kernel");
    static_assert(all(filled.rules), "a rule has no kernel");
    static_assert(all(filled.cells), "a cell has no kernels");
    return filled.t;
}

constexpr KernelTable<float> table_f32 = full_table<float>();
constexpr KernelTable<double> table_f64 = full_table<double>();

// Has enough independent chains to hide the latency of a fused multiply-add. Returns the operations.
double fma_burst(int64_t repeats) {
    constexpr int chains = kPanelVectors * kTileRows<kPanelVectors>;
    VecF acc[chains];
    const VecF x = broadcast(0.999999f), y = broadcast(1e-6f);
    for (int i = 0; i < chains; ++i) acc[i] = broadcast(1.0f + static_cast<float>(i));
    for (int64_t r = 0; r < repeats; ++r)
#pragma GCC unroll 32
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
