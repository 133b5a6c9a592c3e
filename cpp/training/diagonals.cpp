// The diagonals of curvature.h. An element of a diagonal is a sum over rows of squared inputs times squared
// deltas: the gradient's products, of squares.
#include "training/curvature.h"
#include "training/row_sum.h"

namespace gdfast {

namespace {

// Squares of deltas, by layer.
template <class T>
struct Squares {
    Squares(const Spec& spec, int64_t capacity) {
        for (const Layer& l : spec.layers) of.emplace_back(capacity, l.out_panels, spec.panel);
    }
    std::vector<RowPanels<T>> of;
};

template <class T>
void add_squares(const Spec& spec, const Workspace<T>& work, const Squares<T>& squares, Range block,
                 bool first) {
    const int64_t n = block.count() * spec.panel;
    for (size_t i = 0; i < spec.layers.size(); ++i)
        for (int64_t j = 0; j < spec.layers[i].out_panels; ++j) {
            const T* delta = work.deltas[i].at(block.first, j);
            T* sum = squares.of[i].at(block.first, j);
            for (int64_t e = 0; e < n; ++e) sum[e] = (first ? T(0) : sum[e]) + delta[e] * delta[e];
        }
}

// Replaces the inputs of every layer by their squares, and the deltas by the sums of theirs, which are
// weighted here.
template <class T>
void take_squares(const Spec& spec, const Workspace<T>& work, const Squares<T>& squares, const T* weight,
                  double weight_sum, Range block) {
    const int P = spec.panel;
    const T scale = static_cast<T>(1 / weight_sum);
    if (work.sparse.in_use()) work.sparse.square(block);
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        for (int64_t j = 0; j < spec.layers[i].in_panels && work.activations[i].stride; ++j) {
            T* a = work.activations[i].at(block.first, j);
            for (int64_t e = 0; e < block.count() * P; ++e) a[e] *= a[e];
        }
        for (int64_t j = 0; j < spec.layers[i].out_panels; ++j) {
            const T* sum = squares.of[i].at(block.first, j);
            T* delta = work.deltas[i].at(block.first, j);
            for (int64_t r = 0; r < block.count(); ++r) {
                const T factor = weight ? weight[block.first + r] * scale : scale;
                for (int64_t e = r * P; e < (r + 1) * P; ++e) delta[e] = sum[e] * factor;
            }
        }
    }
}

// Pre-activations to predictions, in place.
template <class T>
void predict_outputs(const Spec& spec, Loss loss, const RowPanels<T>& z, Range block) {
    const KernelTable<T>& table = kernels<T>();
    if (loss == Loss::cross_entropy)
        table.softmax(block.count(), spec.outputs(), z.at(block.first), z.stride);
    for (int64_t j = 0; j < spec.layers.back().out_panels; ++j) {
        T* panel = z.at(block.first, j);
        const int64_t n = block.count() * spec.panel;
        if (loss == Loss::binary_cross_entropy)
            table.activate[static_cast<int>(Activation::logistic)](n, panel, panel, 0);
        if (loss == Loss::poisson) table.exponential(n, panel);
    }
}

// `square_deltas(block, check)` leaves the sums of the rows' squares, without weight, in `squares`.
template <class T, class SquareDeltas>
void diagonal_of(const CurvatureArguments<T>& c, RowSum<T>& sum, const Squares<T>& squares,
                 SquareDeltas square_deltas, const PlainArrays<T>& diagonal) {
    const Spec& spec = c.spec;
    sum.run(c.loss, [&](const Batch& batch, Range rows, StopCheck& check) {
        in_blocks<T>(rows, [&](Range block) {
            gather(spec, sum.work, c.data, batch, block);
            forward(spec, sum.parameters, sum.work, block, {0, static_cast<int64_t>(spec.layers.size())},
                    check);
            square_deltas(batch, block, check);
            take_squares<T>(spec, sum.work, squares, c.data.weight ? sum.work.weight.data() : nullptr,
                            batch.weight_sum, block);
        });
    });
    const T decay = static_cast<T>(c.alpha / sum.weight_sum);
    for (const Layer& l : spec.layers)
        for (int64_t e = 0; e < l.elements(spec.panel); ++e) sum.values.data()[l.weights + e] += decay;
    unpack(spec, sum.values.data(), diagonal);
}

}  // namespace

template <class T>
void gauss_newton_diagonal(const CurvatureArguments<T>& c, const PlainArrays<T>& diagonal) {
    const KernelTable<T>& table = kernels<T>();
    const int top = static_cast<int>(c.spec.layers.size()) - 1;
    RowSum<T> sum(c.spec, c.parameters, c.data, kSumRows, 2 + static_cast<double>(c.spec.outputs()),
                  c.thread_limit);
    const Squares<T> squares(c.spec, sum.batch_rows);
    const RowPanels<T> predictions(sum.batch_rows, c.spec.layers.back().out_panels, c.spec.panel);
    diagonal_of(
        c, sum, squares,
        [&](const Batch& batch, Range block, StopCheck& check) {
            const RowPanels<T>& z = sum.work.deltas.back();
            for (int64_t j = 0; j < c.spec.layers.back().out_panels; ++j)
                std::copy_n(z.at(block.first, j), block.count() * c.spec.panel,
                            predictions.at(block.first, j));
            predict_outputs(c.spec, c.loss.kind, predictions, block);
            const LossRows<T> l = loss_rows(c.spec, sum.work, c.loss, c.data, batch, z, block);
            for (int64_t column = 0; column < c.spec.outputs(); ++column) {
                table.loss_root[static_cast<int>(c.loss.kind)]({predictions.at(block.first), l.z, l.z_stride,
                                                                l.target, l.parameters, l.rows, l.columns,
                                                                column});
                backward(c.spec, sum.parameters, sum.work, block, top, 0, check);
                add_squares(c.spec, sum.work, squares, block, column == 0);
            }
        },
        diagonal);
}

template <class T>
void fisher_diagonal(const CurvatureArguments<T>& c, const PlainArrays<T>& diagonal) {
    const int top = static_cast<int>(c.spec.layers.size()) - 1;
    RowSum<T> sum(c.spec, c.parameters, c.data, kSumRows, 3, c.thread_limit);
    const Squares<T> squares(c.spec, sum.batch_rows);
    diagonal_of(
        c, sum, squares,
        [&](const Batch& batch, Range block, StopCheck& check) {
            LossRows<T> l = loss_rows(c.spec, sum.work, c.loss, c.data, batch, sum.work.deltas.back(), block);
            l.weight = nullptr;
            l.scale = 1;
            kernels<T>().loss[static_cast<int>(c.loss.kind)](l);
            backward(c.spec, sum.parameters, sum.work, block, top, 0, check);
            add_squares(c.spec, sum.work, squares, block, true);
        },
        diagonal);
}

#define GDFAST_INSTANTIATE(T)                                                                 \
    template void gauss_newton_diagonal(const CurvatureArguments<T>&, const PlainArrays<T>&); \
    template void fisher_diagonal(const CurvatureArguments<T>&, const PlainArrays<T>&);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast
