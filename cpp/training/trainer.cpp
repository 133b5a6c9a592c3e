#include "training/trainer.h"

#include "network/team.h"
#include "training/row_steps.h"

namespace gdfast {

template <class T>
Trainer<T>::Trainer(const Spec& spec, const LossFunction<T>& loss, const DescentOptions& options,
                    const std::vector<double>& dropout, const NormOptions& norm, int64_t batch_size,
                    int thread_limit)
    : spec_(spec),
      loss_(loss),
      dropout_(dropout),
      norm_(norm),
      batch_size_(batch_size),
      parameters_(spec_, true),
      work_(spec_, batch_size, dropout),
      embeddings_(spec_, options.rule, batch_size),
      descent(spec_, parameters_, options, batch_size),
      threads_(std::min(descent.most_threads(),
                        threads_for(3 * spec_.work_per_row() * static_cast<double>(batch_size),
                                    descent.units(), thread_limit))) {
    descent.set_threads(threads_);
    if (embeddings_.count()) descent.set_embeddings(embeddings_);
    for (const Layer& l : spec_.layers)
        moments_.push_back(l.normalized ? Moments<T>(l.out_panels * spec_.panel) : Moments<T>());
}

template <class T>
void Trainer<T>::load(const ConstPlainArrays<T>& arrays) {
    parameters_.load(arrays);
    embeddings_.load(arrays);
    for (size_t i = 0; i < moments_.size(); ++i) {
        if (!spec_.layers[i].normalized) continue;
        std::copy_n(arrays.means[i], spec_.layers[i].out, moments_[i].mean.data());
        std::copy_n(arrays.variances[i], spec_.layers[i].out, moments_[i].variance.data());
    }
}

template <class T>
void Trainer<T>::save(const PlainArrays<T>& arrays) const {
    unpack(spec_, parameters_.values.data(), arrays);
    embeddings_.save(arrays);
    for (size_t i = 0; i < moments_.size(); ++i) {
        if (!spec_.layers[i].normalized) continue;
        std::copy_n(moments_[i].mean.data(), spec_.layers[i].out, arrays.means[i]);
        std::copy_n(moments_[i].variance.data(), spec_.layers[i].out, arrays.variances[i]);
    }
}

template <class T>
bool Trainer<T>::finite() const {
    bool all = all_finite(parameters_.values.data(), spec_.parameters) && embeddings_.finite();
    for (size_t i = 0; i < moments_.size() && all; ++i)
        if (spec_.layers[i].normalized)
            all = all_finite(moments_[i].mean.data(), spec_.layers[i].out) &&
                  all_finite(moments_[i].variance.data(), spec_.layers[i].out);
    return all;
}

template <class T>
EpochResult Trainer<T>::run(const Data<T>& given, const EpochOptions& options) {
    Data<T> data = given;
    if (embeddings_.count()) {
        data.x.embeddings = embeddings_.rows();
        embeddings_.begin_epoch(*data.x.encoding);
    }
    const std::vector<double>& dropout = options.dropout.empty() ? dropout_ : options.dropout;
    for (size_t i = 0; i < dropout.size(); ++i) work_.dropout[i].rate = dropout[i];
    work_.allocate(spec_, data.x, data.order, data.count);
    const RowNetwork<T> network{spec_,        parameters_,
                                work_,        loss_,
                                moments_,     descent.norm_gradients,
                                norm_,        descent.options().key,
                                descent.step, descent.embeddings()};
    RowSteps<T> rows(network, data, batch_size_, options.first_layer);
    if (options.shared) rows.take_part_in(*options.shared);
    const double work = 3 * spec_.work_per_row() * static_cast<double>(data.count);
    const int threads = std::min(
        {threads_, options.thread_limit, threads_for_once(work, descent.units(), options.thread_limit)});
    return run_epoch<T>(rows, descent, options, std::min(batch_size_, data.count), threads);
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace gdfast
