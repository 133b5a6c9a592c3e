// The threads of one parallel region, and the place where they meet.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace gdfast {

// Threads meet here: they look for a short while, then hand their core to whoever needs it, for it may be
// the one they wait for.
class Meeting {
public:
    void wait(int members) {
        if (members == 1) return;
        const uint32_t round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(members)) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
        } else {
            wait_for_round_after(round);
        }
    }

private:
    void wait_for_round_after(uint32_t round);
    alignas(64) std::atomic<uint32_t> arrived_{0};
    alignas(64) std::atomic<uint32_t> round_{0};
};

// How many threads a caller asked for: 0 is as many as OpenMP would give the calling thread.
int thread_limit(int asked);

// How many of `limit` threads `work` multiply-adds between two meetings are worth, `shares` pieces at most.
// The environment variable GDFAST_FORCE_THREADS overrules it, for tests.
int threads_for(double work, int64_t shares, int limit);

// body(thread, threads) on up to `threads` threads, with denormal numbers flushed to zero: deltas and moments
// that fade away would otherwise slow every operation on them. The caller's floating-point state is restored.
// The body must not throw.
void in_team(int threads, const std::function<void(int, int)>& body);

}  // namespace gdfast
