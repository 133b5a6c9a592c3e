// A team of threads that goes through phases of work together.
#pragma once

#include <cstdint>
#include <functional>

namespace gdfast {

// How many threads OpenMP would give the calling thread; 1 in a build without it.
int max_threads();

// What runs the threads of this build, in words.
const char* threading();

// How many threads a caller may have: at most `asked` (0: any number) of those that OpenMP would give the
// calling thread, which OMP_NUM_THREADS and threadpoolctl decide.
int thread_limit(int asked);

// How many of `limit` threads a phase of `work` multiply-adds is worth, `units` at most. The environment
// variable GDFAST_FORCE_THREADS overrules it, for tests.
int threads_for(double work, int64_t units, int limit);

// The same where a parallel region is opened for `work` alone. It begins and ends when the slowest thread
// does, which on a busy machine the operating system may have put aside for milliseconds: so it takes more to
// be worth it.
int threads_for_once(double work, int64_t units, int limit);

// Prepares the next phase; one thread at a time calls it, while no other works. Writes bounds[0 .. threads],
// where units bounds[t] .. bounds[t + 1] are the share of thread t, and returns whether there is a phase at
// all. (It may have no more than kMostUnits.)
using Plan = std::function<bool(int threads, int64_t* bounds)>;
constexpr int64_t kMostUnits = (int64_t{1} << 20) - 1;

// Does one unit. Units of a phase may run in any order, on any thread.
using Work = std::function<void(int64_t unit, int thread)>;

// Runs phase after phase on up to `threads` threads. A thread takes its own share first, for what it last
// touched is near, and then helps out with the others'; a phase is over when its units are done, so nobody
// waits for a thread that the operating system has put aside between two units. Neither may throw, except on
// a single thread. Between units the calling thread asks its present Interruption, if it has one: who passes
// `plan` and `work` sees to it that they soon come to an end once that is requested.
//
// Denormal numbers are flushed to zero meanwhile: deltas and moments that fade away would otherwise slow
// every operation on them. The caller's floating-point state is restored.
void in_phases(int threads, const Plan& plan, const Work& work);

// One phase of `units` equal units, of which some are left out once an interruption is requested.
void in_parallel(int threads, int64_t units, const Work& work);

// Evenly: bounds[t] = units * t / threads.
void divide_evenly(int64_t units, int threads, int64_t* bounds);

}  // namespace gdfast
