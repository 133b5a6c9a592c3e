#include "training/batch.h"

namespace gdfast {

template <class T>
double Data<T>::weight_sum(int64_t first, int64_t n) const {
    if (!weight) return static_cast<double>(n);
    WeightSum<T> sum;
    for (int64_t i = 0; i < n; ++i) sum.add(weight[row(first + i)]);
    return sum.value();
}

template <class T>
void gather(const Spec& spec, Workspace<T>& work, const Data<T>& data, const Batch& batch, Range block) {
    const int64_t first = batch.first + block.first, count = block.count();
    const int64_t* order = data.order ? data.order + first : nullptr;
    int32_t* label = work.label.data() + block.first;
    T* weight = work.weight.data() + block.first;
    if (work.sparse.in_use()) {
        work.sparse.gather(data.x, data.order ? data.order + batch.first : nullptr, batch.first, block,
                           work.dropout[0]);
    } else {
        const RowPanels<T>& inputs = work.activations[0];
        data.x.gather(count, order, first, inputs.at(block.first), inputs.stride);
    }
    if (data.y.label)
        for (int64_t i = 0; i < count; ++i) label[i] = data.y.label_of(data.row(first + i), spec.outputs());
    else
        data.y.values.gather(count, order, first, work.target.at(block.first), work.target.stride);
    if (data.weight)
        for (int64_t i = 0; i < count; ++i) weight[i] = data.weight[data.row(first + i)];
}

template <class T>
void pass_rows(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work,
               const LossFunction<T>& loss, const Data<T>& data, const Batch& batch, const RowPass& pass,
               Range rows, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int64_t layers = static_cast<int64_t>(spec.layers.size());
    in_blocks<T>(rows, [&](Range block) {
        if (pass.forward.count() > 0 && pass.forward.first == 0) gather(spec, work, data, batch, block);
        forward(spec, parameters, work, block, pass.forward, check);
        if (pass.forward.count() > 0 && pass.forward.last == layers)
            table.loss[static_cast<int>(loss.kind)](
                loss_rows(spec, work, loss, data, batch, work.deltas.back(), block));
        if (pass.backward_from >= pass.backward_to)
            backward(spec, parameters, work, block, pass.backward_from, pass.backward_to, check);
    });
}

template <class T>
double sum_losses(const Workspace<T>& work, const Batch& batch) {
    double sum = 0;
    for (int64_t i = 0; i < batch.count; ++i) sum += static_cast<double>(work.row_loss.data()[i]);
    return sum;
}

template struct Data<float>;
template struct Data<double>;
template void gather(const Spec&, Workspace<float>&, const Data<float>&, const Batch&, Range);
template void gather(const Spec&, Workspace<double>&, const Data<double>&, const Batch&, Range);
template void pass_rows(const Spec&, const Parameters<float>&, Workspace<float>&, const LossFunction<float>&,
                        const Data<float>&, const Batch&, const RowPass&, Range, StopCheck&);
template void pass_rows(const Spec&, const Parameters<double>&, Workspace<double>&,
                        const LossFunction<double>&, const Data<double>&, const Batch&, const RowPass&, Range,
                        StopCheck&);
template double sum_losses(const Workspace<float>&, const Batch&);
template double sum_losses(const Workspace<double>&, const Batch&);

}  // namespace gdfast
