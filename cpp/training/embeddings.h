// The embeddings of a network in training: trained arrays with a row of inputs for each category.
#pragma once

#include <vector>

#include "network/encoding.h"
#include "training/batch.h"
#include "training/limits.h"
#include "training/rule.h"

namespace gdfast {

// A step changes the rows of those categories only that its batch has, on rows of some weight; the rule's
// state of all others stays as it is.
template <class T>
class Embeddings {
public:
    Embeddings(const Spec& spec, const RuleSpec& rule, int64_t batch_size);

    int64_t count() const { return static_cast<int64_t>(arrays_.size()); }
    void load(const ConstPlainArrays<T>& from);
    void save(const PlainArrays<T>& to) const;
    // One slot of the rule's state.
    void load_slot(size_t slot, const ConstPlainArrays<T>& from);
    void save_slot(size_t slot, const PlainArrays<T>& to) const;
    bool finite() const;
    bool finite(int64_t array) const;
    bool state_is_finite() const;
    // What encodes rows.
    const EmbeddingRows<T>* rows() const { return rows_.data(); }

    // An epoch begins on rows of this encoding, whose embedded columns have these arrays.
    void begin_epoch(const Encoding<T>& encoding);
    void begin_step(const Data<T>& data, const Batch& batch) {
        data_ = &data;
        batch_ = batch;
    }
    // The deltas of the embedded inputs, from those of the first layer. Its weights must not have moved.
    void take_deltas(const Parameters<T>& parameters, const Workspace<T>& work, Range rows, StopCheck& check);

    // Of a step, for one array.
    struct Sums {
        double squares = 0, magnitudes = 0;  // of the batch's categories, before the step
        double gradient_norm = 0;            // when each component has been limited
    };
    // Sums the gradient over the batch, in the order of its rows; adds the penalty's, limits components.
    // Where `check` says to stop, the gradient is anything.
    void sum(int64_t array, T l2, T l1, double clip_value, StopCheck& check);
    const Sums& sums(int64_t array) const { return arrays_[static_cast<size_t>(array)].sums; }
    // Scales the gradient and applies the rule.
    void move(int64_t array, T scale, const RuleStep<T>& rule);

private:
    struct Array {
        EmbeddingShape shape;
        int64_t stride;  // of all rows: whole vectors, whose padding is zero
        Buffer<T> values;
        std::vector<Buffer<T>> slots;
        Buffer<T> gradient;         // of the categories in `seen`
        std::vector<int64_t> seen;  // in the order in which the batch has them
        Buffer<int64_t> place;      // of each category in `seen`, from 1; 0 where it is not there
        Sums sums;
    };
    void copy_rows(const Array& array, const T* from, T* to) const;

    const Spec& spec_;
    const Rule rule_;
    const int64_t batch_size_;
    std::vector<Array> arrays_;
    std::vector<EmbeddingRows<T>> rows_;

    // of this epoch
    std::vector<EmbeddedColumn> columns_;
    std::vector<PanelInputs> inputs_;  // the panels that have embedded inputs
    RowPanels<T> deltas_;
    int64_t panels_ = 0;  // of `deltas_`

    // of this step
    const Data<T>* data_ = nullptr;
    Batch batch_{0, 0, 0};
};

}  // namespace gdfast
