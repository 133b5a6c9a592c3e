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

    // Shares of about the same cost: strips bounds[t] .. bounds[t + 1] for thread t.
    void divide(int threads, int64_t* bounds) const;
    const Strip& operator[](int64_t i) const { return strips_[static_cast<size_t>(i)]; }
    int64_t size() const { return static_cast<int64_t>(strips_.size()); }
    // How many threads may share them (one more unit is the loss): a phase of several can have no more units.
    int most_threads() const { return size() < kMostUnits ? 1 << 20 : 1; }

    // Elements of scratch memory that one strip's gradients need.
    int64_t scratch() const { return scratch_; }

private:
    std::vector<Strip> strips_;
    std::vector<double> cost_before_;
    int64_t scratch_;
};

// A piece of the array of parameters whose gradient has just been summed.
template <class T>
struct GradientPiece {
    const T* gradient;
    int64_t offset, elements;
    T* transposed;  // where the other orientation of this block of weights is kept, or null
    bool bias;
};

// Sums a strip's gradients over `rows` rows, and hands them over, piece by piece: use(GradientPiece).
template <class T, class Use>
void sum_strip(const Spec& spec, const Parameters<T>& parameters, const RowPanels<T>& inputs,
               const RowPanels<T>& deltas, const Strip& strip, int64_t rows, T* scratch, Use&& use) {
    const KernelTable<T>& table = kernels<T>();
    const int P = spec.panel;
    const Layer& l = spec.layers[static_cast<size_t>(strip.layer)];

    if (strip.bias) {
        const int64_t panel = l.narrow ? 0 : strip.panel;
        in_blocks<T>({0, rows}, [&](Range block) {
            table.column_sums(block.count(), deltas.at(block.first, panel), scratch, block.first > 0);
        });
        use(GradientPiece<T>{scratch, l.bias + panel * P, P, nullptr, true});
    }
    if (l.narrow) {
        const int columns = static_cast<int>(std::min<int64_t>(P, l.in - strip.panel * P));
        const int height = static_cast<int>(l.out);
        in_blocks<T>({0, rows}, [&](Range block) {
            table.outer({deltas.at(block.first), inputs.at(block.first, strip.panel), scratch, block.count(),
                         height, columns, block.first > 0});
        });
        // Padding of activations need not be zero, that of weights must be.
        for (int n = 0; n < height; ++n) std::fill(scratch + n * P + columns, scratch + (n + 1) * P, T(0));
        use(GradientPiece<T>{scratch, l.weights + strip.panel * l.transposed_panel(P), height * P, nullptr,
                             false});
        return;
    }
    const int columns = l.columns(strip.panel, P);
    const auto height = [&](int64_t block) {
        return static_cast<int>(std::min<int64_t>(P, l.in - block * P));
    };
    // A slice of rows of the panel of deltas stays in the first cache while the blocks of the strip pass by
    // it.
    constexpr int64_t slice = kRowBlock<T> / 2;
    for (int64_t first = 0; first < rows; first += slice) {
        const int64_t count = std::min(slice, rows - first);
        for (int64_t block = strip.blocks.first; block < strip.blocks.last; ++block)
            table.outer({inputs.at(first, block), deltas.at(first, strip.panel),
                         scratch + (block - strip.blocks.first) * P * P, count, height(block), columns,
                         first > 0});
    }
    const int64_t panel_offset = l.weights + strip.panel * l.weight_panel(P);
    for (int64_t block = strip.blocks.first; block < strip.blocks.last; ++block)
        use(GradientPiece<T>{
            scratch + (block - strip.blocks.first) * P * P, panel_offset + block * P * P, height(block) * P,
            strip.layer > 0 ? parameters.transposed_panel(l, block) + strip.panel * P * P : nullptr, false});
}

template <class T, class Use>
void sum_strip(const Spec& spec, const Parameters<T>& parameters, const Workspace<T>& work,
               const Strip& strip, int64_t rows, T* scratch, Use&& use) {
    const size_t layer = static_cast<size_t>(strip.layer);
    sum_strip(spec, parameters, work.activations[layer], work.deltas[layer], strip, rows, scratch, use);
}

}  // namespace gdfast
