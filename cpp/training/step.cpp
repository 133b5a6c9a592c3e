#include "training/step.h"

#include "network/interruption.h"

namespace gdfast {

template <class T>
void run_steps(FirstHalf<T>& first, SecondHalf<T>& second, int threads) {
    Interruption* const interruption = Interruption::current();
    const auto stops = [&] { return interruption && interruption->requested(); };
    std::vector<Phase> phases = first.phases();
    const Phase* phase = nullptr;
    const size_t without_weight = phases.size();
    for (Phase& p : second.phases(first)) phases.push_back(std::move(p));
    const Phase* end = nullptr;
    bool moves = false;  // whether weights are being changed, so that the step cannot be given up

    const auto begin_step = [&](int members) {
        do {
            if (stops() || !first.next(members)) return false;
        } while (first.step().weight_sum == 0 && !first.passes_without_weight());
        const bool weighs = first.step().weight_sum != 0;
        first.begin_step();
        if (weighs) second.begin_step(first.step());
        phase = phases.data();
        end = phase + (weighs ? phases.size() : without_weight);
        return true;
    };
    const auto end_step = [&] {
        if (first.step().weight_sum != 0) second.end_step(first.step());
        first.end_step();
        phase = nullptr;
        moves = false;
    };
    const auto give_up = [&] {
        first.give_up();
        phase = nullptr;
    };
    const auto next_phase = [&](int members, int64_t* bounds) {
        if (phase && stops() && phase->can_give_up) {
            give_up();
            return false;
        }
        if (phase && ++phase == end) end_step();
        if ((!phase && !begin_step(members)) || !phase->divide) return false;
        phase->divide(members, bounds);
        moves = moves || !phase->can_give_up;
        return true;
    };
    const auto do_unit = [&](int64_t unit, int thread) {
        if (!stops() || !phase->can_give_up) phase->work(unit, thread);
    };
    try {
        do {
            in_phases(threads, next_phase, do_unit);
            if (phase) phase->work(0, 0);
        } while (phase);
    } catch (...) {
        if (phase && !moves) give_up();
        throw;
    }
}

template void run_steps(FirstHalf<float>&, SecondHalf<float>&, int);
template void run_steps(FirstHalf<double>&, SecondHalf<double>&, int);

}  // namespace gdfast
