// Compiled for the baseline: this file must run on a CPU without the features that it tests for.
#include "kernels/dispatch.h"

#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include "kernels/isa.h"

namespace gdfast {

namespace {

struct Isa {
    const char* name;
    const IsaTables* tables;
    bool (*runs_here)();
};

bool always() { return true; }

#if defined(GDFAST_X86_KERNELS)
// __builtin_cpu_supports reads the features of the CPU, and from XCR0 whether the operating system saves the
// registers.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
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
