// The AVX-512 intrinsics of simd.h on any CPU with AVX2, by SIMDe: for tests of the AVX-512 kernels, their
// arithmetic and their layouts, on a machine without AVX-512 (GDFAST_EMULATE_AVX512 in cpp/CMakeLists.txt).
#pragma once

#include <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

namespace {

// Loads and stores of the first lanes, of which not every version of SIMDe has all. Other lanes' memory is
// not touched.
template <class V, class T>
inline V load_masked(unsigned mask, const T* p) {
    T lanes[sizeof(V) / sizeof(T)] = {};
    for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i)
        if (mask >> i & 1) lanes[i] = p[i];
    V v;
    __builtin_memcpy(&v, lanes, sizeof v);
    return v;
}
template <class V, class T>
inline void store_masked(T* p, unsigned mask, V v) {
    T lanes[sizeof(V) / sizeof(T)];
    __builtin_memcpy(lanes, &v, sizeof v);
    for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i)
        if (mask >> i & 1) p[i] = lanes[i];
}

}  // namespace

#undef _mm512_maskz_loadu_ps
#undef _mm512_maskz_loadu_pd
#undef _mm512_mask_storeu_ps
#undef _mm512_mask_storeu_pd
#define _mm512_maskz_loadu_ps(mask, p) load_masked<simde__m512>(mask, p)
#define _mm512_maskz_loadu_pd(mask, p) load_masked<simde__m512d>(mask, p)
#define _mm512_mask_storeu_ps(p, mask, v) store_masked(p, mask, v)
#define _mm512_mask_storeu_pd(p, mask, v) store_masked(p, mask, v)

#define __AVX512F__ 1  // what simd.h asks for
