#include "training/tiles.h"

#include <cmath>

namespace gdfast {

Tiling::Tiling(const Spec& spec, int64_t rows) {
    const int P = spec.panel;
    // A few blocks share one pass over a slice of deltas; more would only make the shares uneven.
    const int64_t most = P >= 32 ? 2 : 4;
    scratch_ = most * P * P;
    cost_before_.push_back(0);
    const auto add = [&](const Strip& strip, double multiply_adds, double elements) {
        // An element's update costs about as much as this many multiply-adds: a root and a division.
        constexpr double update_cost = 16;
        strips_.push_back(strip);
        cost_before_.push_back(cost_before_.back() + multiply_adds * static_cast<double>(rows) + elements * update_cost);
    };
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const int layer = static_cast<int>(i);
        if (l.narrow) {
            for (int64_t j = 0; j < l.in_panels; ++j)
                add({layer, j, {0, 1}, j == 0}, static_cast<double>(l.out * P), static_cast<double>(l.out * P));
            continue;
        }
        for (int64_t j = 0; j < l.out_panels; ++j) {
            const int64_t columns = l.out - j * P > P / 2 ? P : P / 2;
            for (int64_t b = 0; b < l.in_panels; b += most) {
                const Range blocks{b, std::min(b + most, l.in_panels)};
                const int64_t inputs = std::min(blocks.last * P, l.in) - b * P;
                add({layer, j, blocks, b == 0}, static_cast<double>(inputs * columns),
                    static_cast<double>(inputs * P));
            }
        }
    }
}

Range Tiling::strips_of(int thread, int threads) const {
    const auto boundary = [&](int part) {
        const double cost = cost_before_.back() * part / threads;
        // The strip boundary nearest to the ideal one.
        const auto above = std::lower_bound(cost_before_.begin(), cost_before_.end(), cost);
        const bool nearer_below = above != cost_before_.begin() && cost - *(above - 1) < *above - cost;
        return static_cast<int64_t>(above - cost_before_.begin()) - (nearer_below ? 1 : 0);
    };
    return {thread == 0 ? 0 : boundary(thread), thread + 1 == threads ? size() : boundary(thread + 1)};
}

}  // namespace gdfast
