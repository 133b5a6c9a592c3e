// Whether denormal numbers are kept or flushed to zero on this thread.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gdfast {

enum class Denormals { keep, flush };

// Sets the mode of this thread; the destructor restores the mode before.
class DenormalMode {
public:
#if defined(__x86_64__)
    explicit DenormalMode(Denormals mode) : saved_(_mm_getcsr()) {
        constexpr unsigned flags = 0x8040;  // flush results, take operands as zero
        _mm_setcsr(mode == Denormals::flush ? saved_ | flags : saved_ & ~flags);
    }
    ~DenormalMode() { _mm_setcsr(saved_); }

private:
    unsigned saved_;
#elif defined(__aarch64__)
    explicit DenormalMode(Denormals mode) {
        constexpr uint64_t flag = uint64_t{1} << 24;
        __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
        const uint64_t wanted = mode == Denormals::flush ? saved_ | flag : saved_ & ~flag;
        __asm__ volatile("msr fpcr, %0" : : "r"(wanted));
    }
    ~DenormalMode() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

private:
    uint64_t saved_;
#else
    explicit DenormalMode(Denormals) {}
#endif
};

}  // namespace gdfast
