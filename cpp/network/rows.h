// The caller's matrix of samples: dense, sparse, or a table with its encoding. It is read row by row and
// never copied or encoded as a whole.
#pragma once

#include <algorithm>

#include "kernels/dispatch.h"
#include "network/encoding.h"

namespace gdfast {

template <class T>
struct Rows {
    int64_t rows = 0, columns = 0;
    const T* dense = nullptr;  // (rows, columns) row-major, or:
    const T* table = nullptr;  // (rows, encoding->columns()) row-major, encoded as `columns` inputs, or:
    const Encoding<T>* encoding = nullptr;
    const EmbeddingRows<T>* embeddings = nullptr;  // of the encoding's embedded columns
    const T* data = nullptr;                       // CSR, with `stored` entries:
    int64_t stored = 0;
    const int32_t *indices32 = nullptr, *indptr32 = nullptr;
    const int64_t *indices64 = nullptr, *indptr64 = nullptr;

    bool sparse() const { return indptr32 || indptr64; }

    // The number of entries of a sparse row, and copies of `n` of them. Another thread of the caller may
    // change the arrays meanwhile: the values read are undefined then, but no read is out of bounds and
    // every column is valid.
    int64_t entries(int64_t row) const {
        return std::max<int64_t>(0, first_entry(row + 1) - first_entry(row));
    }
    void copy_entries(int64_t row, int64_t n, int64_t* to_columns, T* to_values) const {
        const int64_t first = std::min(first_entry(row), stored - n);
        if (indptr32)
            copy_columns(indices32 + first, n, to_columns);
        else
            copy_columns(indices64 + first, n, to_columns);
        std::copy_n(data + first, n, to_values);
    }

    // Copies or encodes rows order[0 .. count) (order null: first, first + 1, ...), which are not sparse,
    // into panels `stride` apart.
    void gather(int64_t count, const int64_t* order, int64_t first, T* panels, int64_t stride) const {
        if (encoding)
            return encoding->encode(count, order ? table : table + first * encoding->columns(), order,
                                    embeddings, panels, stride, kernels<T>().panel);
        kernels<T>().gather(count, columns, order ? dense : dense + first * columns, columns, order, panels,
                            stride);
    }

private:
    int64_t first_entry(int64_t row) const {
        return std::clamp<int64_t>(indptr32 ? indptr32[row] : indptr64[row], 0, stored);
    }
    template <class Index>
    void copy_columns(const Index* from, int64_t n, int64_t* to) const {
        for (int64_t e = 0; e < n; ++e) {
            const int64_t column = from[e];
            to[e] = static_cast<uint64_t>(column) < static_cast<uint64_t>(columns) ? column : 0;
        }
    }
};

}  // namespace gdfast
