#include "training/step.h"

#include "network/interruption.h"

namespace gdfast {

template <class T>
StepLoop<T>::StepLoop(FirstHalf<T>& first, SecondHalf<T>& second)
    : first_(first), second_(second), phases_(first.phases()), without_weight_(phases_.size()) {
    for (Phase& p : second.phases(first)) phases_.push_back(std::move(p));
}

template <class T>
void StepLoop<T>::run(int threads) {
    FirstHalf<T>& first = first_;
    SecondHalf<T>& second = second_;
    Interruption* const interruption = Interruption::current();
    const auto stops = [&] { return interruption && interruption->requested(); };
    const Phase *phase = nullptr, *end = nullptr;
    bool moves = false;  // whether weights are being changed, so that the step cannot be given up

    const auto begin_step = [&](int members) {
        do {
            if (stops() || !first.next(members)) return false;
        } while (first.step().weight_sum == 0 && !first.passes_without_weight());
        const bool weighs = first.step().weight_sum != 0;
        first.begin_step();
        if (weighs) second.begin_step(first.step());
        phase = phases_.data();
        end = phase + (weighs ? phases_.size() : without_weight_);
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
            in_phases(threads, std::ref(next_phase), std::ref(do_unit));  // references: nothing to allocate
            if (phase) phase->work(0, 0);
        } while (phase);
    } catch (...) {
        if (phase && !moves) give_up();
        throw;
    }
}

template class StepLoop<float>;
template class StepLoop<double>;

}  // namespace gdfast
