#include "training/batch.h"

namespace gdfast {

template <class T>
double Data<T>::weight_sum(int64_t first, int64_t n) const {
    if (!weight) return static_cast<double>(n);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(weight[row(first + i)]);
    return sum;
}

template <class T>
void pass_rows(const Spec& spec, const Parameters<T>& parameters, Workspace<T>& work,
               const LossFunction<T>& loss, const Data<T>& data, const Batch& batch, Range rows,
               int first_layer) {
    const KernelTable<T>& table = kernels<T>();
    in_blocks<T>(rows, [&](Range block) {
        const int64_t first = batch.first + block.first, count = block.count();
        const int64_t* order = data.order ? data.order + first : nullptr;
        const RowPanels<T>&inputs = work.activations[0], &sums = work.deltas.back();
        T* target = work.target.at(block.first);
        int32_t* label = work.label.data() + block.first;
        T* weight = work.weight.data() + block.first;

        data.x.gather(count, order, first, inputs.at(block.first), inputs.stride);
        if (data.y.label)
            for (int64_t i = 0; i < count; ++i) label[i] = data.y.label[data.row(first + i)];
        else
            data.y.values.gather(count, order, first, target, work.target.stride);
        if (data.weight)
            for (int64_t i = 0; i < count; ++i) weight[i] = data.weight[data.row(first + i)];

        forward(spec, parameters, work, block);
        table.loss[static_cast<int>(loss.kind)]({sums.at(block.first), sums.stride, target, label,
                                                 loss.parameters.empty() ? nullptr : loss.parameters.data(),
                                                 data.weight ? weight : nullptr,
                                                 static_cast<T>(1 / batch.weight_sum),
                                                 work.row_loss.data() + block.first, count, spec.outputs()});
        backward(spec, parameters, work, block, first_layer);
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
template void pass_rows(const Spec&, const Parameters<float>&, Workspace<float>&, const LossFunction<float>&,
                        const Data<float>&, const Batch&, Range, int);
template void pass_rows(const Spec&, const Parameters<double>&, Workspace<double>&,
                        const LossFunction<double>&, const Data<double>&, const Batch&, Range, int);
template double sum_losses(const Workspace<float>&, const Batch&);
template double sum_losses(const Workspace<double>&, const Batch&);

}  // namespace gdfast
