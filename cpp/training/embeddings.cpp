#include "training/embeddings.h"

#include <algorithm>

namespace gdfast {

template <class T>
Embeddings<T>::Embeddings(const Spec& spec, const RuleSpec& rule, int64_t batch_size)
    : spec_(spec), rule_(rule.rule), batch_size_(batch_size) {
    const int64_t lanes = kernels<T>().lanes;
    for (const EmbeddingShape& shape : spec.embeddings) {
        Array array{};
        array.shape = shape;
        array.stride = divided_up(shape.size, lanes) * lanes;
        const int64_t elements = checked_product(shape.categories, array.stride);
        array.values = Buffer<T>(elements);
        for (const Slot& slot : rule.slots()) {
            array.slots.emplace_back(elements);
            std::fill_n(array.slots.back().data(), elements, static_cast<T>(slot.initial));
        }
        const int64_t most = std::min(shape.categories, batch_size);
        array.gradient = Buffer<T>(checked_product(most, array.stride));
        array.seen.reserve(static_cast<size_t>(most));
        array.place = Buffer<int64_t>(shape.categories);
        rows_.push_back({array.values.data(), array.stride});
        arrays_.push_back(std::move(array));
    }
}

template <class T>
void Embeddings<T>::load(const ConstPlainArrays<T>& from) {
    for (size_t i = 0; i < arrays_.size(); ++i) {
        Array& a = arrays_[i];
        std::fill_n(a.values.data(), a.values.size(), T(0));  // a run that diverged leaves NaN in the padding
        for (int64_t c = 0; c < a.shape.categories; ++c)
            std::copy_n(from.embeddings[i] + c * a.shape.size, a.shape.size, a.values.data() + c * a.stride);
    }
}

template <class T>
void Embeddings<T>::save(const PlainArrays<T>& to) const {
    for (size_t i = 0; i < arrays_.size(); ++i)
        copy_rows(arrays_[i], arrays_[i].values.data(), to.embeddings[i]);
}

template <class T>
void Embeddings<T>::copy_rows(const Array& array, const T* from, T* to) const {
    for (int64_t c = 0; c < array.shape.categories; ++c)
        std::copy_n(from + c * array.stride, array.shape.size, to + c * array.shape.size);
}

template <class T>
void Embeddings<T>::load_slot(size_t slot, const ConstPlainArrays<T>& from) {
    for (size_t i = 0; i < arrays_.size(); ++i) {
        Array& a = arrays_[i];
        for (int64_t c = 0; c < a.shape.categories; ++c)
            std::copy_n(from.embeddings[i] + c * a.shape.size, a.shape.size,
                        a.slots[slot].data() + c * a.stride);
    }
}

template <class T>
void Embeddings<T>::save_slot(size_t slot, const PlainArrays<T>& to) const {
    for (size_t i = 0; i < arrays_.size(); ++i)
        copy_rows(arrays_[i], arrays_[i].slots[slot].data(), to.embeddings[i]);
}

template <class T>
bool Embeddings<T>::finite() const {
    for (int64_t i = 0; i < count(); ++i)
        if (!finite(i)) return false;
    return true;
}

template <class T>
bool Embeddings<T>::finite(int64_t array) const {
    const Buffer<T>& values = arrays_[static_cast<size_t>(array)].values;
    return all_finite(values.data(), values.size());
}

template <class T>
bool Embeddings<T>::state_is_finite() const {
    for (const Array& a : arrays_)
        for (const Buffer<T>& slot : a.slots)
            if (!all_finite(slot.data(), slot.size())) return false;
    return true;
}

template <class T>
void Embeddings<T>::begin_epoch(const Encoding<T>& encoding) {
    columns_ = encoding.embedded();
    inputs_.clear();
    const int64_t P = spec_.panel;
    for (const EmbeddedColumn& column : columns_) {
        const int64_t end = column.first_input + column.shape.size;
        for (int64_t input = column.first_input; input < end;) {
            const int64_t panel = input / P, last = std::min(end, (panel + 1) * P);
            const PanelInputs part{panel, static_cast<int>(input % P), static_cast<int>(last - panel * P)};
            if (!inputs_.empty() && inputs_.back().panel == panel)
                inputs_.back().last = part.last;
            else
                inputs_.push_back(part);
            input = last;
        }
    }
    const auto panels = static_cast<int64_t>(inputs_.size());
    if (panels == panels_) return;
    deltas_ = RowPanels<T>(batch_size_, panels, spec_.panel);
    panels_ = panels;
}

template <class T>
void Embeddings<T>::take_deltas(const Parameters<T>& parameters, const Workspace<T>& work, Range rows,
                                StopCheck& check) {
    in_blocks<T>(rows, [&](Range block) {
        backward_to_inputs(spec_, parameters, work, block, inputs_, deltas_, check);
    });
}

template <class T>
void Embeddings<T>::sum(int64_t array, T l2, T l1, double clip_value, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    Array& a = arrays_[static_cast<size_t>(array)];
    const EmbeddedColumn& column = columns_[static_cast<size_t>(array)];
    const int64_t P = spec_.panel, width = data_->x.encoding->columns();
    const int64_t first_panel = column.first_input / P;
    const auto of_panel = [&](const PanelInputs& part, int64_t panel) { return part.panel < panel; };
    const int64_t first_part =
        std::lower_bound(inputs_.begin(), inputs_.end(), first_panel, of_panel) - inputs_.begin();

    for (const int64_t category : a.seen) a.place.data()[category] = 0;
    a.seen.clear();
    for (int64_t i = 0; i < batch_.count; ++i) {
        if (check.after(a.shape.size)) return;
        const int64_t row = data_->row(batch_.first + i);
        if (data_->weight && data_->weight[row] == T(0)) continue;
        const volatile T& changing = data_->x.table[row * width + column.column];
        const T x = changing;  // read once: the caller's threads may change it
        const int64_t category = category_of(x, a.shape.categories);
        if (category < 0) continue;
        int64_t& place = a.place.data()[category];
        if (place == 0) {
            a.seen.push_back(category);
            place = static_cast<int64_t>(a.seen.size());
            std::fill_n(a.gradient.data() + (place - 1) * a.stride, a.stride, T(0));
        }
        T* gradient = a.gradient.data() + (place - 1) * a.stride;
        int64_t in_panel = column.first_input % P, part = first_part;
        for (int64_t k = 0; k < a.shape.size; ++part, in_panel = 0) {
            const int64_t now = std::min(P - in_panel, a.shape.size - k);
            const T* delta = deltas_.at(i, part) + in_panel;
            for (int64_t j = 0; j < now; ++j) gradient[k + j] += delta[j];
            k += now;
        }
    }

    a.sums = {};
    for (size_t s = 0; s < a.seen.size(); ++s) {
        const T* w = a.values.data() + a.seen[s] * a.stride;
        a.sums.squares += table.sum_squares(a.stride, w);
        a.sums.magnitudes += table.sum_magnitudes(a.stride, w);
        if (l2 > 0 || l1 > 0)
            table.penalize(a.stride, w, a.gradient.data() + static_cast<int64_t>(s) * a.stride, l2, l1);
    }
    const int64_t elements = static_cast<int64_t>(a.seen.size()) * a.stride;
    if (clip_value < kNoLimit) table.clip(elements, a.gradient.data(), static_cast<T>(clip_value));
    a.sums.gradient_norm = table.norm(elements, a.gradient.data());
}

template <class T>
void Embeddings<T>::move(int64_t array, T scale, const RuleStep<T>& rule) {
    const KernelTable<T>& table = kernels<T>();
    Array& a = arrays_[static_cast<size_t>(array)];
    const int64_t elements = static_cast<int64_t>(a.seen.size()) * a.stride;
    if (scale != T(1)) table.scale(elements, a.gradient.data(), scale);
    T* states[kMostStates];
    for (size_t s = 0; s < a.seen.size(); ++s) {
        const int64_t offset = a.seen[s] * a.stride;
        for (size_t k = 0; k < a.slots.size(); ++k) states[k] = a.slots[k].data() + offset;
        table.update[static_cast<int>(rule_)](a.stride, a.values.data() + offset,
                                              a.gradient.data() + static_cast<int64_t>(s) * a.stride, states,
                                              rule);
    }
}

template class Embeddings<float>;
template class Embeddings<double>;

}  // namespace gdfast
