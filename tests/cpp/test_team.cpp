// What threads hand to each other here is not atomic: ThreadSanitizer is to see that Team's own
// synchronisation is enough.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"
#include "network/interruption.h"
#include "network/team.h"

namespace gdfast {

namespace {

constexpr int kThreads[] = {1, 2, 3, 8};

bool flushes_denormals() {
    volatile double tiny = std::numeric_limits<double>::min(), half = 0.5;
    return tiny * half == 0;
}

}  // namespace

TEST(team, in_parallel_does_each_unit_once) {
    for (int threads : kThreads)
        for (int64_t units : {0, 1, 2, 7, 1000}) {
            std::vector<int> times(static_cast<size_t>(units));
            std::atomic<bool> known{true};
            in_parallel(threads, units, [&](int64_t unit, int thread) {
                ++times[static_cast<size_t>(unit)];
                if (thread < 0 || thread >= threads) known = false;
            });
            CHECK(std::all_of(times.begin(), times.end(), [](int n) { return n == 1; }));
            CHECK(known);
        }
}

// Each phase reads what others wrote in the phase before, and the plan reads all of it.
TEST(team, phases_do_not_overlap) {
    constexpr int phases = 300;
    constexpr int64_t units = 37;
    for (int threads : kThreads) {
        std::vector<int> now(units), before(units);
        std::atomic<int> working{0}, planning{0};
        int phase = 0;
        in_phases(
            threads,
            [&](int members, int64_t* bounds) {
                CHECK(planning++ == 0);
                CHECK(working == 0);
                for (int n : now) CHECK(n == phase);
                now.swap(before);
                // Even shares, all on one thread, and none at all.
                divide_evenly(units, members, bounds);
                if (phase % 3 == 1) std::fill(bounds + 1, bounds + members, units);
                if (phase % 3 == 2) std::fill(bounds + 1, bounds + members, 0);
                --planning;
                return phase++ < phases;
            },
            [&](int64_t unit, int) {
                ++working;
                now[static_cast<size_t>(unit)] = before[static_cast<size_t>((unit + 11) % units)] + 1;
                --working;
            });
        CHECK(phase == phases + 1);
    }
}

TEST(team, empty_phases_are_passed_over) {
    for (int threads : kThreads) {
        int phase = 0;
        std::atomic<int> done{0};
        in_phases(
            threads,
            [&](int members, int64_t* bounds) {
                divide_evenly(phase % 2 ? 0 : 5, members, bounds);
                return phase++ < 10;
            },
            [&](int64_t, int) { ++done; });
        CHECK(done == 5 * 5);
    }
}

// Unequal units, so that those who have done their share help the others out.
TEST(team, a_phase_ends_with_its_slowest_unit) {
    for (int threads : kThreads) {
        std::atomic<int> done{0};
        int phase = 0;
        in_phases(
            threads,
            [&](int members, int64_t* bounds) {
                CHECK(done == 12 * phase);
                divide_evenly(12, members, bounds);
                return phase++ < 20;
            },
            [&](int64_t unit, int) {
                if (unit == 3) std::this_thread::sleep_for(std::chrono::milliseconds(2));
                ++done;
            });
    }
}

TEST(team, an_interruption_is_asked_on_the_calling_thread_and_ends_what_goes_on) {
    const std::thread::id caller = std::this_thread::get_id();
    for (int threads : kThreads) {
        constexpr int64_t units = 1000;
        std::atomic<int> asked{0}, done{0};
        Interruption interruption([&] {
            CHECK(std::this_thread::get_id() == caller);
            ++asked;
            return true;
        });
        in_parallel(threads, units, [&](int64_t, int) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            ++done;
        });
        CHECK(interruption.requested());
        CHECK(asked == 1);
        CHECK(done < units);
    }
}

TEST(interruption, a_stop_point_throws_where_it_is_requested_and_the_inner_one_counts) {
    stop_point();  // nobody asks
    Interruption never([] { return false; });
    {
        Interruption at_once([] { return true; });
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        CHECK(check::thrown_by(stop_point) == "interrupted");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(check::thrown_by(stop_point).empty());
    CHECK(Interruption::current() == &never);
}

#if defined(__x86_64__) || defined(__aarch64__)
TEST(team, denormals_are_flushed_on_every_thread_and_the_caller_s_state_is_restored) {
    for (int threads : kThreads) {
        CHECK(!flushes_denormals());
        in_parallel(threads, 50, [](int64_t, int) { CHECK(flushes_denormals()); });
        CHECK(!flushes_denormals());
    }
}
#endif

TEST(team, an_exception_of_a_unit_comes_out_and_ends_the_phases) {
    for (int threads : kThreads)
        for (int64_t bad : {0, 6, 9}) {
            std::atomic<int> done{0};
            int phases = 0;
            CHECK(check::thrown_by([&] {
                      in_phases(
                          threads,
                          [&](int members, int64_t* bounds) {
                              divide_evenly(10, members, bounds);
                              return ++phases < 100;
                          },
                          [&](int64_t unit, int) {
                              if (phases == 3 && unit == bad) throw std::runtime_error("from a unit");
                              ++done;
                          });
                  }) == "from a unit");
            CHECK(phases == 3);
            CHECK(done >= 20 && done < 30);
            CHECK(!flushes_denormals());
        }
}

TEST(team, an_exception_of_the_plan_comes_out) {
    for (int threads : kThreads) {
        int phases = 0;
        CHECK(check::thrown_by([&] {
                  in_phases(
                      threads,
                      [&](int members, int64_t* bounds) {
                          if (++phases == 3) throw std::runtime_error("from the plan");
                          divide_evenly(10, members, bounds);
                          return true;
                      },
                      [](int64_t, int) {});
              }) == "from the plan");
        CHECK(phases == 3);
    }
}

// The calling thread has nothing left to do, and must not wait for the others without asking.
TEST(team, an_interruption_is_asked_for_while_others_work) {
    for (int threads : {2, 8}) {
        std::atomic<bool> requested{false};
        Interruption interruption([&] { return requested = true, true; });
        const Interruption* const current = Interruption::current();
        in_parallel(threads, threads, [&](int64_t unit, int) {
            // The last unit is of another thread, unless that has not begun yet.
            const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
            while (unit == threads - 1 && !current->requested() && std::chrono::steady_clock::now() < limit)
                if (std::this_thread::yield(); Interruption::current()) Interruption::current()->check(0);
        });
        CHECK(requested);
    }
}

TEST(team, as_many_threads_as_the_work_pays_for) {
    const check::Environment environment("GDFAST_FORCE_THREADS", nullptr);
    CHECK(thread_limit(0) == max_threads());
    CHECK(thread_limit(1) == 1);
    CHECK(threads_for(1, 1000, 8) == 1);
    if (max_threads() == 1) return;
    CHECK(threads_for(1e12, 1000, 8) == 8);
    CHECK(threads_for(1e12, 3, 8) == 3);
}

TEST(team, gdfast_force_threads_overrules) {
    const check::Environment environment("GDFAST_FORCE_THREADS", "5");
    const bool one_only = std::string(threading()).find("none") == 0;
    CHECK(thread_limit(1) == (one_only ? 1 : 5));
    CHECK(threads_for(1, 1, 1) == (one_only ? 1 : 5));
}

TEST(team, shares_are_even) {
    for (int threads : kThreads)
        for (int64_t units : {0, 1, 5, 64, 1001}) {
            std::vector<int64_t> bounds(static_cast<size_t>(threads) + 1, -1);
            divide_evenly(units, threads, bounds.data());
            CHECK(bounds.front() == 0 && bounds.back() == units);
            for (size_t t = 0; t + 1 < bounds.size(); ++t) {
                const int64_t share = bounds[t + 1] - bounds[t];
                CHECK(share == units / threads || share == units / threads + 1);
            }
        }
}

}  // namespace gdfast
