#include "network/interruption.h"

#include "network/denormals.h"

namespace gdfast {

namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(20);

thread_local Interruption* current_interruption = nullptr;

}  // namespace

Interruption::Interruption(std::function<bool()> stop_requested)
    : stop_requested_(std::move(stop_requested)),
      outer_(current_interruption),
      next_(std::chrono::steady_clock::now() + kPollInterval) {
    current_interruption = this;
}

Interruption::~Interruption() { current_interruption = outer_; }

Interruption* Interruption::current() { return current_interruption; }

Uninterrupted::Uninterrupted() : outer_(current_interruption) { current_interruption = nullptr; }

Uninterrupted::~Uninterrupted() { current_interruption = outer_; }

void Interruption::poll() {
    if (requested() || std::chrono::steady_clock::now() < next_) return;
    const DenormalMode callers_mode(Denormals::keep);
    if (stop_requested_()) requested_.store(true, std::memory_order_relaxed);
    next_ = std::chrono::steady_clock::now() + kPollInterval;
}

void stop_point() {
    if (current_interruption && current_interruption->check(0)) throw Interrupted();
}

}  // namespace gdfast
