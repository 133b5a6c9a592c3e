#include "check.h"
#include "shapes.h"
#include "training/tiles.h"

namespace gdfast {

namespace {

void check_tiling(const Spec& spec, int64_t rows) {
    const int P = spec.panel;
    const Tiling tiling(spec, rows);
    const Parameters<float> parameters(spec, true);
    std::vector<int> owners(static_cast<size_t>(spec.parameters)),
        transposed(static_cast<size_t>(spec.transposed));
    std::vector<float> whole(static_cast<size_t>(spec.parameters));

    for (int64_t i = 0; i < tiling.size(); ++i) {
        const Strip& strip = tiling[i];
        CHECK(i == 0 || tiling[i - 1].layer <= strip.layer);
        int64_t weights = 0;
        for_pieces(spec, parameters, strip, in_whole(spec, strip, whole.data()),
                   [&](const GradientPiece<float>& piece) {
                       CHECK(piece.gradient == whole.data() + piece.offset);
                       for (int64_t e = 0; e < piece.elements; ++e)
                           ++owners[static_cast<size_t>(piece.offset + e)];
                       if (piece.group == Group::weights) weights += piece.elements;
                       if (!piece.transposed) return;
                       const int64_t block = piece.transposed - parameters.transposed.data();
                       for (int64_t e = 0; e < P * P; ++e) ++transposed[static_cast<size_t>(block + e)];
                   });
        CHECK(weights <= tiling.scratch());
    }

    // Weights, with the padding of their rows.
    for (const Layer& l : spec.layers) {
        const auto owned = [&](int64_t offset, int64_t elements, int times) {
            bool each = true;
            for (int64_t e = 0; e < elements; ++e)
                each = each && owners[static_cast<size_t>(offset + e)] == times;
            return each;
        };
        CHECK(owned(l.bias, l.out_panels * P, l.normalized ? 0 : 1));
        if (l.normalized) CHECK(owned(l.gamma, 2 * l.out_panels * P, 1));
        if (l.narrow)
            for (int64_t j = 0; j < l.in_panels; ++j)
                CHECK(owned(l.weights + j * l.transposed_panel(P), l.out * P, 1));
        else
            for (int64_t j = 0; j < l.out_panels; ++j)
                CHECK(owned(l.weights + j * l.weight_panel(P), l.in * P, 1));
    }
    for (int times : transposed) CHECK(times <= 1);
    for (size_t i = 1; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        if (l.narrow) continue;
        for (int64_t e = 0; e < l.elements(P); ++e)
            CHECK(transposed[static_cast<size_t>(l.transposed + e)] == 1);
    }

    for (size_t layer = 0; layer < spec.layers.size(); ++layer) {
        const int64_t first = tiling.first_of(static_cast<int>(layer));
        CHECK(tiling[first].layer == static_cast<int>(layer));
        CHECK(first == 0 || tiling[first - 1].layer == static_cast<int>(layer) - 1);
        for (int threads : {1, 2, 3, 7, 64}) {
            std::vector<int64_t> bounds(static_cast<size_t>(threads) + 1, -1);
            tiling.divide(first, threads, bounds.data());
            CHECK(bounds.front() == first);
            CHECK(bounds.back() == tiling.size());
            CHECK(std::is_sorted(bounds.begin(), bounds.end()));
        }
    }
}

}  // namespace

TEST(tiling, every_weight_belongs_to_exactly_one_strip) {
    for (int panel : {4, 8, 16, 32})
        for (int64_t rows : {1, 200}) {
            for (const check::Shape& shape : check::shapes())
                check_tiling(check::spec_of(shape, panel), rows);
            check_tiling(check::gated_spec(panel), rows);
        }
}

TEST(tiling, a_phase_has_room_for_the_strips_of_a_wide_layer) {
    // A million inputs and more, without memory for their weights.
    const Spec spec({int64_t{1} << 24, 64, 1}, {}, 8, 4);
    const Tiling tiling(spec, 1);
    CHECK(tiling.size() < kMostUnits);
    CHECK(tiling.most_threads() > 1);
}

}  // namespace gdfast
