// How a long call learns that it is to stop: Ctrl-C, as a rule.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>

namespace gdfast {

// Thrown by stop_point().
struct Interrupted : std::exception {
    const char* what() const noexcept override { return "interrupted"; }
};

// While it lives, what its thread does can be stopped. (One inside another takes its place for a while.)
class Interruption {
public:
    // `asked` says whether to stop. It is called on this thread only, every 20 ms at most.
    explicit Interruption(std::function<bool()> asked);
    ~Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

    // The calling thread's, or null.
    static Interruption* present();

    // Never falls back to false.
    bool requested() const { return requested_.load(std::memory_order_relaxed); }
    // Whether to stop; thread 0, which must be the one that made this, asks now and then.
    bool look(int thread) {
        if (thread == 0) ask();
        return requested();
    }

private:
    void ask();

    std::function<bool()> asked_;
    Interruption* const outer_;
    std::chrono::steady_clock::time_point next_;
    std::atomic<bool> requested_{false};
};

// Throws Interrupted where the calling thread's work is to stop: for work outside of parallel regions that
// can be given up at any point.
void stop_point();

// For a unit of work so long that it has to look about within: every million multiply-adds.
class StopCheck {
public:
    StopCheck(Interruption* interruption, int thread) : interruption_(interruption), thread_(thread) {}
    // After so many more multiply-adds: whether to stop.
    bool after(int64_t work) {
        if (!interruption_) return false;
        work_ += work;
        if (work_ < (1 << 20)) return interruption_->requested();
        work_ = 0;
        return interruption_->look(thread_);
    }

private:
    Interruption* interruption_;
    int thread_;
    int64_t work_ = 0;
};

}  // namespace gdfast
