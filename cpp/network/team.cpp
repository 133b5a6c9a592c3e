#include "network/team.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gdfast {

namespace {

inline void pause() {
#if defined(__x86_64__)
    _mm_pause();
#endif
}

class FlushDenormals {
public:
#if defined(__x86_64__)
    FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }  // FTZ, DAZ
    ~FlushDenormals() { _mm_setcsr(saved_); }

private:
    unsigned saved_;
#elif defined(__aarch64__)
    FlushDenormals() {
        __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
        __asm__ volatile("msr fpcr, %0" : : "r"(saved_ | (uint64_t{1} << 24)));
    }
    ~FlushDenormals() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

private:
    uint64_t saved_;
#endif
};

// libgomp's threads do not survive a fork: in a child whose parent had opened a region, the next one would
// wait for them for ever. Such a child works on one thread.
std::atomic<bool> opened_region{false}, lost_threads{false};

void after_fork_in_child() {
    if (opened_region) lost_threads = true;
}

void watch_forks() {
    static const int registered = pthread_atfork(nullptr, nullptr, after_fork_in_child);
    (void)registered;
}

}  // namespace

void Meeting::wait_for_round_after(uint32_t round) {
    constexpr int looks = 4000;  // some tens of microseconds: longer than threads with even shares differ
    for (int i = 0; i < looks; ++i) {
        if (round_.load(std::memory_order_acquire) != round) return;
        pause();
    }
    while (round_.load(std::memory_order_acquire) == round) sched_yield();
}

int thread_limit(int asked) {
    if (lost_threads) return 1;
    const int most = omp_get_max_threads();
    return std::max(1, asked > 0 ? std::min(asked, std::max(most, omp_get_num_procs())) : most);
}

int threads_for(double work, int64_t shares, int limit) {
    if (lost_threads) return 1;
    if (const char* forced = std::getenv("GDFAST_FORCE_THREADS")) {
        const int threads = std::atoi(forced);
        if (threads > 0) return std::min(threads, 1024);
    }
    // Below this a meeting costs more than the other thread saves; see docs/performance.md.
    constexpr double worth_a_thread = 250e3;
    const double paid = std::min<double>(work / worth_a_thread, static_cast<double>(shares));
    return std::max(1, static_cast<int>(std::min<double>(limit, paid)));
}

void in_team(int threads, const std::function<void(int, int)>& body) {
    if (threads <= 1) {
        FlushDenormals flush;
        body(0, 1);
        return;
    }
    watch_forks();
    opened_region = true;
#pragma omp parallel num_threads(threads)
    {
        FlushDenormals flush;
        body(omp_get_thread_num(), omp_get_num_threads());
    }
}

}  // namespace gdfast
