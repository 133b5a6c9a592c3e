#include <algorithm>

#include "check.h"
#include "kernels/dispatch.h"

namespace gdfast {

using check::Environment;

TEST(dispatch, the_best_one_without_a_wish) {
    for (const char* no_wish : {static_cast<const char*>(nullptr), ""}) {
        const Environment environment("GDFAST_ISA", no_wish);
        choose_isa();
        CHECK(active_isa() == available_isas().front());
    }
    CHECK(available_isas().back() == "generic");
}

TEST(dispatch, gdfast_isa_overrules) {
    for (const std::string& isa : available_isas()) {
        {
            const Environment environment("GDFAST_ISA", isa.c_str());
            choose_isa();
        }
        CHECK(active_isa() == isa);
        // A panel is two vectors, or four narrow ones, and a vector as many bytes in either type.
        const int vectors = isa == "neon" ? 4 : 2;
        CHECK(kernels<float>().panel == vectors * kernels<float>().lanes);
        CHECK(kernels<double>().panel == vectors * kernels<double>().lanes);
        CHECK(kernels<float>().lanes == 2 * kernels<double>().lanes);
    }
    choose_isa();
}

#if defined(__x86_64__) && !defined(_MSC_VER)
// The compiler's own look at the CPU finds the same.
TEST(dispatch, what_the_cpu_has) {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    const auto has = [](const char* name) {
        const auto names = available_isas();
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (available_isas().size() == 1) return;  // a build with the generic kernels alone
    CHECK(has("avx2") == avx2);
#if defined(GDFAST_EMULATE_AVX512)
    CHECK(has("avx512") == avx2);
#else
    CHECK(has("avx512") == avx512);
#endif
}
#endif

TEST(dispatch, an_unknown_one_is_refused) {
    choose_isa();
    const std::string before = active_isa();
    for (const char* wanted : {"sse9", "AVX2", "avx2,generic", "generic "}) {
        const Environment environment("GDFAST_ISA", wanted);
        const std::string message = check::thrown_by(choose_isa);
        CHECK(message.find(std::string("GDFAST_ISA=") + wanted) == 0);
        for (const std::string& isa : available_isas()) CHECK(message.find(isa) != message.npos);
        CHECK(active_isa() == before);
    }
}

}  // namespace gdfast
