#include "training/row_steps.h"

#include <utility>

#include "network/interruption.h"

namespace gdfast {

namespace {

// Weights beyond this leave too little of the second cache to a batch's rows.
constexpr int64_t kNearBytes = 256 * 1024;

}  // namespace

template <class T>
RowSteps<T>::RowSteps(const RowNetwork<T>& network, const Data<T>& data, int64_t batch_size, int first_layer,
                      std::optional<double> weight_sum, OtherPass other_pass)
    : FirstHalf<T>({network.work.activations, network.work.deltas,
                    network.work.sparse.in_use() ? &network.work.sparse : nullptr,
                    std::vector<int64_t>(network.spec.layers.size())}),
      network_(network),
      data_(data),
      batch_size_(batch_size),
      first_layer_(first_layer),
      weight_sum_(weight_sum),
      other_pass_(std::move(other_pass)),
      interruption_(Interruption::current()) {}

// One pass over the rows; a normalised layer's sums and deltas are taken together over the batch before rows
// go on.
template <class T>
std::vector<Phase> RowSteps<T>::phases() {
    const std::vector<Layer>& layers = network_.spec.layers;
    const int count = static_cast<int>(layers.size());
    std::vector<Phase> phases;
    RowPass pass;
    for (int i = 0; i < count; ++i) {
        const auto layer = static_cast<size_t>(i);
        pass.forward.last = i + 1;
        if (!layers[layer].normalized) continue;
        phases.push_back(rows_phase(pass));
        phases.push_back(moments_phase(layer));
        pass.forward = {i + 1, i + 1};
    }
    pass.backward_from = count - 1;
    for (int i = count - 2; i >= first_layer_; --i) {
        const auto layer = static_cast<size_t>(i);
        if (!layers[layer].normalized) continue;
        pass.backward_to = i;
        phases.push_back(rows_phase(pass));
        phases.push_back(norm_gradients_phase(layer));
        pass = {{0, 0}, i, first_layer_};
    }
    pass.backward_to = first_layer_;
    phases.push_back(other_pass_ ? rows_phase(other_pass_) : rows_phase(pass));
    if (this->factors_.sparse && first_layer_ == 0) phases.push_back(sort_phase());
    if (network_.embeddings && first_layer_ == 0) phases.push_back(embedding_phase());
    return phases;
}

template <class T>
Phase RowSteps<T>::rows_phase(OtherPass pass) {
    return {[this](int threads, int64_t* bounds) {
                units_ = row_units(threads);
                divide_evenly(units_, threads, bounds);
            },
            [this, pass = std::move(pass)](int64_t unit, int thread) {
                StopCheck check(interruption_, thread);
                pass(batch_, share(batch_.count, unit, units_), check);
            },
            true};
}

template <class T>
Phase RowSteps<T>::rows_phase(const RowPass& pass) {
    return rows_phase([this, pass](const Batch& batch, Range rows, StopCheck& check) {
        pass_rows(network_.spec, network_.parameters, network_.work, network_.loss, data_, batch, pass, rows,
                  check);
    });
}

// A unit is a panel.
template <class T>
Phase RowSteps<T>::moments_phase(size_t layer) {
    return {[this, layer](int threads, int64_t* bounds) {
                divide_evenly(network_.spec.layers[layer].out_panels, threads, bounds);
            },
            [this, layer](int64_t unit, int) {
                find_moments(network_.spec, network_.parameters, network_.work, network_.moments[layer],
                             network_.norm, layer, unit, batch_.count,
                             static_cast<int>(layer) >= first_layer_);
            },
            true};
}

template <class T>
Phase RowSteps<T>::norm_gradients_phase(size_t layer) {
    return {[this, layer](int threads, int64_t* bounds) {
                divide_evenly(network_.spec.layers[layer].out_panels, threads, bounds);
            },
            [this, layer](int64_t unit, int) {
                const int P = network_.spec.panel;
                T* gamma = network_.norm_gradients[layer].data() + unit * P;
                T* beta = gamma + network_.spec.layers[layer].out_panels * P;
                find_norm_gradients(network_.spec, network_.work, network_.moments[layer], layer, unit,
                                    batch_.count, gamma, beta);
            },
            true};
}

template <class T>
Phase RowSteps<T>::sort_phase() {
    return {[this](int threads, int64_t* bounds) {
                units_ = threads;
                divide_evenly(units_, threads, bounds);
            },
            [this](int64_t unit, int) { network_.work.sparse.sort(network_.work.deltas[0], unit, units_); },
            true};
}

// The deltas of embedded inputs: before the weights of the first layer move.
template <class T>
Phase RowSteps<T>::embedding_phase() {
    return {[this](int threads, int64_t* bounds) {
                units_ = row_units(threads);
                divide_evenly(units_, threads, bounds);
            },
            [this](int64_t unit, int thread) {
                StopCheck check(interruption_, thread);
                network_.embeddings->take_deltas(network_.parameters, network_.work,
                                                 share(batch_.count, unit, units_), check);
            },
            true};
}

template <class T>
bool RowSteps<T>::next(int) {
    batch_.first += batch_.count;
    batch_.count = std::min(batch_size_, data_.count - batch_.first);
    if (shared_) {
        if (++number_ == shared_->count) return false;
        batch_.weight_sum = shared_->weight_sums[number_];
        this->step_ = {number_, shared_->terms[number_], batch_.weight_sum};
        return true;
    }
    if (batch_.count <= 0) return false;
    batch_.weight_sum = weight_sum_ ? *weight_sum_ : data_.weight_sum(batch_.first, batch_.count);
    this->step_ = {batch_.first / batch_size_, batch_.count, batch_.weight_sum};
    return true;
}

template <class T>
void RowSteps<T>::begin_step() {
    this->set_rows(batch_.count);
    network_.work.begin_step(network_.key, network_.steps_taken, shared_ ? shared_->first_rows[number_] : 0);
    if (this->factors_.sparse)
        network_.work.sparse.begin(data_.x, data_.order ? data_.order + batch_.first : nullptr, batch_.first,
                                   batch_.count);
    if (network_.embeddings) network_.embeddings->begin_step(data_, batch_);
    for (Moments<T>& moments : network_.moments) moments.save_running();
}

template <class T>
void RowSteps<T>::give_up() {
    for (Moments<T>& moments : network_.moments) moments.restore_running();
}

// Enough units that a thread which is slowed down can be helped out, none so small that taking it, or
// streaming the weights past so few rows, would count.
template <class T>
int64_t RowSteps<T>::row_units(int threads) const {
    if (threads == 1) return 1;
    constexpr double least_work = 400e3;
    const Spec& spec = network_.spec;
    const int64_t least_rows = spec.parameters * static_cast<int64_t>(sizeof(T)) > kNearBytes ? 64 : 16;
    const double by_work = 3 * spec.work_per_row() * static_cast<double>(batch_.count) / least_work;
    const int64_t units =
        std::min(static_cast<int64_t>(std::min(by_work, 8.0 * threads)), batch_.count / least_rows);
    return std::max<int64_t>(1, units / threads) * threads;
}

template class RowSteps<float>;
template class RowSteps<double>;

}  // namespace gdfast
