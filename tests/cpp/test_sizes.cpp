// Index arithmetic for sizes whose arrays nobody has the memory for.
#include <random>

#include "check.h"
#include "network/passes.h"
#include "network/recurrent.h"
#include "network/steps.h"
#include "training/tiles.h"

namespace gdfast {

namespace {

using Exact = __int128;

// Numbers around the powers of two at which 32 bits end, and at random.
std::vector<int64_t> numbers_below(int64_t end) {
    std::vector<int64_t> numbers;
    for (int shift : {0, 15, 16, 30, 31, 32, 33, 40})
        for (int64_t near : {-1, 0, 1})
            if (const int64_t n = (int64_t{1} << shift) + near; n >= 0 && n < end) numbers.push_back(n);
    std::mt19937_64 random(1);
    for (int i = 0; i < 50; ++i) numbers.push_back(static_cast<int64_t>(random() >> 1) % end);
    numbers.push_back(end - 1);
    return numbers;
}

template <class T>
void check_layout(int64_t rows, int64_t panels, int panel) {
    const RowLayout<T> layout(rows, panels, panel);
    const Exact block_rows = kRowBlock<T>, stride = (std::min<Exact>(rows, block_rows) + 1) * panel;
    CHECK(layout.elements(rows) == (rows + block_rows - 1) / block_rows * panels * stride);
    for (const int64_t row : numbers_below(rows))
        for (const int64_t j : numbers_below(panels)) {
            const Exact at = row / block_rows * panels * stride + j * stride + row % block_rows * panel;
            CHECK(layout.offset(row, j) == at);
            CHECK(layout.offset(row, j) + panel <= layout.elements(rows));
        }
}

// An address to which no memory belongs; what is computed from it is not read.
template <class T>
T* nowhere() {
    return reinterpret_cast<T*>(uintptr_t{1} << 32);
}

template <class T>
void check_spec(const Spec& spec) {
    const int P = spec.panel;
    Exact end = 0, transposed = 0;
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const Exact in = (Exact{l.in} + P - 1) / P, out = (Exact{l.out} + P - 1) / P,
                    weights = in * out * P * P;
        CHECK(l.bias == end);
        CHECK(l.weights == end + out * P);
        CHECK(l.elements(P) == weights);
        end += out * P + weights;
        if (i > 0 && !l.narrow) {
            CHECK(l.transposed == transposed);
            transposed += weights;
        }
    }
    CHECK(spec.parameters == end);
    CHECK(spec.transposed == transposed);

    const Tiling tiling(spec, int64_t{1} << 33);
    CHECK(tiling.size() < kMostUnits);
    std::vector<int64_t> bounds(4);
    tiling.divide(0, 3, bounds.data());
    CHECK(std::is_sorted(bounds.begin(), bounds.end()) && bounds.back() == tiling.size());
    Exact covered = 0;
    for (int64_t unit = 0; unit < tiling.size(); ++unit) {
        const Strip& strip = tiling[unit];
        const Layer& l = spec.layers[static_cast<size_t>(strip.layer)];
        const int64_t at = in_whole(spec, strip, nowhere<T>()).weights - nowhere<T>();
        const Exact panel = l.narrow ? Exact{l.out_panels} * P * P : Exact{l.in_panels} * P * P;
        CHECK(at == l.weights + strip.panel * panel + (l.narrow ? 0 : Exact{strip.blocks.first} * P * P));
        covered += l.narrow ? panel : Exact{strip.blocks.count()} * P * P;
    }
    Exact all = 0;
    for (const Layer& l : spec.layers) all += l.elements(P);
    CHECK(covered == all);
}

}  // namespace

TEST(sizes, rows_of_a_batch_beyond_32_bits) {
    for (int panel : {4, 8, 16, 32})
        for (int64_t rows : {int64_t{1} << 31, (int64_t{1} << 33) + 5, int64_t{1} << 38})
            for (int64_t panels : {1, 3, 4096}) {
                check_layout<float>(rows, panels, panel);
                check_layout<double>(rows, panels, panel);
            }
}

TEST(sizes, a_matrix_that_cannot_be_addressed_is_refused) {
    const int64_t most = std::numeric_limits<int64_t>::max();
    const RowLayout<float> layout(most, 1, 16);
    for (int64_t rows : {most / 64, most})
        CHECK(check::thrown_by([&] { layout.elements(rows); }).find("can be addressed") != std::string::npos);
    CHECK(check::thrown_by([&] { RowLayout<float>(10, most / 2, 16); }).find("can be addressed") !=
          std::string::npos);
}

TEST(sizes, weights_beyond_32_bits) {
    for (int panel : {16, 32}) {
        check_spec<float>(Spec({70'000, 70'000, 10}, {}, panel, panel / 2));
        check_spec<double>(Spec({1000, 50'000, 50'000, 1, 3}, {}, panel, panel / 2));
    }
}

TEST(sizes, gates_beyond_32_bits) {
    const RecurrentSpec spec(Cell::lstm, 100'000, {100'000}, 3, 16);
    for (const Layer& l : spec.matrices.layers)
        CHECK(l.elements(16) == Exact{l.in_panels} * l.out_panels * 16 * 16);
    CHECK(spec.matrices.parameters > int64_t{70'000'000'000});
    const Layer& gates = spec.matrices.layers[1];
    int64_t columns = 0;
    for (int64_t j = 0; j < gates.out_panels; ++j) columns += gates.columns(j, 16);
    CHECK(columns == gates.out);
}

TEST(sizes, shares_and_steps_beyond_32_bits) {
    const int64_t rows = int64_t{1} << 40;
    Range before{0, 0};
    for (int64_t unit = 0; unit < 1000; ++unit) {
        const Range now = share(rows, unit, 1000);
        CHECK(now.first == before.last);
        CHECK(now.last == static_cast<int64_t>(Exact{rows} * (unit + 1) / 1000));
        before = now;
    }
    CHECK(before.last == rows);
    std::vector<int64_t> bounds(8);
    divide_evenly(kMostUnits, 7, bounds.data());
    CHECK(std::is_sorted(bounds.begin(), bounds.end()) && bounds.back() == kMostUnits);

    const int64_t lengths[] = {int64_t{1} << 35, 7};
    const Steps steps{2, int64_t{1} << 34, lengths[0], lengths, false};
    CHECK(steps.row((int64_t{1} << 34) - 1) == (int64_t{1} << 35) - 2);
    CHECK(steps.row(int64_t{1} << 34) == 0);
    CHECK(steps.active(int64_t{1} << 34, {0, 2}).count() == 1);
}

}  // namespace gdfast
