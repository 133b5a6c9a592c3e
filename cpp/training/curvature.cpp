#include "training/curvature.h"

#include "network/tangents.h"
#include "training/row_sum.h"

namespace gdfast {

namespace {

// Of a batch. A product keeps up to twice the arrays of a gradient: in as much memory as that.
constexpr int64_t kProductRows = kSumRows / 2;

Range all_layers(const Spec& spec) { return {0, static_cast<int64_t>(spec.layers.size())}; }
int last_layer(const Spec& spec) { return static_cast<int>(spec.layers.size()) - 1; }

// The loss's Hessian times R{z}, in the place of z.
template <class T>
void curve(const CurvatureArguments<T>& c, const Workspace<T>& work, const Batch& batch,
           const RowPanels<T>& tangents, const T* deltas, Range block) {
    const LossRows<T> l = loss_rows(c.spec, work, c.loss, c.data, batch, work.deltas.back(), block);
    kernels<T>().loss_curvature[static_cast<int>(c.loss.kind)]({l.z, tangents.at(block.first), deltas,
                                                                l.z_stride, l.target, l.parameters, l.weight,
                                                                l.scale, l.rows, l.columns});
}

template <class T>
void copy_panels(const Spec& spec, const RowPanels<T>& from, const RowPanels<T>& to, Range block) {
    for (int64_t j = 0; j < spec.layers.back().out_panels; ++j)
        std::copy_n(from.at(block.first, j), block.count() * spec.panel, to.at(block.first, j));
}

// Adds the penalty's part to that of the weights.
template <class T>
void finish(const CurvatureArguments<T>& c, const RowSum<T>& sum, const Parameters<T>& along,
            const PlainArrays<T>& product) {
    const T decay = static_cast<T>(c.alpha / sum.weight_sum);
    for (const Layer& l : c.spec.layers) {
        const T* v = along.values.data() + l.weights;
        T* values = sum.values.data() + l.weights;
        if (!(c.alpha > 0)) continue;
        for (int64_t e = 0; e < l.elements(c.spec.panel); ++e) values[e] += decay * v[e];
    }
    unpack(c.spec, sum.values.data(), product);
}

}  // namespace

template <class T>
void hessian_product(const CurvatureArguments<T>& c, const ConstPlainArrays<T>& direction,
                     const PlainArrays<T>& product) {
    RowSum<T> sum(c.spec, c.parameters, c.data, kProductRows, 8, c.thread_limit);
    Parameters<T> along(c.spec, true);
    along.load(direction);
    const Tangents<T> tangents(c.spec, sum.batch_rows, true);
    const FurtherProducts<T> further{tangents.activations, tangents.deltas};
    sum.run(
        c.loss,
        [&](const Batch& batch, Range rows, StopCheck& check) {
            in_blocks<T>(rows, [&](Range block) {
                gather(c.spec, sum.work, c.data, batch, block);
                forward(c.spec, sum.parameters, sum.work, block, all_layers(c.spec), check);
                forward_tangents(c.spec, sum.parameters, along, sum.work, tangents, block, check);
                copy_panels(c.spec, sum.work.deltas.back(), tangents.deltas.back(), block);
                kernels<T>().loss[static_cast<int>(c.loss.kind)](
                    loss_rows(c.spec, sum.work, c.loss, c.data, batch, tangents.deltas.back(), block));
                curve(c, sum.work, batch, tangents.sums.back(), tangents.deltas.back().at(block.first),
                      block);
                backward_tangents(c.spec, sum.parameters, along, sum.work, tangents, block, check);
            });
        },
        &further);
    finish(c, sum, along, product);
}

template <class T>
void gauss_newton_product(const CurvatureArguments<T>& c, const ConstPlainArrays<T>& direction,
                          const PlainArrays<T>& product) {
    RowSum<T> sum(c.spec, c.parameters, c.data, kProductRows, 5, c.thread_limit);
    Parameters<T> along(c.spec, false);
    along.load(direction);
    const Tangents<T> tangents(c.spec, sum.batch_rows, false);
    sum.run(c.loss, [&](const Batch& batch, Range rows, StopCheck& check) {
        in_blocks<T>(rows, [&](Range block) {
            gather(c.spec, sum.work, c.data, batch, block);
            forward(c.spec, sum.parameters, sum.work, block, all_layers(c.spec), check);
            forward_tangents(c.spec, sum.parameters, along, sum.work, tangents, block, check);
            curve<T>(c, sum.work, batch, tangents.sums.back(), nullptr, block);
            backward(c.spec, sum.parameters, sum.work, block, last_layer(c.spec), 0, check);
        });
    });
    finish(c, sum, along, product);
}

#define GDFAST_INSTANTIATE(T)                                                                    \
    template void hessian_product(const CurvatureArguments<T>&, const ConstPlainArrays<T>&,      \
                                  const PlainArrays<T>&);                                        \
    template void gauss_newton_product(const CurvatureArguments<T>&, const ConstPlainArrays<T>&, \
                                       const PlainArrays<T>&);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast
