#include "network/predict.h"

#include <algorithm>
#include <atomic>
#include <functional>

#include "network/denormals.h"
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
void forward_plain(const Spec& spec, const ConstPlainArrays<T>& arrays, const std::vector<Buffer<T>>& narrow,
                   Workspace<T>& work, int64_t count, StopCheck& check) {
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
            T* transposed = narrow[i].data();
            for (int64_t k = 0; k < l.in; ++k)
                for (int64_t n = 0; n < l.out; ++n)
                    transposed[k / P * l.transposed_panel(P) + n * P + k % P] =
                        arrays.coefs[i][k * l.out + n];
            table.dots({inputs.at(0), inputs.stride, transposed, l.transposed_panel(P), arrays.intercepts[i],
                        outputs.at(0), count, l.in, static_cast<int>(l.out)});
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

template <class T>
int64_t row_units(int64_t count) {
    return std::min(kMostUnits, divided_up(count, kRowBlock<T>));
}

}  // namespace

template <class T>
Predictor<T>::Predictor(const Spec& spec, int64_t least_rows, int64_t most_rows, int threads) : spec_(spec) {
    if (least_rows < kPlainRows)
        for (const Layer& l : spec.layers)
            narrow_.emplace_back(l.narrow ? l.in_panels * l.transposed_panel(spec.panel) : 0);
    if (most_rows >= kPlainRows) parameters_.emplace(spec, false);
    for (int i = 0; i < threads; ++i) work_.emplace_back(spec, std::min(kRowBlock<T>, most_rows));
}

template <class T>
void Predictor<T>::expect_dense_rows() {
    for (Workspace<T>& work : work_) work.allocate(spec_, Rows<T>(), nullptr, 0);
}

template <class T>
bool Predictor<T>::operator()(const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
                              int64_t count, Output output, double norm_epsilon, bool check_finite, T* out,
                              int threads) {
    if (count == 0) return true;
    threads = std::min(threads, static_cast<int>(work_.size()));
    const auto finite = [&](int64_t first, int64_t n) {
        if (!check_finite || !rows.dense) return true;
        if (!order) return all_finite(rows.dense + first * rows.columns, n * rows.columns);
        for (int64_t i = first; i < first + n; ++i)
            if (!all_finite(rows.dense + order[i] * rows.columns, rows.columns)) return false;
        return true;
    };
    for (int i = 0; i < threads; ++i) {
        Workspace<T>& work = work_[static_cast<size_t>(i)];
        work.allocate(spec_, rows, order, count);
        use_running_moments(spec_, arrays, norm_epsilon, work);
    }
    Interruption* const interruption = Interruption::current();
    if (count < kPlainRows) {
        if (!finite(0, count)) return false;
        const DenormalMode flush(Denormals::flush);
        StopCheck check(interruption, 0);
        take_rows(rows, order, 0, count, work_[0]);
        forward_plain(spec_, arrays, narrow_, work_[0], count, check);
        finish(spec_, output, work_[0], count, out);
        return true;
    }
    parameters_->load(arrays);
    const int64_t units = row_units<T>(count);
    std::atomic<bool> all{true};
    const auto predict_unit = [&](int64_t unit, int thread) {
        Workspace<T>& mine = work_[static_cast<size_t>(thread)];
        const Range unit_rows = share(count, unit, units);
        StopCheck check(interruption, thread);
        in_blocks<T>({0, unit_rows.count()}, [&](Range part) {
            const int64_t first = unit_rows.first + part.first, rows_now = part.count();
            if (!finite(first, rows_now)) all = false;
            take_rows(rows, order ? order + first : nullptr, first, rows_now, mine);
            forward(spec_, *parameters_, mine, Range{0, rows_now},
                    {0, static_cast<int64_t>(spec_.layers.size())}, check);
            finish(spec_, output, mine, rows_now, out + first * spec_.outputs());
        });
    };
    in_parallel(threads, units, std::ref(predict_unit));  // a reference: nothing to allocate
    return all;
}

template <class T>
int predicting_threads(const Spec& spec, int64_t count, int thread_limit) {
    if (count < kPlainRows || thread_limit == 1) return 1;
    return threads_for_once(spec.work_per_row() * static_cast<double>(count), row_units<T>(count),
                            thread_limit);
}

template <class T>
bool predict(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, const int64_t* order,
             int64_t count, Output output, double norm_epsilon, bool check_finite, T* out, int thread_limit) {
    if (count == 0) return true;
    const int threads = predicting_threads<T>(spec, count, thread_limit);
    return Predictor<T>(spec, count, count, threads)(arrays, rows, order, count, output, norm_epsilon,
                                                     check_finite, out, threads);
}

#define GDFAST_INSTANTIATE(T)                                                                               \
    template class Predictor<T>;                                                                            \
    template int predicting_threads<T>(const Spec&, int64_t, int);                                          \
    template bool predict(const Spec&, const ConstPlainArrays<T>&, const Rows<T>&, const int64_t*, int64_t, \
                          Output, double, bool, T*, int);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)

}  // namespace gdfast
