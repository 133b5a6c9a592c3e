// The second phase of a step: every block of every weight gradient, summed over the whole batch, and whatever
// is to be done with it while it is still in the first cache.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/dispatch.h"
#include "network/parameters.h"
#include "network/passes.h"
#include "network/team.h"
#include "network/workspace.h"

namespace gdfast {

// A run of blocks in one panel. In panel j of W a block is P inputs by P outputs; in a narrow layer, panel j
// of W transposed, it is all outputs by P inputs, one to a panel.
struct Strip {
    int layer;
    int64_t panel;
    Range blocks;
    bool bias;  // whether the biases of the panel are this strip's, too
};

// All strips of a network. They are the same for any number of threads.
class Tiling {
public:
    // `rows` to a batch: what a strip costs.
    Tiling(const Spec& spec, int64_t rows);
    // Where they are not as many for each layer.
    Tiling(const Spec& spec, const std::vector<int64_t>& rows);

    // Strips from `first` on in shares of about the same cost: bounds[t] .. bounds[t + 1] for thread t.
    void divide(int64_t first, int threads, int64_t* bounds) const;
    const Strip& operator[](int64_t i) const { return strips_[static_cast<size_t>(i)]; }
    int64_t size() const { return static_cast<int64_t>(strips_.size()); }
    // The first strip of a layer; those of the layers above it follow.
    int64_t first_of(int layer) const;
    // How many threads may share them (one more unit is the loss): a phase of several can have no more units.
    int most_threads() const { return size() < kMostUnits ? 1 << 20 : 1; }

    // Elements of scratch memory that the gradient of one strip's weights needs.
    int64_t scratch() const { return scratch_; }

private:
    std::vector<Strip> strips_;
    std::vector<double> cost_before_;
    int64_t scratch_;
};

// Where a strip's gradient is: its panel of biases, where it has them (or of gammas and betas), and its
// blocks one after another.
template <class T>
struct StripGradient {
    T *bias = nullptr, *weights = nullptr, *gamma = nullptr, *beta = nullptr;
};

// What a layer's parameters are. Only weights are penalized and decay.
enum class Group { weights, biases, gammas, betas };
constexpr size_t kGroups = 4;

// A piece of the array of parameters whose gradient has just been summed.
template <class T>
struct GradientPiece {
    T* gradient;  // (elements / P, P)
    int64_t offset, elements;
    int columns;    // real ones of each P: the rest is padding
    T* transposed;  // where the other orientation of this block of weights is kept, or null
    int layer;
    Group group;

    // Padding of weights stays zero.
    void clear_padding(int panel) const {
        for (int64_t e = 0; e < elements; e += panel)
            std::fill(gradient + e + columns, gradient + e + panel, T(0));
    }
};

// Where a strip's gradient lies in an array laid out as the parameters.
template <class T>
StripGradient<T> in_whole(const Spec& spec, const Strip& strip, T* whole) {
    const int P = spec.panel;
    const Layer& l = spec.layers[static_cast<size_t>(strip.layer)];
    const int64_t panel = l.narrow ? 0 : strip.panel;
    T *gamma = whole + l.gamma + panel * P, *beta = whole + l.beta + panel * P;
    if (l.narrow)
        return {whole + l.bias, whole + l.weights + strip.panel * l.transposed_panel(P), gamma, beta};
    return {whole + l.bias + panel * P,
            whole + l.weights + panel * l.weight_panel(P) + strip.blocks.first * P * P, gamma, beta};
}

// The weights' gradient of a strip of the first layer, where the inputs are sparse.
template <class T>
void sum_sparse_strip(const Spec& spec, const SparseInputs<T>& inputs, const RowPanels<T>& deltas,
                      const Strip& strip, T* gradient) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const Layer& l = spec.layers.front();
    const auto real = [&](int64_t n, int64_t panel) {
        return static_cast<int>(std::min<int64_t>(P, n - panel * P));
    };
    if (l.narrow) {
        table.sparse_outer_narrow({inputs.panel(strip.panel), inputs.panel_count(strip.panel), deltas.at(0),
                                   gradient, real(l.in, strip.panel), static_cast<int>(l.out)});
        return;
    }
    for (int64_t block = strip.blocks.first; block < strip.blocks.last; ++block)
        table.sparse_outer({inputs.panel(block), inputs.panel_count(block), deltas.at(0, strip.panel),
                            gradient + (block - strip.blocks.first) * P * P, real(l.in, block),
                            real(l.out, strip.panel)});
}

// What a layer's gradient is the product of, by layer: its inputs and its deltas, over so many rows.
template <class T>
struct Factors {
    const std::vector<RowPanels<T>>& inputs;
    const std::vector<RowPanels<T>>& deltas;
    const SparseInputs<T>* sparse;  // the first layer's inputs where they are not among `inputs`, or null
    std::vector<int64_t> rows;
};

// Sums a strip's gradients over all rows; not those of gammas and betas. (A bias that is normalised away has
// no gradient.) If `check` stops it, the gradient is undefined.
template <class T>
void sum_strip(const Spec& spec, const Factors<T>& factors, const Strip& strip,
               const StripGradient<T>& gradient, StopCheck& check) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const Layer& l = spec.layers[static_cast<size_t>(strip.layer)];
    const RowPanels<T>& inputs = factors.inputs[static_cast<size_t>(strip.layer)];
    const RowPanels<T>& deltas = factors.deltas[static_cast<size_t>(strip.layer)];
    const int64_t rows = factors.rows[static_cast<size_t>(strip.layer)];

    if (strip.bias && !l.normalized) {
        const int64_t panel = l.narrow ? 0 : strip.panel;
        in_blocks<T>({0, rows}, [&](Range block) {
            table.column_sums(block.count(), deltas.at(block.first, panel), gradient.bias, block.first > 0);
        });
    }
    if (strip.layer == 0 && factors.sparse) {
        sum_sparse_strip(spec, *factors.sparse, deltas, strip, gradient.weights);
        return;
    }
    if (l.narrow) {
        const int columns = static_cast<int>(std::min<int64_t>(P, l.in - strip.panel * P));
        const int height = static_cast<int>(l.out);
        in_blocks<T>({0, rows}, [&](Range block) {
            table.outer({deltas.at(block.first), inputs.at(block.first, strip.panel), gradient.weights,
                         block.count(), height, columns, block.first > 0});
        });
        // Padding of activations need not be zero, that of weights must be.
        for (int n = 0; n < height; ++n)
            std::fill(gradient.weights + n * P + columns, gradient.weights + (n + 1) * P, T(0));
        return;
    }
    const int columns = l.columns(strip.panel, P);
    // A slice of rows of the panel of deltas stays in the first cache while the blocks of the strip pass by
    // it.
    constexpr int64_t slice = kRowBlock<T> / 2;
    for (int64_t first = 0; first < rows; first += slice) {
        const int64_t count = std::min(slice, rows - first);
        if (check.after(count * strip.blocks.count() * P * P)) return;
        for (int64_t block = strip.blocks.first; block < strip.blocks.last; ++block)
            table.outer({inputs.at(first, block), deltas.at(first, strip.panel),
                         gradient.weights + (block - strip.blocks.first) * P * P, count,
                         static_cast<int>(std::min<int64_t>(P, l.in - block * P)), columns, first > 0});
    }
}

// Hands over a strip's gradient piece by piece: use(GradientPiece).
template <class T, class Use>
void for_pieces(const Spec& spec, const Parameters<T>& parameters, const Strip& strip,
                const StripGradient<T>& gradient, Use&& use) {
    const int P = spec.panel;
    const Layer& l = spec.layers[static_cast<size_t>(strip.layer)];
    const auto real = [&](int64_t n, int64_t panel) {
        return static_cast<int>(std::min<int64_t>(P, n - panel * P));
    };
    if (strip.bias) {
        const int64_t panel = l.narrow ? 0 : strip.panel;
        const auto vector = [&](T* values, int64_t offset, Group group) {
            use(GradientPiece<T>{values, offset + panel * P, P, l.columns(panel, P), nullptr, strip.layer,
                                 group});
        };
        if (l.normalized) {
            vector(gradient.gamma, l.gamma, Group::gammas);
            vector(gradient.beta, l.beta, Group::betas);
        } else {
            vector(gradient.bias, l.bias, Group::biases);
        }
    }
    if (l.narrow) {
        use(GradientPiece<T>{gradient.weights, l.weights + strip.panel * l.transposed_panel(P), l.out * P,
                             real(l.in, strip.panel), nullptr, strip.layer, Group::weights});
        return;
    }
    const int64_t panel_offset = l.weights + strip.panel * l.weight_panel(P);
    for (int64_t block = strip.blocks.first; block < strip.blocks.last; ++block)
        use(GradientPiece<T>{
            gradient.weights + (block - strip.blocks.first) * P * P, panel_offset + block * P * P,
            real(l.in, block) * P, l.columns(strip.panel, P),
            strip.layer > 0 ? parameters.transposed_panel(l, block) + strip.panel * P * P : nullptr,
            strip.layer, Group::weights});
}

}  // namespace gdfast
