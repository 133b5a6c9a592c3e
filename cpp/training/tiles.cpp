#include "training/tiles.h"

#include <algorithm>

namespace gdfast {

namespace {

// What a block costs, in multiply-adds: the products of `rows` rows, which cannot be faster than the latency
// of eight vectors in flight, and the update of its elements, each worth a root and a division.
double block_cost(int64_t rows, int64_t height, int64_t columns, int panel) {
    constexpr double update_cost = 16;
    const int64_t lanes = panel / 2, vectors = height * (columns > lanes ? 2 : 1);
    return static_cast<double>(rows * std::max<int64_t>(vectors, 8) * lanes) +
           static_cast<double>(height * panel) * update_cost;
}

}  // namespace

Tiling::Tiling(const Spec& spec, int64_t rows)
    : Tiling(spec, std::vector<int64_t>(spec.layers.size(), rows)) {}

Tiling::Tiling(const Spec& spec, const std::vector<int64_t>& rows) {
    const int P = spec.panel;
    int64_t blocks_in_all = 0;
    for (const Layer& l : spec.layers) blocks_in_all += l.in_panels * l.out_panels;
    // Blocks of a strip share a slice of deltas. Where blocks are few, even shares are worth more; where they
    // are many, a phase must not have too many units.
    const int64_t most =
        std::max(std::clamp<int64_t>(blocks_in_all / 64, 1, 64 / P), blocks_in_all / (kMostUnits / 4));
    scratch_ = most * P * P;
    cost_before_.push_back(0);
    const auto add = [&](const Strip& strip, double cost) {
        strips_.push_back(strip);
        cost_before_.push_back(cost_before_.back() + cost);
    };
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const int layer = static_cast<int>(i);
        const auto height = [&](int64_t panel) { return std::min<int64_t>(P, l.in - panel * P); };
        if (l.narrow) {
            for (int64_t j = 0; j < l.in_panels; ++j)
                add({layer, j, {0, 1}, j == 0}, block_cost(rows[i], l.out, height(j), P));
            continue;
        }
        for (int64_t j = 0; j < l.out_panels; ++j)
            for (int64_t first = 0; first < l.in_panels; first += most) {
                const Range blocks{first, std::min(first + most, l.in_panels)};
                double cost = 0;
                for (int64_t b = blocks.first; b < blocks.last; ++b)
                    cost += block_cost(rows[i], height(b), l.columns(j, P), P);
                add({layer, j, blocks, first == 0}, cost);
            }
    }
}

void Tiling::divide(int64_t first, int threads, int64_t* bounds) const {
    const double begin = cost_before_[static_cast<size_t>(first)], all = cost_before_.back() - begin;
    bounds[0] = first;
    bounds[threads] = size();
    for (int t = 1; t < threads; ++t) {
        const double cost = begin + all * t / threads;
        // The end of a strip that is nearest to the ideal one.
        const auto above = std::lower_bound(cost_before_.begin() + first, cost_before_.end(), cost);
        const bool nearer_below =
            above != cost_before_.begin() + first && cost - *(above - 1) < *above - cost;
        bounds[t] = above - cost_before_.begin() - (nearer_below ? 1 : 0);
    }
}

int64_t Tiling::first_of(int layer) const {
    const auto begins = [](const Strip& strip, int wanted) { return strip.layer < wanted; };
    return std::lower_bound(strips_.begin(), strips_.end(), layer, begins) - strips_.begin();
}

}  // namespace gdfast
