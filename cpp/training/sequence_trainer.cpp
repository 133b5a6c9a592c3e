#include "training/sequence_trainer.h"

#include <algorithm>
#include <limits>

#include "network/team.h"

namespace gdfast {

namespace {

// What to expect of an update, to share its work out evenly; the sequences are not known yet.
std::vector<int64_t> rows_of_matrices(const RecurrentSpec& spec, bool per_step,
                                      const std::optional<Truncation>& truncation, int64_t batch_size) {
    constexpr int64_t many = 100;
    const Truncation k = truncation.value_or(Truncation{many, many});
    const int64_t batch = std::min(batch_size, int64_t{1} << 32);  // to be multiplied
    std::vector<int64_t> rows(spec.matrices.layers.size(), batch * std::min(k.k2, many));
    rows.back() = batch * (per_step ? std::min(k.k1, many) : 1);
    return rows;
}

}  // namespace

template <class T>
SequenceTrainer<T>::SequenceTrainer(const RecurrentSpec& spec, const LossFunction<T>& loss,
                                    const DescentOptions& options, bool per_step,
                                    std::optional<Truncation> truncation, int64_t batch_size,
                                    int thread_limit)
    : spec_(spec),
      loss_(loss),
      per_step_(per_step),
      truncation_(truncation),
      batch_size_(batch_size),
      parameters_(spec_.matrices, true),
      descent(spec_.matrices, parameters_, options,
              rows_of_matrices(spec_, per_step, truncation, batch_size)),
      threads_(std::min(descent.most_threads(), thread_limit)) {
    descent.set_threads(threads_);
}

template <class T>
void SequenceTrainer<T>::allocate(const Sequences<T>& sequences) {
    const int64_t most = std::min(batch_size_, sequences.count), longest = sequences.longest();
    const int64_t k1 = truncation_ ? std::min(truncation_->k1, longest) : longest;
    const int64_t k2 = truncation_ ? std::min(truncation_->k2, longest) : longest;
    // A sequence that ends in the midst of a block reaches back that much further than the others.
    const bool even = !per_step_ || sequences.equally_long();
    const int64_t slots = even ? k2 : std::min(longest, k2 + k1 - 1);
    const int64_t terms = per_step_ ? k1 : 1;
    const bool in_place = !per_step_ || k1 == longest;
    if (buffers_ && buffers_->sequences == most && buffers_->slots == slots && buffers_->terms == terms &&
        buffers_->in_place == in_place)
        return;
    buffers_.reset();  // before there is another
    buffers_.emplace(
        Buffers{most, slots, terms, in_place,
                RecurrentWorkspace<T>(spec_, most, slots, checked_product(terms, most), true, in_place)});
}

template <class T>
int64_t SequenceTrainer<T>::updates_of_batch(const Sequences<T>& sequences) const {
    if (!per_step_ || !truncation_) return 1;
    const int64_t longest = sequences.longest_of_all();
    return longest / truncation_->k1 + (longest % truncation_->k1 != 0);
}

template <class T>
EpochResult SequenceTrainer<T>::run(const SequenceData<T>& data, const EpochOptions& options) {
    const Sequences<T>& sequences = data.sequences;
    if (sequences.count == 0) return {std::numeric_limits<double>::quiet_NaN(), 0};
    allocate(sequences);
    Buffers& buffers = *buffers_;
    const SequenceNetwork<T> network{spec_, parameters_, buffers.work, loss_, per_step_, truncation_};
    SequenceSteps<T> steps(network, data, batch_size_, buffers.slots, updates_of_batch(sequences));
    const double work = 3 * spec_.matrices.work_per_row() * static_cast<double>(buffers.sequences) *
                        static_cast<double>(per_step_ ? buffers.terms : buffers.slots);
    const int threads =
        std::min({threads_, threads_for(work, descent.units(), options.thread_limit), options.thread_limit});
    return run_epoch<T>(steps, descent, options, buffers.sequences * buffers.slots, threads);
}

template class SequenceTrainer<float>;
template class SequenceTrainer<double>;

}  // namespace gdfast
