// Networks whose layers are narrow and wide, one panel and many, with and without padding.
#pragma once

#include <vector>

#include "network/spec.h"

namespace gdfast::check {

struct Shape {
    std::vector<int64_t> units;
    std::vector<bool> normalized;
};

inline std::vector<Shape> shapes() {
    return {{{1, 1}, {}},
            {{3, 1}, {}},
            {{64, 32, 64}, {}},
            {{37, 61, 70, 7}, {}},
            {{50, 100, 1}, {}},
            {{300, 9, 300, 2}, {}},
            {{1100, 130, 70}, {}},
            {{20, 33, 65, 3}, {true, true}},
            {{70, 2, 40, 1}, {true, false}}};
}

inline Spec spec_of(const Shape& shape, int panel) {
    return Spec(shape.units, {}, panel, panel / 2, shape.normalized);
}

// The matrices of an LSTM cell's kind: four gates side by side, each in panels of its own.
inline Spec gated_spec(int panel) {
    Layer below{}, own{}, head{};
    below.in = 11, below.out = 4 * 37, below.gates = 4, below.first_gate = 1;
    own.in = 37, own.out = 4 * 37, own.gates = 4, own.first_gate = 1;
    head.in = 37, head.out = 3;
    return Spec({below, own, head}, panel);
}

}  // namespace gdfast::check
