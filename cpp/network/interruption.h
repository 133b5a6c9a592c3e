// How a long call is stopped, usually by Ctrl-C.
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

// While an instance exists, the work of its thread can be stopped. A nested instance replaces the outer one
// until it is destroyed.
class Interruption {
public:
    // `stop_requested` returns whether to stop. It is called on this thread only, every 20 ms at most.
    explicit Interruption(std::function<bool()> stop_requested);
    ~Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

    // The Interruption of the calling thread, or null.
    static Interruption* current();

    // Once true, it stays true.
    bool requested() const { return requested_.load(std::memory_order_relaxed); }
    // Whether to stop. Thread 0, which must be the thread of the constructor, polls `stop_requested`,
    // every 20 ms at most.
    bool check(int thread) {
        if (thread == 0) poll();
        return requested();
    }

private:
    void poll();

    std::function<bool()> stop_requested_;
    Interruption* const outer_;
    std::chrono::steady_clock::time_point next_;
    std::atomic<bool> requested_{false};
};

// While an instance exists, nothing stops the work of its thread, whatever Interruption there is.
class Uninterrupted {
public:
    Uninterrupted();
    ~Uninterrupted();
    Uninterrupted(const Uninterrupted&) = delete;
    Uninterrupted& operator=(const Uninterrupted&) = delete;

private:
    Interruption* const outer_;
};

// Throws Interrupted if the calling thread's work is to stop. It is for work outside of parallel regions
// that can be abandoned at any point.
void stop_point();

// Checks for interruption within a long unit of work, every million multiply-adds.
class StopCheck {
public:
    StopCheck(Interruption* interruption, int thread) : interruption_(interruption), thread_(thread) {}
    // Counts `work` more multiply-adds and returns whether to stop.
    bool after(int64_t work) {
        if (!interruption_) return false;
        work_ += work;
        if (work_ < (1 << 20)) return interruption_->requested();
        work_ = 0;
        return interruption_->check(thread_);
    }

private:
    Interruption* interruption_;
    int thread_;
    int64_t work_ = 0;
};

}  // namespace gdfast
