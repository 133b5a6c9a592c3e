// A team of threads that runs phases of work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace gdfast {

// The number of threads that OpenMP would give the calling thread; 1 in a build without threads.
int max_threads();

// The number of threads, the calling one included and at most `threads`, that the system lets run at once,
// each with `bytes_each` of memory, which a limit may prevent. Tries, and gives everything back.
int startable_threads(int threads, size_t bytes_each);

// A description of the threading library of this build.
const char* threading();

// The number of threads that a caller may use: at most `asked` (0: no limit), and at most the number that
// OpenMP would give the calling thread, which OMP_NUM_THREADS and threadpoolctl set.
int thread_limit(int asked);

// The number of threads that pays off for a phase of `work` multiply-adds, `limit` and `units` at most. The
// environment variable GDFAST_FORCE_THREADS overrides it, for tests.
int threads_for(double work, int64_t units, int limit);

// The same for a parallel region that is opened for `work` only. A region begins and ends with its slowest
// thread, which the operating system of a busy machine may have descheduled for milliseconds. It therefore
// needs more work to pay off.
int threads_for_once(double work, int64_t units, int limit);

// Prepares the next phase. It is called by one thread while no other works. It writes bounds[0 .. threads],
// where units bounds[t] .. bounds[t + 1] are the share of thread t, and returns false if there is no
// further phase. A phase has at most kMostUnits units.
using Plan = std::function<bool(int threads, int64_t* bounds)>;
constexpr int64_t kMostUnits = (int64_t{1} << 20) - 1;

// Does one unit. Units of a phase may run in any order, on any thread.
using Work = std::function<void(int64_t unit, int thread)>;

// Runs phase after phase on up to `threads` threads. A thread does its own share first, because its caches
// have the data, and then units of other shares. A phase ends when its units are done, so that no thread
// waits for one that the operating system has descheduled between two units. The first exception of `plan`
// or `work` is thrown again when all threads have ended; units that had not begun are skipped. Between units
// the calling thread checks its current Interruption, if any; `plan` and `work` must end soon once it is
// requested. Where the system refuses threads, there are fewer.
//
// Denormal numbers are flushed to zero meanwhile: vanishing deltas and moments would otherwise slow every
// operation on them. The caller's floating-point state is restored.
void in_phases(int threads, const Plan& plan, const Work& work);

// Runs one phase of `units` equal units. Units are skipped once an interruption is requested.
void in_parallel(int threads, int64_t units, const Work& work);

// Sets bounds[t] = units * t / threads.
void divide_evenly(int64_t units, int threads, int64_t* bounds);

}  // namespace gdfast
