// Compiled for the baseline: this file must run on a CPU without the features that it tests for.
#include "kernels/dispatch.h"

#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include "kernels/isa.h"

#if defined(GDFAST_X86_KERNELS)
#include <cpuid.h>
#endif

namespace gdfast {

namespace {

struct Isa {
    const char* name;
    const IsaTables* tables;
    bool (*runs_here)();
};

bool always() { return true; }

#if defined(GDFAST_X86_KERNELS)
struct Registers {
    unsigned a, b, c, d;
};

Registers cpuid(unsigned leaf) {
    Registers r{};
    __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d);  // zero where the CPU has no such leaf
    return r;
}

// Whether all bits of `bits` are set.
bool has(unsigned word, unsigned bits) { return (word & bits) == bits; }

// Whether the operating system saves these registers; bits of XCR0. (__builtin_cpu_supports() would ask the
// same, but needs a runtime library, which Clang for Windows does not link.)
bool saves(unsigned state) {
    if (!has(cpuid(1).c, bit_OSXSAVE)) return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return has(low, state);
}

bool has_avx2() {
    constexpr unsigned xmm_and_ymm = 0x6;
    return saves(xmm_and_ymm) && has(cpuid(1).c, bit_AVX | bit_FMA) && has(cpuid(7).b, bit_AVX2);
}
#if defined(GDFAST_EMULATE_AVX512)
bool has_avx512() { return has_avx2(); }
#else
bool has_avx512() {
    constexpr unsigned mask_and_zmm = 0xE0;
    return has_avx2() && saves(mask_and_zmm) &&
           has(cpuid(7).b, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL);
}
#endif
const Isa kIsas[] = {{"avx512", &kAvx512Tables, has_avx512},
                     {"avx2", &kAvx2Tables, has_avx2},
                     {"generic", &kGenericTables, always}};
#elif defined(GDFAST_ARM_KERNELS)  // NEON belongs to every aarch64
const Isa kIsas[] = {{"neon", &kNeonTables, always}, {"generic", &kGenericTables, always}};
#else
const Isa kIsas[] = {{"generic", &kGenericTables, always}};
#endif

const Isa* active = nullptr;

std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const Isa& isa : kIsas)
        if (isa.runs_here()) names.emplace_back(isa.name);
    return names;
}

void choose_isa() {
    const char* wanted = std::getenv("GDFAST_ISA");
    for (const Isa& isa : kIsas) {
        if (!isa.runs_here() || (wanted && *wanted && std::string(wanted) != isa.name)) continue;
        active = &isa;
        return;
    }
    throw std::runtime_error("GDFAST_ISA=" + std::string(wanted) +
                             " cannot run here: this machine and build have " + list(available_isas()) +
                             "; unset it to use the best of them");
}

const char* active_isa() { return active->name; }

template <>
const KernelTable<float>& kernels<float>() {
    return *active->tables->f32;
}
template <>
const KernelTable<double>& kernels<double>() {
    return *active->tables->f64;
}

double fma_peak(double seconds) {
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    double operations = 0, elapsed = 0;
    while (elapsed < seconds) {
        operations += active->tables->fma_burst(100000);
        elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
    }
    return operations / elapsed;
}

}  // namespace gdfast
