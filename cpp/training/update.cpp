#include "training/update.h"

#include <algorithm>

#include "kernels/dispatch.h"
#include "network/denormals.h"
#include "network/team.h"

namespace gdfast {

namespace {

// Elements that are updated at a time: enough that a thread's turn is worth taking.
constexpr int64_t kChunk = 16384;

template <class T>
Updated<T> piece(const Updated<T>& array, int64_t first, int64_t count) {
    Updated<T> part{array.w + first, array.g + first, {}, count};
    for (int i = 0; i < kMostStates; ++i)
        part.states[i] = array.states[i] ? array.states[i] + first : nullptr;
    return part;
}

}  // namespace

template <class T>
void update_all(Rule rule, const RuleStep<T>& scalars, const std::vector<Updated<T>>& arrays,
                int thread_limit) {
    const auto update = kernels<T>().update[static_cast<int>(rule)];
    int64_t total = 0;
    for (const Updated<T>& array : arrays) total += array.n;
    const auto one = [&](const Updated<T>& a) { update(a.n, a.w, a.g, a.states, scalars); };
    const int threads = threads_for_once(8.0 * static_cast<double>(total), total, thread_limit);
    if (threads == 1) {
        const DenormalMode flush(Denormals::flush);
        for (const Updated<T>& array : arrays) one(array);
        return;
    }
    std::vector<Updated<T>> pieces;
    for (const Updated<T>& array : arrays)
        for (int64_t first = 0; first < array.n; first += kChunk)
            pieces.push_back(piece(array, first, std::min(kChunk, array.n - first)));
    const int64_t units = std::min(kMostUnits, static_cast<int64_t>(pieces.size()));
    in_parallel(threads, units, [&](int64_t unit, int) {
        for (size_t i = static_cast<size_t>(unit); i < pieces.size(); i += static_cast<size_t>(units))
            one(pieces[i]);
    });
}

template void update_all(Rule, const RuleStep<float>&, const std::vector<Updated<float>>&, int);
template void update_all(Rule, const RuleStep<double>&, const std::vector<Updated<double>>&, int);

}  // namespace gdfast
