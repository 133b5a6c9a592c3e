#include "training/jacobian.h"

#include <algorithm>
#include <cmath>

#include "network/interruption.h"
#include "network/passes.h"
#include "network/team.h"
#include "network/workspace.h"

namespace gdfast {

namespace {

// Rows of the Jacobian that are in memory at once for the normal matrix.
constexpr int64_t kJacobianRows = 512;

// The Jacobians of some rows of one block, on one thread.
template <class T>
class RowJacobian {
public:
    RowJacobian(const Spec& spec, const Parameters<T>& parameters, const Rows<T>& rows, Output output)
        : spec_(spec),
          parameters_(parameters),
          rows_(rows),
          output_(output),
          capacity_(std::min(kRowBlock<T>, std::max<int64_t>(rows.rows, 1))),
          work_(spec, capacity_, std::vector<double>{}),
          sums_(capacity_ * spec.layers.back().out_panels * spec.panel) {
        // A Jacobian has an element for each input, stored or not: sparse rows are taken as dense ones.
        Rows<T> dense;
        dense.columns = rows.columns;
        work_.allocate(spec, dense, nullptr, 0);
        if (!rows.sparse()) return;
        int64_t most = 0;
        for (int64_t i = 0; i < rows.rows; ++i) most = std::max(most, rows.entries(i));
        columns_ = Buffer<int64_t>(most);
        values_ = Buffer<T>(most);
    }

    // Writes those of rows first .. first + count, at most kRowBlock. U is T or double.
    template <class U>
    void write(int64_t first, int64_t count, U* out, StopCheck& check) {
        gather(first, count);
        const int64_t layers = static_cast<int64_t>(spec_.layers.size());
        forward(spec_, parameters_, work_, {0, count}, {0, layers}, check);
        take_outputs(count);
        const int64_t outputs = spec_.outputs(), n = parameter_count(spec_);
        for (int64_t o = 0; o < outputs; ++o) {
            set_deltas(count, o);
            backward(spec_, parameters_, work_, {0, count}, static_cast<int>(layers) - 1, 0, check);
            for (int64_t i = 0; i < count; ++i) write_row(i, out + (i * outputs + o) * n);
            if (check.after(count * n)) return;
        }
    }

private:
    void gather(int64_t first, int64_t count) {
        const RowPanels<T>& inputs = work_.activations[0];
        if (!rows_.sparse()) return rows_.gather(count, nullptr, first, inputs.at(0), inputs.stride);
        const int P = spec_.panel;
        for (int64_t j = 0; j < spec_.layers[0].in_panels; ++j) std::fill_n(inputs.at(0, j), count * P, T(0));
        for (int64_t i = 0; i < count; ++i) {
            const int64_t n = std::min(rows_.entries(first + i), columns_.size());
            rows_.copy_entries(first + i, n, columns_.data(), values_.data());
            for (int64_t e = 0; e < n; ++e) {
                const int64_t column = columns_.data()[e];
                inputs.at(i, column / P)[column % P] += values_.data()[e];
            }
        }
    }

    // Keeps what the derivatives of the outputs are computed from: the outputs, or of quantiles the slopes
    // of their differences.
    void take_outputs(int64_t count) {
        const KernelTable<T>& table = kernels<T>();
        const int P = spec_.panel;
        const RowPanels<T>& z = work_.deltas.back();
        const int64_t panels = spec_.layers.back().out_panels;
        if (output_ == Output::softmax) table.softmax(count, spec_.outputs(), z.at(0), z.stride);
        for (int64_t j = 0; j < panels; ++j) {
            T* panel = z.at(0, j);
            if (output_ == Output::logistic || output_ == Output::quantiles)
                table.activate[static_cast<int>(Activation::logistic)](count * P, panel, panel, 0);
            if (output_ == Output::exp) table.exponential(count * P, panel);
            std::copy_n(panel, count * P, sums_.data() + j * capacity_ * P);
        }
    }
    T kept(int64_t row, int64_t column) const {
        const int P = spec_.panel;
        return sums_.data()[(column / P * capacity_ + row) * P + column % P];
    }

    // d output o / d pre-activation j.
    T slope(int64_t row, int64_t o, int64_t j) const {
        const T one = o == j ? T(1) : T(0);
        switch (output_) {
            case Output::identity:
                return one;
            case Output::softmax:
                return kept(row, o) * (one - kept(row, j));
            case Output::logistic:
                return one * kept(row, o) * (1 - kept(row, o));
            case Output::exp:
                return o == j ? kept(row, o) : T(0);
            case Output::quantiles:
                return j == 0 ? T(1) : j <= o ? kept(row, j) : T(0);
        }
        return 0;
    }

    void set_deltas(int64_t count, int64_t o) {
        const int P = spec_.panel;
        const RowPanels<T>& deltas = work_.deltas.back();
        for (int64_t i = 0; i < count; ++i)
            for (int64_t j = 0; j < spec_.outputs(); ++j) deltas.at(i, j / P)[j % P] = slope(i, o, j);
    }

    template <class U>
    void write_row(int64_t row, U* out) const {
        const int P = spec_.panel;
        for (size_t l = 0; l < spec_.layers.size(); ++l) {
            const Layer& layer = spec_.layers[l];
            for (int64_t k = 0; k < layer.in; ++k) {
                const T a = work_.activations[l].at(row, k / P)[k % P];
                out = for_deltas(row, l, out,
                                 [a](T delta) { return static_cast<U>(a) * static_cast<U>(delta); });
            }
        }
        for (size_t l = 0; l < spec_.layers.size(); ++l)
            out = for_deltas(row, l, out, [](T delta) { return static_cast<U>(delta); });
    }

    template <class U, class Function>
    U* for_deltas(int64_t row, size_t l, U* out, Function function) const {
        const int P = spec_.panel;
        for (int64_t j = 0; j < spec_.layers[l].out; j += P) {
            const T* delta = work_.deltas[l].at(row, j / P);
            const int64_t n = std::min<int64_t>(P, spec_.layers[l].out - j);
            for (int64_t e = 0; e < n; ++e) out[e] = function(delta[e]);
            out += n;
        }
        return out;
    }

    const Spec& spec_;
    const Parameters<T>& parameters_;
    const Rows<T>& rows_;
    const Output output_;
    const int64_t capacity_;
    Workspace<T> work_;
    Buffer<T> sums_;
    Buffer<int64_t> columns_;
    Buffer<T> values_;
};

// One for each thread.
template <class T>
std::vector<RowJacobian<T>> for_threads(int threads, const Spec& spec, const Parameters<T>& parameters,
                                        const Rows<T>& rows, Output output) {
    std::vector<RowJacobian<T>> each;
    for (int i = 0; i < threads; ++i) each.emplace_back(spec, parameters, rows, output);
    return each;
}

// Multiply-adds of the Jacobian of one row.
double work_of_row(const Spec& spec) {
    return spec.work_per_row() + static_cast<double>(spec.outputs()) *
                                     (spec.work_per_row() + static_cast<double>(parameter_count(spec)));
}

// The normal matrix, batch by batch: a phase that writes the batch's Jacobians, in panels of columns, and one
// that adds up products of two panels.
class NormalMatrix {
public:
    NormalMatrix(int64_t parameters, int64_t rows, bool weighted)
        : n_(parameters),
          panels_(divided_up(parameters, table().panel)),
          stride_(rows * table().panel),
          jacobian_(checked_product(panels_, stride_)),
          weighted_(weighted ? jacobian_.size() : 0),
          sums_(checked_product(panels_ * (panels_ + 1) / 2, block())) {}

    // Units of the second phase.
    int64_t panels() const { return panels_; }

    // Rows `first` .. of the batch's Jacobian, which are row-major.
    void take(int64_t first, int64_t count, const double* rows) { copy(first, count, rows, jacobian_); }
    void take_weighted(int64_t first, int64_t count, const double* rows) {
        copy(first, count, rows, weighted_);
    }

    // Adds the products of panel j with those up to itself, over the batch's `rows`.
    void add(int64_t j, int64_t rows, bool first_batch, StopCheck& check) {
        const int P = table().panel;
        const double* b = (weighted_.size() ? weighted_ : jacobian_).data() + j * stride_;
        for (int64_t i = 0; i <= j; ++i) {
            table().outer(
                {jacobian_.data() + i * stride_, b, at(i, j), rows, columns(i), columns(j), !first_batch});
            if (check.after(rows * P * P)) return;
        }
    }

    // Both triangles, row-major.
    void copy_panel(int64_t j, double* out) const {
        const int P = table().panel;
        for (int64_t i = 0; i <= j; ++i)
            for (int r = 0; r < columns(i); ++r)
                for (int c = 0; c < columns(j); ++c) {
                    const int64_t row = i * P + r, column = j * P + c;
                    if (row > column) continue;
                    out[row * n_ + column] = out[column * n_ + row] = at(i, j)[r * P + c];
                }
    }

private:
    static const KernelTable<double>& table() { return kernels<double>(); }
    static int64_t block() { return table().panel * table().panel; }
    int columns(int64_t j) const {
        return static_cast<int>(std::min<int64_t>(table().panel, n_ - j * table().panel));
    }
    double* at(int64_t i, int64_t j) const { return sums_.data() + (j * (j + 1) / 2 + i) * block(); }
    void copy(int64_t first, int64_t count, const double* rows, Buffer<double>& to) {
        table().gather(count, n_, rows, n_, nullptr, to.data() + first * table().panel, stride_);
    }

    const int64_t n_, panels_, stride_;
    Buffer<double> jacobian_, weighted_, sums_;
};

}  // namespace

int64_t parameter_count(const Spec& spec) {
    int64_t count = 0;
    for (const Layer& l : spec.layers) count += checked_product(l.in + 1, l.out);
    return count;
}

template <class T>
void jacobian(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows, Output output, T* out,
              int thread_limit) {
    if (rows.rows == 0) return;
    Parameters<T> parameters(spec, true);
    parameters.load(arrays);
    const int64_t units = std::min(kMostUnits, divided_up(rows.rows, kRowBlock<T>));
    const int threads =
        threads_for_once(work_of_row(spec) * static_cast<double>(rows.rows), units, thread_limit);
    auto each = for_threads(threads, spec, parameters, rows, output);
    Interruption* const interruption = Interruption::current();
    const int64_t elements = spec.outputs() * parameter_count(spec);
    in_parallel(threads, units, [&](int64_t unit, int thread) {
        StopCheck check(interruption, thread);
        const Range part = share(rows.rows, unit, units);
        for (int64_t first = part.first; first < part.last; first += kRowBlock<T>)
            each[static_cast<size_t>(thread)].write(first, std::min(kRowBlock<T>, part.last - first),
                                                    out + first * elements, check);
    });
    stop_point();
}

template <class T>
void gauss_newton_matrix(const Spec& spec, const ConstPlainArrays<T>& arrays, const Rows<T>& rows,
                         const T* weight, double* out, int thread_limit) {
    const int64_t n = parameter_count(spec), outputs = spec.outputs();
    // Samples to a batch, and to a unit of its first phase: functions of the shapes alone.
    const int64_t batch = std::min(rows.rows, std::max<int64_t>(kJacobianRows / outputs, 1));
    const int64_t piece = std::min(batch, std::max<int64_t>(32 / outputs, 1));
    Parameters<T> parameters(spec, true);
    parameters.load(arrays);
    NormalMatrix sums(n, batch * outputs, weight);
    const double work_per_batch =
        static_cast<double>(batch) *
        (work_of_row(spec) + 0.5 * static_cast<double>(outputs * n) * static_cast<double>(n));
    const int threads = std::min(
        threads_for(work_per_batch, sums.panels(), thread_limit),
        threads_for_once(work_per_batch * static_cast<double>(rows.rows) / static_cast<double>(batch),
                         sums.panels(), thread_limit));
    auto each = for_threads(threads, spec, parameters, rows, Output::identity);
    std::vector<Buffer<double>> scratch;
    for (int i = 0; i < threads; ++i) scratch.emplace_back(checked_product(piece * outputs, n));
    Interruption* const interruption = Interruption::current();

    enum class Phase { rows, products, copies, over } phase = Phase::over;
    int64_t first = -batch, count = 0;  // of the present batch
    const auto plan = [&](int members, int64_t* bounds) {
        if (interruption && interruption->requested()) return false;
        if (phase == Phase::copies) return false;
        if (phase == Phase::rows) {
            phase = Phase::products;
        } else if (first + batch < rows.rows) {
            phase = Phase::rows;
            first += batch;
            count = std::min(batch, rows.rows - first);
        } else {
            phase = Phase::copies;
        }
        if (phase == Phase::rows) {
            divide_evenly(divided_up(count, piece), members, bounds);
        } else {
            // Panel j has j + 1 products.
            for (int t = 0; t <= members; ++t)
                bounds[t] = static_cast<int64_t>(static_cast<double>(sums.panels()) *
                                                 std::sqrt(static_cast<double>(t) / members));
            bounds[members] = sums.panels();
        }
        return true;
    };
    const auto work = [&](int64_t unit, int thread) {
        StopCheck check(interruption, thread);
        if (phase == Phase::copies) return sums.copy_panel(unit, out);
        if (phase == Phase::products) return sums.add(unit, count * outputs, first == 0, check);
        double* part = scratch[static_cast<size_t>(thread)].data();
        const int64_t from = unit * piece, samples = std::min(piece, count - from);
        each[static_cast<size_t>(thread)].write(first + from, samples, part, check);
        sums.take(from * outputs, samples * outputs, part);
        if (!weight) return;
        for (int64_t i = 0; i < samples; ++i) {
            const double factor = static_cast<double>(weight[first + from + i]);
            for (int64_t e = i * outputs * n; e < (i + 1) * outputs * n; ++e) part[e] *= factor;
        }
        sums.take_weighted(from * outputs, samples * outputs, part);
    };
    in_phases(threads, plan, work);
    stop_point();
}

template void jacobian(const Spec&, const ConstPlainArrays<float>&, const Rows<float>&, Output, float*, int);
template void jacobian(const Spec&, const ConstPlainArrays<double>&, const Rows<double>&, Output, double*,
                       int);
template void gauss_newton_matrix(const Spec&, const ConstPlainArrays<float>&, const Rows<float>&,
                                  const float*, double*, int);
template void gauss_newton_matrix(const Spec&, const ConstPlainArrays<double>&, const Rows<double>&,
                                  const double*, double*, int);

}  // namespace gdfast
