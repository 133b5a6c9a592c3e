// Where rows come from: a caller's matrix, dense or sparse, never copied whole.
#pragma once

#include <algorithm>

#include "kernels/dispatch.h"

namespace gdfast {

template <class T>
struct Rows {
    int64_t rows = 0, columns = 0;
    const T* dense = nullptr;  // (rows, columns) row-major, or:
    const T* data = nullptr;   // CSR
    const int32_t *indices32 = nullptr, *indptr32 = nullptr;
    const int64_t *indices64 = nullptr, *indptr64 = nullptr;

    bool sparse() const { return indptr32 || indptr64; }

    // Of a sparse matrix: how many entries a row has, and copies of them.
    int64_t entries(int64_t row) const {
        return indptr32 ? indptr32[row + 1] - indptr32[row] : indptr64[row + 1] - indptr64[row];
    }
    void copy_entries(int64_t row, int64_t* to_columns, T* to_values) const {
        const int64_t first = indptr32 ? indptr32[row] : indptr64[row], n = entries(row);
        if (indptr32)
            std::copy_n(indices32 + first, n, to_columns);
        else
            std::copy_n(indices64 + first, n, to_columns);
        std::copy_n(data + first, n, to_values);
    }

    // Rows order[0 .. count) (order null: first, first + 1, ...) into panels `stride` apart.
    void gather(int64_t count, const int64_t* order, int64_t first, T* panels, int64_t stride) const {
        if (dense) {
            kernels<T>().gather(count, columns, order ? dense : dense + first * columns, columns, order,
                                panels, stride);
        } else if (indptr32) {
            scatter(count, order, first, panels, stride, indices32, indptr32);
        } else {
            scatter(count, order, first, panels, stride, indices64, indptr64);
        }
    }

private:
    template <class Index>
    void scatter(int64_t count, const int64_t* order, int64_t first, T* panels, int64_t stride,
                 const Index* indices, const Index* indptr) const {
        const int P = kernels<T>().panel;
        for (int64_t p = 0; p * P < columns; ++p) std::fill_n(panels + p * stride, count * P, T(0));
        for (int64_t i = 0; i < count; ++i) {
            const int64_t row = order ? order[i] : first + i;
            for (int64_t e = indptr[row]; e < indptr[row + 1]; ++e)
                panels[indices[e] / P * stride + i * P + indices[e] % P] += data[e];
        }
    }
};

}  // namespace gdfast
