// The encoding of a table's columns as the inputs of a network, applied row by row to batches.
#pragma once

#include <cstdint>
#include <vector>

#include "network/spec.h"

namespace gdfast {

// How one column of the table is encoded, and as how many inputs.
template <class T>
struct Column {
    // The inputs of a number x, in this order; all but the flag are 0 if it is missing (NaN).
    bool clipped = false;  // x / sqrt(1 + (x / 3)^2)
    bool flagged = false;  // 1 if it is missing, else 0
    // Piecewise-linear encoding: for each pair of neighbouring edges, the part of the bin that is below x,
    // minus 1/2. Edges do not decrease.
    std::vector<T> edges;
    // Or a category, by its number from 0: one input for each, 1 for this one and else 0; of two categories
    // with `binary` set, one input, -1 or 1. All are 0 for any other value.
    int64_t categories = 0;
    bool binary = false;
    // Or, with a size, so many inputs: the category's row of a trained array.
    int64_t embedding = 0;

    int64_t bins() const { return edges.size() > 1 ? static_cast<int64_t>(edges.size()) - 1 : 0; }
    int64_t inputs() const {
        if (embedding) return embedding;
        if (categories) return binary ? 1 : categories;
        return clipped + flagged + bins();
    }
};

// The category of number x, or -1 where it is none of them.
template <class T>
int64_t category_of(T x, int64_t categories) {
    return x >= 0 && x < static_cast<T>(categories) ? static_cast<int64_t>(x) : -1;
}

// Where an embedded column is in the table and among the inputs.
struct EmbeddedColumn {
    int64_t column, first_input;
    EmbeddingShape shape;
};

// The trained array of an embedded column.
template <class T>
struct EmbeddingRows {
    const T* values;  // a row for each category
    int64_t stride;
};

template <class T>
class Encoding {
public:
    explicit Encoding(std::vector<Column<T>> columns);

    int64_t columns() const { return static_cast<int64_t>(columns_.size()); }
    int64_t inputs() const { return inputs_; }
    const std::vector<EmbeddedColumn>& embedded() const { return embedded_; }

    // Encodes rows order[0 .. count) (order null: 0, 1, ...) of a row-major table of columns() columns, into
    // panels of `panel` inputs that are `stride` apart. Any value is encoded within these bounds.
    // `embeddings` has the array of each embedded column.
    void encode(int64_t count, const T* table, const int64_t* order, const EmbeddingRows<T>* embeddings,
                T* panels, int64_t stride, int64_t panel) const;

private:
    std::vector<Column<T>> columns_;
    std::vector<EmbeddedColumn> embedded_;
    int64_t inputs_ = 0;
};

}  // namespace gdfast
