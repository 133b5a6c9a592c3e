#include "network/interruption.h"

#include "network/denormals.h"

namespace gdfast {

namespace {

constexpr auto kBetweenQuestions = std::chrono::milliseconds(20);

thread_local Interruption* present_interruption = nullptr;

}  // namespace

Interruption::Interruption(std::function<bool()> asked)
    : asked_(std::move(asked)),
      outer_(present_interruption),
      next_(std::chrono::steady_clock::now() + kBetweenQuestions) {
    present_interruption = this;
}

Interruption::~Interruption() { present_interruption = outer_; }

Interruption* Interruption::present() { return present_interruption; }

void Interruption::ask() {
    if (requested() || std::chrono::steady_clock::now() < next_) return;
    const DenormalMode as_the_caller(Denormals::keep);
    if (asked_()) requested_.store(true, std::memory_order_relaxed);
    next_ = std::chrono::steady_clock::now() + kBetweenQuestions;
}

void stop_point() {
    if (present_interruption && present_interruption->look(0)) throw Interrupted();
}

}  // namespace gdfast
