#include "check.h"
#include "network/steps.h"

namespace gdfast {

namespace {

const std::vector<std::vector<int64_t>> kLengths = {
    {1}, {5}, {4, 4, 4}, {9, 7, 7, 3, 1}, {6, 1, 1, 1}, {8, 7, 6, 5, 4, 3, 2}};

Steps steps_of(const std::vector<int64_t>& lengths, bool end_together, int64_t slots) {
    return {static_cast<int64_t>(lengths.size()), slots, lengths[0], lengths.data(), end_together};
}

// The sequences of a lot for which `holds`; they must lie side by side.
template <class Holds>
void check_range(Range range, Range lot, const Holds& holds) {
    CHECK(lot.first <= range.first && range.last <= lot.last);
    for (int64_t s = lot.first; s < lot.last; ++s) CHECK((range.first <= s && s < range.last) == holds(s));
}

template <class Body>
void for_lots(const std::vector<int64_t>& lengths, const Body& body) {
    const int64_t n = static_cast<int64_t>(lengths.size());
    for (int64_t first = 0; first < n; ++first)
        for (int64_t last = first + 1; last <= n; ++last) body(Range{first, last});
}

}  // namespace

TEST(steps, active_sequences_have_the_step) {
    for (const auto& lengths : kLengths)
        for (bool end_together : {false, true}) {
            const Steps steps = steps_of(lengths, end_together, 3);
            for (int64_t step = 0; step < steps.last; ++step)
                for_lots(lengths, [&](Range lot) {
                    check_range(steps.active(step, lot), lot, [&](int64_t s) {
                        const int64_t length = lengths[static_cast<size_t>(s)];
                        return end_together ? step >= steps.last - length : step < length;
                    });
                });
        }
}

TEST(steps, memory_is_a_ring) {
    const std::vector<int64_t> lengths = {9, 7, 7};
    const Steps steps = steps_of(lengths, false, 4);
    for (int64_t step = 0; step < 9; ++step) {
        CHECK(steps.row(step) >= 0 && steps.row(step) + 3 <= 4 * 3);
        CHECK(steps.row(step + 4) == steps.row(step));
        for (int64_t kept = step + 1; kept < step + 4; ++kept) CHECK(steps.row(kept) != steps.row(step));
    }
    CHECK(steps.ragged());
    CHECK(!steps_of({4, 4}, false, 1).ragged());
}

TEST(steps, a_gradient_flows_back_from_a_sequence_s_last_step_of_the_loss) {
    for (const auto& lengths : kLengths) {
        const Steps steps = steps_of(lengths, false, lengths[0]);
        for (int64_t first = 0; first < steps.last; ++first)
            for (int64_t last = first + 1; last <= steps.last; ++last)
                for (int64_t reach = last - first; reach <= steps.last; ++reach) {
                    const BackwardWindow back{{first, last}, reach};
                    for (int64_t step = 0; step < last; ++step)
                        for_lots(lengths, [&](Range lot) {
                            const Range flowing = back.with_gradient(steps, step, lot);
                            const auto flows = [&](int64_t s) {
                                const int64_t length = lengths[static_cast<size_t>(s)];
                                const int64_t end = std::min(length, last);
                                return length > first && step < end && step >= end - reach;
                            };
                            if (flowing.count() > 0)
                                check_range(flowing, lot, flows);
                            else
                                for (int64_t s = lot.first; s < lot.last; ++s) CHECK(!flows(s));
                            CHECK(step >= back.first(steps) || flowing.count() <= 0);
                        });
                }
    }
}

TEST(steps, blocks_of_both_are_cut_at_either_s_ends) {
    constexpr int64_t size = kRowBlock<double>;
    for (int64_t a : {int64_t{0}, int64_t{5}, size - 1, 3 * size})
        for (int64_t b : {int64_t{0}, int64_t{7}, 2 * size - 1})
            for (int64_t count : {int64_t{0}, int64_t{1}, size, 3 * size + 2}) {
                int64_t done = 0;
                in_blocks_of_both<double>(a, b, count, [&](int64_t i, int64_t j, int64_t part) {
                    CHECK(part > 0);
                    CHECK(i == a + done && j == b + done);
                    CHECK(i / size == (i + part - 1) / size);
                    CHECK(j / size == (j + part - 1) / size);
                    done += part;
                });
                CHECK(done == count);
            }
}

}  // namespace gdfast
