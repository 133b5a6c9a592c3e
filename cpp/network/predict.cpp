#include "network/predict.h"

#include <algorithm>
#include <atomic>

#include "network/interruption.h"
#include "network/normalization.h"
#include "network/passes.h"
#include "network/team.h"
#include "network/workspace.h"

namespace gdfast {

namespace {

// With fewer rows than this, packing the weights into panels costs more than it saves.
constexpr int64_t kPlainRows = 16;

// Copies rows order[0 .. count) (order null: first, first + 1, ...) to the workspace's inputs.
template <class T>
void take_rows(const Rows<T>& rows, const int64_t* order, int64_t first, int64_t count, Workspace<T>& work) {
    if (work.sparse.in_use()) {
        work.sparse.begin(rows, order, first, count);
        work.sparse.gather(rows, order, first, {0, count}, {});
    } else {
        rows.gather(count, order, first, work.activations[0].at(0), work.activations[0].stride);
    }
}

template <class T>
void finish(const Spec& spec, Output output, Workspace<T>& work, int64_t count, T* out) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const int64_t columns = spec.outputs();
    const RowPanels<T>& z = work.deltas.back();
    if (output == Output::softmax) table.softmax(count, columns, z.at(0), z.stride);
    if (output == Output::quantiles) table.quantiles(count, columns, z.at(0), z.stride);
    for (int64_t j = 0; j * P < columns; ++j) {
        T* panel = z.at(0, j);
        if (output == Output::logistic)
            table.activate[static_cast<int>(Activation::logistic)](count * P, panel, panel, 0);
        if (output == Output::exp) table.exponential(count * P, panel);
        const int64_t n = std::min<int64_t>(P, columns - j * P);
        for (int64_t i = 0; i < count; ++i) std::copy_n(panel + i * P, n, out + i * columns + j * P);
    }
}

template <class T, class Finish>
void forward_plain_sparse(const Layer& l, const ConstPlainArrays<T>& arrays, const Workspace<T>& work,
                          int64_t count, Finish finish_panel, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = table.panel;
    const SparseRows<T> rows = work.sparse.rows({0, count});
    for (int64_t j = 0; j < l.out_panels; ++j) {
        const T *w = arrays.coefs[0] + j * P, *bias = arrays.intercepts[0] + j * P;
        T* c = work.pre_activations(0).at(0, j);
        const int columns = static_cast<int>(std::min<int64_t>(P, l.out - j * P));
        if (l.narrow)
            table.sparse_dots({rows, w, P * l.out, 1, l.out, bias, c, columns});
        else
            table.sparse_product_plain({rows, w, l.out, c, bias, columns, Epilogue::none});
        finish_panel(j, c);
        if (check.after(rows.start[count] * P)) return;
    }
}

// The same sums in the same order as forward(), with the weights read from the caller's arrays.
template <class T>
void forward_plain(const Spec& spec, const ConstPlainArrays<T>& arrays, Workspace<T>& work, int64_t count,
                   StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const bool hidden = i + 1 < spec.layers.size();
        const RowPanels<T>& inputs = work.activations[i];
        const RowPanels<T>& outputs = hidden ? work.activations[i + 1] : work.deltas[i];
        const auto activate = hidden ? table.activate[static_cast<int>(l.activation.kind)] : nullptr;
        const auto finish_panel = [&](int64_t j, T* panel) {
            const Norm<T>& norm = work.norms[i];
            if (l.normalized)
                table.normalize(count, panel, norm.center.data() + j * P, norm.scale.data() + j * P,
                                norm.shift.data() + j * P, panel);
            if (activate) activate(count * P, panel, panel, static_cast<T>(l.activation.parameter));
        };
        if (i == 0 && work.sparse.in_use()) {
            forward_plain_sparse(l, arrays, work, count, finish_panel, check);
            continue;
        }
        if (l.narrow) {
            Buffer<T> transposed(l.in_panels * l.transposed_panel(P));
            for (int64_t k = 0; k < l.in; ++k)
                for (int64_t n = 0; n < l.out; ++n)
                    transposed.data()[k / P * l.transposed_panel(P) + n * P + k % P] =
                        arrays.coefs[i][k * l.out + n];
            table.dots({inputs.at(0), inputs.stride, transposed.data(), l.transposed_panel(P),
                        arrays.intercepts[i], outputs.at(0), count, l.in, static_cast<int>(l.out)});
            finish_panel(0, outputs.at(0));
            continue;
        }
        Product<T> p{};
        p.a = inputs.at(0);
        p.a_stride = inputs.stride;
        p.b_stride = l.out;
        p.rows = count;
        p.depth = l.in;
        p.start = Start::bias;
        p.epilogue = Epilogue::none;
        for (int64_t j = 0; j * P < l.out; ++j) {
            p.b = arrays.coefs[i] + j * P;
            p.bias = arrays.intercepts[i] + j * P;
            p.c = outputs.at(0, j);
            p.columns = static_cast<int>(std::min<int64_t>(P, l.out - j * P));
            table.product_plain(p);
            finish_panel(j, p.c);
            if (check.after(count * l.in * P)) return;
        }
    }
}

}  // namespace

template <class T>
bool predict(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
             int64_t count, Output output, double norm_epsilon, bool check_finite, T* out, int thread_limit) {
    if (count == 0) return true;
    const auto finite = [&](int64_t first, int64_t n) {
        if (!check_finite || !rows.dense) return true;
        if (!order) return all_finite(rows.dense + first * rows.columns, n * rows.columns);
        for (int64_t i = first; i < first + n; ++i)
            if (!all_finite(rows.dense + order[i] * rows.columns, rows.columns)) return false;
        return true;
    };
    if (count < kPlainRows) {
        if (!finite(0, count)) return false;
        Workspace<T> work(spec, count);
        work.allocate(spec, rows, order, count);
        use_running_moments(spec, arrays, norm_epsilon, work);
        in_parallel(1, 1, [&](int64_t, int) {
            StopCheck check(Interruption::current(), 0);
            take_rows(rows, order, 0, count, work);
            forward_plain(spec, arrays, work, count, check);
            finish(spec, output, work, count, out);
        });
        return true;
    }
    Parameters<T> parameters(spec, false);
    parameters.load(arrays);
    const int64_t units = std::min(kMostUnits, (count + kRowBlock<T> - 1) / kRowBlock<T>);
    const int threads =
        threads_for_once(spec.work_per_row() * static_cast<double>(count), units, thread_limit);
    std::vector<Workspace<T>> work;
    for (int i = 0; i < threads; ++i) {
        work.emplace_back(spec, std::min(kRowBlock<T>, count));
        work.back().allocate(spec, rows, order, count);
        use_running_moments(spec, arrays, norm_epsilon, work.back());
    }
    std::atomic<bool> all{true};
    Interruption* const interruption = Interruption::current();
    in_parallel(threads, units, [&](int64_t unit, int thread) {
        Workspace<T>& mine = work[static_cast<size_t>(thread)];
        const Range unit_rows = share(count, unit, units);
        StopCheck check(interruption, thread);
        in_blocks<T>({0, unit_rows.count()}, [&](Range part) {
            const int64_t first = unit_rows.first + part.first, rows_now = part.count();
            if (!finite(first, rows_now)) all = false;
            take_rows(rows, order ? order + first : nullptr, first, rows_now, mine);
            forward(spec, parameters, mine, Range{0, rows_now}, {0, static_cast<int64_t>(spec.layers.size())},
                    check);
            finish(spec, output, mine, rows_now, out + first * spec.outputs());
        });
    });
    return all;
}

template bool predict(const Spec&, const ConstPlainArrays<float>&, const Rows<float>&, const int64_t*,
                      int64_t, Output, double, bool, float*, int);
template bool predict(const Spec&, const ConstPlainArrays<double>&, const Rows<double>&, const int64_t*,
                      int64_t, Output, double, bool, double*, int);

}  // namespace gdfast
