#include "network/encoding.h"

#include <algorithm>
#include <cmath>

#include "network/buffer.h"

namespace gdfast {

namespace {

// Writes one row's inputs one after another, from panel to panel.
template <class T>
class Cursor {
public:
    Cursor(T* row, int64_t stride, int64_t panel)
        : at_(row), jump_(stride - panel), panel_(panel), left_(panel) {}
    void put(T value) { fill(1, value); }
    void fill(int64_t n, T value) {
        in_runs(n, [&](int64_t now) { std::fill_n(at_, now, value); });
    }
    void copy(int64_t n, const T* from) {
        in_runs(n, [&](int64_t now) {
            std::copy_n(from, now, at_);
            from += now;
        });
    }

private:
    template <class Write>
    void in_runs(int64_t n, Write write) {
        while (n > 0) {
            const int64_t now = std::min(n, left_);
            write(now);
            at_ += now;
            left_ -= now;
            n -= now;
            if (left_ > 0) return;
            at_ += jump_;
            left_ = panel_;
        }
    }

    T* at_;
    const int64_t jump_, panel_;
    int64_t left_;
};

// The number of edges that are at most x. Counting few of them without a branch is faster than a binary
// search.
template <class T>
int64_t edges_up_to(const std::vector<T>& edges, T x) {
    if (edges.size() > 128) return std::upper_bound(edges.begin(), edges.end(), x) - edges.begin();
    int count = 0;
    for (const T edge : edges) count += edge <= x;
    return count;
}

template <class T>
void encode_number(const Column<T>& column, T x, Cursor<T>& to) {
    const bool missing = std::isnan(x);
    if (column.clipped) {
        const T third = x / 3;
        to.put(missing ? T(0) : x / std::sqrt(1 + third * third));
    }
    if (column.flagged) to.put(missing);
    const int64_t bins = column.bins();
    if (bins == 0) return;
    if (missing) return to.fill(bins, 0);
    // The bin that x lies in. Below the first edge and above the last there is none.
    const std::vector<T>& edges = column.edges;
    const int64_t below = edges_up_to(edges, x);
    const T half = T(0.5);
    if (below == 0) return to.fill(bins, -half);
    if (below > bins) return to.fill(bins, half);
    const auto bin = static_cast<size_t>(below - 1);
    to.fill(below - 1, half);
    to.put((x - edges[bin]) / (edges[bin + 1] - edges[bin]) - half);
    to.fill(bins - below, -half);
}

template <class T>
void encode_category(const Column<T>& column, T x, Cursor<T>& to) {
    const int64_t number = category_of(x, column.categories);
    if (column.binary) return to.put(number < 0 ? T(0) : static_cast<T>(2 * number - 1));
    if (number < 0) return to.fill(column.categories, 0);
    to.fill(number, 0);
    to.put(1);
    to.fill(column.categories - number - 1, 0);
}

template <class T>
void embed(const Column<T>& column, T x, const EmbeddingRows<T>& rows, Cursor<T>& to) {
    const int64_t number = category_of(x, column.categories);
    if (number < 0) return to.fill(column.embedding, 0);
    to.copy(column.embedding, rows.values + number * rows.stride);
}

}  // namespace

template <class T>
Encoding<T>::Encoding(std::vector<Column<T>> columns) : columns_(std::move(columns)) {
    for (size_t c = 0; c < columns_.size(); ++c) {
        const Column<T>& column = columns_[c];
        if (column.embedding)
            embedded_.push_back({static_cast<int64_t>(c), inputs_, {column.categories, column.embedding}});
        inputs_ = checked_product(inputs_ + checked_product(column.inputs(), 1), 1);
    }
}

template <class T>
void Encoding<T>::encode(int64_t count, const T* table, const int64_t* order,
                         const EmbeddingRows<T>* embeddings, T* panels, int64_t stride, int64_t panel) const {
    for (int64_t i = 0; i < count; ++i) {
        const T* const row = table + (order ? order[i] : i) * columns();
        Cursor<T> to(panels + i * panel, stride, panel);
        const EmbeddingRows<T>* embedding = embeddings;
        for (size_t c = 0; c < columns_.size(); ++c) {
            const volatile T& changing = row[c];
            const T x = changing;  // read once: the caller's threads may change it
            if (columns_[c].embedding)
                embed(columns_[c], x, *embedding++, to);
            else if (columns_[c].categories)
                encode_category(columns_[c], x, to);
            else
                encode_number(columns_[c], x, to);
        }
    }
}

template class Encoding<float>;
template class Encoding<double>;

}  // namespace gdfast
