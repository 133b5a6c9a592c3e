#include "network/team.h"

#include "network/denormals.h"
#include "network/interruption.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <sys/mman.h>
#endif

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gdfast {

namespace {

inline void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile(
        "isb");  // waits for some tens of cycles, as x86's does; "yield" waits for none on most cores
#endif
}

#if defined(__unix__) || defined(__APPLE__)
// What OpenMP makes of OMP_STACKSIZE, such as "64M"; without a unit it is in KiB. 0: not set.
size_t stack_size_of_openmp() {
    const char* text = std::getenv("OMP_STACKSIZE");
    if (!text) return 0;
    char* unit = nullptr;
    const unsigned long long number = std::strtoull(text, &unit, 10);
    while (*unit == ' ') ++unit;
    const std::string units = "BbKkMmGg";
    const size_t place = *unit ? units.find(*unit) : 2;
    const bool known = place != units.npos && number < (uint64_t{1} << 32);
    return known ? static_cast<size_t>(number) << place / 2 * 10 : 0;
}

// See startable_threads(). `stack`: the size of each stack, 0 for the default.
int tried_threads(int threads, size_t bytes_each, size_t stack) {
    const size_t bytes = static_cast<size_t>(threads) * (bytes_each + sizeof(pthread_t)) + (size_t{1} << 16);
    // Mapped, because what malloc() finds among freed blocks is of no use to others.
    void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return 1;
    const auto unmap = [bytes](void* memory) { munmap(memory, bytes); };
    const std::unique_ptr<void, decltype(unmap)> memory(mapped, unmap);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return 1;
    if (stack) pthread_attr_setstacksize(&attributes, stack);
    auto* const started = static_cast<pthread_t*>(memory.get());
    std::atomic<bool> done{false};
    const auto wait = [](void* flag) -> void* {
        while (!static_cast<std::atomic<bool>*>(flag)->load())
            std::this_thread::sleep_for(std::chrono::microseconds(20));
        return nullptr;
    };
    int found = 1;
    while (found < threads && pthread_create(&started[found - 1], &attributes, wait, &done) == 0) ++found;
    done = true;
    for (int i = 0; i < found - 1; ++i) pthread_join(started[i], nullptr);
    pthread_attr_destroy(&attributes);
    return found;
}
#else
size_t stack_size_of_openmp() { return 0; }
int tried_threads(int threads, size_t, size_t) { return threads; }
#endif

// libgomp ends the process where it cannot create a thread or allocate a team. It keeps the threads of the
// calling thread's last region: one that needs more is preceded by a trial.
int threads_for_region(int threads) {
    thread_local int kept = 1;
    if (threads > kept) threads = tried_threads(threads, size_t{1} << 12, stack_size_of_openmp());
    return kept = threads;
}

// The only function that starts threads that work. Calls body(thread, threads) on up to `threads` threads at
// once; the calling thread is thread 0.
#if defined(GDFAST_STD_THREADS)
constexpr bool kHasThreads = true;
// For ThreadSanitizer, which does not see the synchronisation within the OpenMP runtimes, at the begin and
// end of a region, and would report all data that threads share.
constexpr const char* kThreading = "std::thread, for ThreadSanitizer";
int most_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }
template <class Body>
void region(int threads, const Body& body) {
    std::vector<std::thread> others;
    std::atomic<int> members{-1};  // below zero: not all have begun
    const auto join_all = [&] {
        for (std::thread& other : others) other.join();
    };
    try {
        others.reserve(static_cast<size_t>(threads));
        for (int t = 1; t < threads; ++t)
            others.emplace_back([&body, &members, t] {
                while (members.load() < 0) std::this_thread::yield();
                if (members.load() > 0) body(t, members);
            });
    } catch (...) {
        members = 0;
        join_all();
        throw;
    }
    members = threads;
    body(0, threads);
    join_all();
}
#elif defined(_OPENMP)
#define GDFAST_TEXT_OF(x) #x
#define GDFAST_TEXT(x) GDFAST_TEXT_OF(x)
constexpr bool kHasThreads = true;
constexpr const char* kThreading = GDFAST_TEXT(_OPENMP);
int most_threads() { return std::max(1, omp_get_max_threads()); }
template <class Body>
void region(int threads, const Body& body) {
#pragma omp parallel num_threads(threads)
    body(omp_get_thread_num(), omp_get_num_threads());
}
#else
constexpr bool kHasThreads = false;
constexpr const char* kThreading = "none: everything runs on one thread";
int most_threads() { return 1; }
template <class Body>
void region(int, const Body& body) {
    body(0, 1);
}
#endif

// libgomp's threads do not survive a fork: in a child whose parent has opened a parallel region, the next
// region would wait for them forever. Such a child runs on one thread.
std::atomic<bool> opened_region{false}, lost_threads{false};

void watch_forks() {
#if defined(__unix__) || defined(__APPLE__)
    static const int registered = pthread_atfork(nullptr, nullptr, [] {
        if (opened_region) lost_threads = true;
    });
    (void)registered;
#endif
}

bool alone() { return !kHasThreads || lost_threads; }

// The value of GDFAST_FORCE_THREADS, or 0.
int forced_threads() {
    const char* text = std::getenv("GDFAST_FORCE_THREADS");
    return text ? std::clamp(std::atoi(text), 0, 1024) : 0;
}

// One thread's share of the current phase: the number of the phase, the next unit and the end of the share.
// They are packed into one word, so that taking a unit is one compare-and-swap that fails if any of them
// has changed.
class alignas(64) Share {
public:
    void offer(uint32_t phase, int64_t first, int64_t last) {
        word_.store(word(phase, first, last), std::memory_order_release);
    }
    // Takes the next unit; -1 if fewer than `least` are left.
    int64_t take(uint32_t phase, int64_t least) {
        uint64_t seen = word_.load(std::memory_order_relaxed);
        while (seen >> 40 == (phase & 0xFFFFFF)) {
            const int64_t unit = (seen >> 20) & kMostUnits, last = seen & kMostUnits;
            if (last - unit < least) return -1;
            if (word_.compare_exchange_weak(seen, word(phase, unit + 1, last), std::memory_order_acquire,
                                            std::memory_order_relaxed))
                return unit;
        }
        return -1;
    }

private:
    static uint64_t word(uint32_t phase, int64_t first, int64_t last) {
        return uint64_t{phase & 0xFFFFFF} << 40 | static_cast<uint64_t>(first) << 20 |
               static_cast<uint64_t>(last);
    }
    std::atomic<uint64_t> word_{0};
};

class Team {
public:
    Team(int most, const Plan& plan, const Work& work)
        : plan_(plan),
          work_(work),
          interruption_(Interruption::current()),
          shares_(static_cast<size_t>(most)),
          bounds_(static_cast<size_t>(most) + 1) {}

    // The loop of thread `me` of `members`.
    void join(int me, int members) {
        if (me == 0) next_phase(members);
        uint32_t phase = 0;
        for (;;) {
            phase = wait_for_phase_after(phase, me, members);
            if (over_) return;
            // Leaves the last unit of a share to its owner, whose caches have the data.
            work_on(phase, me, members, 2);
        }
    }

    // After the region.
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

private:
    // Does the thread's own share, then all but the last `least` - 1 units of each other share.
    void work_on(uint32_t phase, int me, int members, int64_t least) {
        int64_t done = 0;
        for (int k = 0; k < members; ++k) {
            Share& share = shares_[static_cast<size_t>((me + k) % members)];
            for (int64_t unit; (unit = share.take(phase, k == 0 ? 1 : least)) >= 0; ++done) {
                if (failed_.load(std::memory_order_relaxed)) continue;
                try {
                    work_(unit, me);
                } catch (...) {
                    fail();
                }
                if (interruption_) interruption_->check(me);
            }
        }
        if (done && left_.fetch_sub(done, std::memory_order_acq_rel) == done) next_phase(members);
    }

    // Called by the thread that has done the last unit of the previous phase, while all others wait.
    void next_phase(int members) {
        const uint32_t phase = phase_.load(std::memory_order_relaxed) + 1;
        try {
            do {
                over_.store(failed_ || !plan_(members, bounds_.data()), std::memory_order_relaxed);
            } while (!over_ && bounds_[0] == bounds_[static_cast<size_t>(members)]);
        } catch (...) {
            fail();
            over_.store(true, std::memory_order_relaxed);
        }
        if (!over_) {
            left_.store(bounds_[static_cast<size_t>(members)] - bounds_[0], std::memory_order_relaxed);
            for (size_t t = 0; t < static_cast<size_t>(members); ++t)
                shares_[t].offer(phase, bounds_[t], bounds_[t + 1]);
        }
        phase_.store(phase);
        wake_sleepers();
    }

    // An exception must not leave the region. The first one is kept, and all units that are not begun are
    // skipped.
    void fail() {
        if (!failed_.exchange(true)) error_ = std::current_exception();
    }

    // Spins for longer than even shares differ in time. After that, the operating system may have
    // descheduled the thread that is waited for: this thread does the units that have not begun, and then
    // sleeps to free its core.
    uint32_t wait_for_phase_after(uint32_t phase, int me, int members) {
        constexpr int spins_before_helping = 256, spins_before_sleeping = 4000;
        for (int i = 0;; ++i) {
            const uint32_t now = phase_.load(std::memory_order_acquire);
            if (now != phase) return now;
            if (i % spins_before_helping == spins_before_helping - 1) work_on(phase, me, members, 1);
            if (i < spins_before_sleeping) {
                pause();
                continue;
            }
            // The other threads' units may be long: they end once this thread has seen a request to stop.
            if (interruption_) interruption_->check(me);
            sleep_while(phase);
        }
    }

    // Sleeps on a futex until the next phase, for 1 ms at most. The scheduler favours a thread that has
    // slept, so that it continues at once; after sched_yield() a busy foreign process would run for its
    // whole time slice.
    void sleep_while(uint32_t phase) {
#if defined(__linux__)
        sleepers_.fetch_add(1);
        const timespec limit{0, 1000000};
        syscall(SYS_futex, reinterpret_cast<uint32_t*>(&phase_), FUTEX_WAIT_PRIVATE, phase, &limit, nullptr,
                0);
        sleepers_.fetch_sub(1);
#else
        (void)phase;
        std::this_thread::yield();
#endif
    }
    void wake_sleepers() {
#if defined(__linux__)
        if (sleepers_.load())
            syscall(SYS_futex, reinterpret_cast<uint32_t*>(&phase_), FUTEX_WAKE_PRIVATE, 1 << 30, nullptr,
                    nullptr, 0);
#endif
    }

    const Plan& plan_;
    const Work& work_;
    Interruption* const interruption_;
    std::vector<Share> shares_;
    std::vector<int64_t> bounds_;
    std::atomic<bool> over_{false}, failed_{false};
    std::exception_ptr error_;
    alignas(64) std::atomic<int64_t> left_{0};
    alignas(64) std::atomic<uint32_t> phase_{0};
    std::atomic<int> sleepers_{0};
};

}  // namespace

int max_threads() { return most_threads(); }

const char* threading() { return kThreading; }

int startable_threads(int threads, size_t bytes_each) { return tried_threads(threads, bytes_each, 0); }

int thread_limit(int asked) {
    if (alone()) return 1;
    if (const int forced = forced_threads()) return forced;
    const int most = max_threads();
    return asked > 0 ? std::min(asked, most) : most;
}

namespace {

int threads_worth(double work_for_each, double work, int64_t units, int limit) {
    if (alone()) return 1;
    if (const int forced = forced_threads()) return forced;
    const double paid = std::min<double>(work / work_for_each, static_cast<double>(units));
    return std::max(1, static_cast<int>(std::min<double>(limit, paid)));
}

}  // namespace

int threads_for(double work, int64_t units, int limit) {
    // Below this, synchronising phases costs more than the second thread saves; see docs/performance.md.
    return threads_worth(250e3, work, units, limit);
}

int threads_for_once(double work, int64_t units, int limit) { return threads_worth(2e6, work, units, limit); }

void divide_evenly(int64_t units, int threads, int64_t* bounds) {
    for (int t = 0; t <= threads; ++t) bounds[t] = units * t / threads;
}

void in_phases(int threads, const Plan& plan, const Work& work) {
    if (threads <= 1 || alone()) {
        const DenormalMode flush(Denormals::flush);
        Interruption* const interruption = Interruption::current();
        int64_t bounds[2];
        while (plan(1, bounds))
            for (int64_t unit = bounds[0]; unit < bounds[1]; ++unit) {
                work(unit, 0);
                if (interruption) interruption->check(0);
            }
        return;
    }
    watch_forks();
    opened_region = true;
    Team team(threads, plan, work);
    region(threads_for_region(threads), [&team](int me, int members) {
        const DenormalMode flush(Denormals::flush);
        team.join(me, members);
    });
    team.rethrow();
}

void in_parallel(int threads, int64_t units, const Work& work) {
    bool planned = false;
    const Interruption* const interruption = Interruption::current();
    in_phases(
        threads,
        [&](int members, int64_t* bounds) {
            divide_evenly(units, members, bounds);
            return !std::exchange(planned, true);
        },
        [&](int64_t unit, int thread) {
            if (!interruption || !interruption->requested()) work(unit, thread);
        });
}

}  // namespace gdfast
