// The vector type of each ISA: the only file with intrinsics. It is included by isa_*.cpp only, which
// define GDFAST_VECTOR_BYTES. Everything here has internal linkage, so that no copy compiled for one ISA
// can be linked to callers of another.
//
// Arithmetic and comparisons use the compiler's vector types. Operations without portable syntax (fused
// multiply-add, square root, partial loads) are functions with one body per ISA.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(GDFAST_NEON)
#include <arm_neon.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

typedef float VecF __attribute__((vector_size(GDFAST_VECTOR_BYTES)));
typedef double VecD __attribute__((vector_size(GDFAST_VECTOR_BYTES)));
typedef int32_t IntF __attribute__((vector_size(GDFAST_VECTOR_BYTES)));
typedef int64_t IntD __attribute__((vector_size(GDFAST_VECTOR_BYTES)));
typedef float VecFAny __attribute__((vector_size(GDFAST_VECTOR_BYTES), aligned(4), may_alias));
typedef double VecDAny __attribute__((vector_size(GDFAST_VECTOR_BYTES), aligned(8), may_alias));

typedef uint32_t Words __attribute__((vector_size(GDFAST_VECTOR_BYTES)));
typedef uint64_t LongWords __attribute__((vector_size(GDFAST_VECTOR_BYTES)));

template <class T>
struct Simd;

template <>
struct Simd<float> {
    using V = VecF;
    using I = IntF;
    using U = Words;
    static constexpr int lanes = GDFAST_VECTOR_BYTES / 4;
    static constexpr int mantissa_bits = 23, exponent_bias = 127;
    static constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
};

template <>
struct Simd<double> {
    using V = VecD;
    using I = IntD;
    using U = LongWords;
    static constexpr int lanes = GDFAST_VECTOR_BYTES / 8;
    static constexpr int mantissa_bits = 52, exponent_bias = 1023;
    static constexpr double round_magic = 6755399441055744.0;  // 1.5 * 2^52
};

template <class T>
using Vec = typename Simd<T>::V;
template <class T>
using Int = typename Simd<T>::I;
template <class T>
using Unsigned = typename Simd<T>::U;

// The vectors of a panel's row, and the rows of a tile of `vectors` vectors: as many sums as leave just
// enough registers for the operands. Where a lane of a vector can be a factor, a tile has a register of
// factors for each of its rows, and one for each vector of the other matrix; one of the 32 is left to the
// compiler.
#if defined(GDFAST_NEON)
constexpr int kPanelVectors = 4, kRegisters = 31;
constexpr bool kLaneFactors = true;
template <int vectors>
constexpr int kTileRows = (kRegisters - vectors) / (vectors + 1);
#else
constexpr int kPanelVectors = 2;
constexpr bool kLaneFactors = false;
#if defined(__AVX512F__)
template <int vectors>
constexpr int kTileRows = 14;
#else
template <int vectors>
constexpr int kTileRows = vectors == 1 ? 12 : 6;
#endif
#endif
template <class T>
constexpr int kPanel = kPanelVectors * Simd<T>::lanes;

// Whether fma() rounds once: every target that has the instruction tells it in one of these ways.
#if defined(__FMA__) || defined(__AVX2__) || defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA) || \
    defined(__VSX__) || defined(__s390x__) || (defined(__riscv_flen) && __riscv_flen >= 64)
#define GDFAST_FUSED
#endif

// a b + c of one element, with the rounding of the vectors' fma().
#if defined(GDFAST_FUSED)
inline float fma_lane(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma_lane(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
inline float fma_lane(float a, float b, float c) { return a * b + c; }
inline double fma_lane(double a, double b, double c) { return a * b + c; }
#endif

inline VecF load(const float* p) { return *reinterpret_cast<const VecFAny*>(p); }
inline VecD load(const double* p) { return *reinterpret_cast<const VecDAny*>(p); }
inline void store(float* p, VecF v) { *reinterpret_cast<VecFAny*>(p) = v; }
inline void store(double* p, VecD v) { *reinterpret_cast<VecDAny*>(p) = v; }

#if defined(__AVX512F__) && GDFAST_VECTOR_BYTES == 64

inline VecF broadcast(float x) { return (VecF)_mm512_set1_ps(x); }
inline VecD broadcast(double x) { return (VecD)_mm512_set1_pd(x); }
inline VecF fma(VecF a, VecF b, VecF c) { return (VecF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
inline VecD fma(VecD a, VecD b, VecD c) { return (VecD)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
inline VecF sqrt(VecF a) { return (VecF)_mm512_sqrt_ps((__m512)a); }
inline VecD sqrt(VecD a) { return (VecD)_mm512_sqrt_pd((__m512d)a); }
// The second operand where either is NaN.
inline VecF max(VecF a, VecF b) { return (VecF)_mm512_max_ps((__m512)a, (__m512)b); }
inline VecD max(VecD a, VecD b) { return (VecD)_mm512_max_pd((__m512d)a, (__m512d)b); }
inline VecF min(VecF a, VecF b) { return (VecF)_mm512_min_ps((__m512)a, (__m512)b); }
inline VecD min(VecD a, VecD b) { return (VecD)_mm512_min_pd((__m512d)a, (__m512d)b); }
inline VecF load_part(const float* p, int n) {
    return (VecF)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
}
inline VecD load_part(const double* p, int n) {
    return (VecD)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1u), p);
}
inline void store_part(float* p, VecF v, int n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v);
}
inline void store_part(double* p, VecD v, int n) {
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1u), (__m512d)v);
}

#elif defined(__AVX2__) && GDFAST_VECTOR_BYTES == 32

inline VecF broadcast(float x) { return (VecF)_mm256_set1_ps(x); }
inline VecD broadcast(double x) { return (VecD)_mm256_set1_pd(x); }
inline VecF fma(VecF a, VecF b, VecF c) { return (VecF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
inline VecD fma(VecD a, VecD b, VecD c) { return (VecD)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
inline VecF sqrt(VecF a) { return (VecF)_mm256_sqrt_ps((__m256)a); }
inline VecD sqrt(VecD a) { return (VecD)_mm256_sqrt_pd((__m256d)a); }
// The second operand where either is NaN.
inline VecF max(VecF a, VecF b) { return (VecF)_mm256_max_ps((__m256)a, (__m256)b); }
inline VecD max(VecD a, VecD b) { return (VecD)_mm256_max_pd((__m256d)a, (__m256d)b); }
inline VecF min(VecF a, VecF b) { return (VecF)_mm256_min_ps((__m256)a, (__m256)b); }
inline VecD min(VecD a, VecD b) { return (VecD)_mm256_min_pd((__m256d)a, (__m256d)b); }
inline __m256i first_lanes(const float*, int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first_lanes(const double*, int n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
inline VecF load_part(const float* p, int n) { return (VecF)_mm256_maskload_ps(p, first_lanes(p, n)); }
inline VecD load_part(const double* p, int n) { return (VecD)_mm256_maskload_pd(p, first_lanes(p, n)); }
inline void store_part(float* p, VecF v, int n) { _mm256_maskstore_ps(p, first_lanes(p, n), (__m256)v); }
inline void store_part(double* p, VecD v, int n) { _mm256_maskstore_pd(p, first_lanes(p, n), (__m256d)v); }

#elif defined(GDFAST_NEON)

inline VecF broadcast(float x) { return (VecF)vdupq_n_f32(x); }
inline VecD broadcast(double x) { return (VecD)vdupq_n_f64(x); }
inline VecF fma(VecF a, VecF b, VecF c) {
    return (VecF)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
inline VecD fma(VecD a, VecD b, VecD c) {
    return (VecD)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
inline VecF sqrt(VecF a) { return (VecF)vsqrtq_f32((float32x4_t)a); }
inline VecD sqrt(VecD a) { return (VecD)vsqrtq_f64((float64x2_t)a); }
// The second operand where either is NaN: FMAX would give NaN for either, FMAXNM the number.
inline VecF max(VecF a, VecF b) { return a > b ? a : b; }
inline VecD max(VecD a, VecD b) { return a > b ? a : b; }
inline VecF min(VecF a, VecF b) { return a < b ? a : b; }
inline VecD min(VecD a, VecD b) { return a < b ? a : b; }
inline VecF load_part(const float* p, int n) {
    if (n >= 4) return load(p);
    const float32x2_t none = vdup_n_f32(0);
    if (n == 3) return (VecF)vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, none, 0));
    if (n == 2) return (VecF)vcombine_f32(vld1_f32(p), none);
    return n == 1 ? (VecF)vcombine_f32(vld1_lane_f32(p, none, 0), none) : VecF{};
}
inline VecD load_part(const double* p, int n) {
    if (n >= 2) return load(p);
    return n == 1 ? VecD{p[0], 0} : VecD{};
}
inline void store_part(float* p, VecF v, int n) {
    if (n >= 4) return store(p, v);
    if (n >= 2) vst1_f32(p, vget_low_f32((float32x4_t)v));
    if (n == 3) p[2] = v[2];
    if (n == 1) p[0] = v[0];
}
inline void store_part(double* p, VecD v, int n) {
    if (n >= 2) return store(p, v);
    if (n == 1) p[0] = v[0];
}

#else  // any CPU: the compiler's vector types only, which make vectors of the loops over lanes

inline VecF broadcast(float x) { return x - VecF{}; }
inline VecD broadcast(double x) { return x - VecD{}; }
#if defined(GDFAST_FUSED)
inline VecF fma(VecF a, VecF b, VecF c) {
    for (int i = 0; i < Simd<float>::lanes; ++i) c[i] = fma_lane(a[i], b[i], c[i]);
    return c;
}
inline VecD fma(VecD a, VecD b, VecD c) {
    for (int i = 0; i < Simd<double>::lanes; ++i) c[i] = fma_lane(a[i], b[i], c[i]);
    return c;
}
#else
inline VecF fma(VecF a, VecF b, VecF c) { return a * b + c; }
inline VecD fma(VecD a, VecD b, VecD c) { return a * b + c; }
#endif
inline VecF max(VecF a, VecF b) { return a > b ? a : b; }
inline VecD max(VecD a, VecD b) { return a > b ? a : b; }
inline VecF min(VecF a, VecF b) { return a < b ? a : b; }
inline VecD min(VecD a, VecD b) { return a < b ? a : b; }
inline VecF sqrt(VecF a) {
    for (int i = 0; i < Simd<float>::lanes; ++i) a[i] = __builtin_sqrtf(a[i]);
    return a;
}
inline VecD sqrt(VecD a) {
    for (int i = 0; i < Simd<double>::lanes; ++i) a[i] = __builtin_sqrt(a[i]);
    return a;
}
inline VecF load_part(const float* p, int n) {
    VecF v{};
    memcpy(&v, p, sizeof(float) * static_cast<size_t>(n));
    return v;
}
inline VecD load_part(const double* p, int n) {
    VecD v{};
    memcpy(&v, p, sizeof(double) * static_cast<size_t>(n));
    return v;
}
inline void store_part(float* p, VecF v, int n) { memcpy(p, &v, sizeof(float) * static_cast<size_t>(n)); }
inline void store_part(double* p, VecD v, int n) { memcpy(p, &v, sizeof(double) * static_cast<size_t>(n)); }

#endif

// x[lane] b + c
#if defined(GDFAST_NEON)
template <int lane>
inline VecF fma_by_lane(VecF x, VecF b, VecF c) {
    return (VecF)vfmaq_laneq_f32((float32x4_t)c, (float32x4_t)b, (float32x4_t)x, lane);
}
template <int lane>
inline VecD fma_by_lane(VecD x, VecD b, VecD c) {
    return (VecD)vfmaq_laneq_f64((float64x2_t)c, (float64x2_t)b, (float64x2_t)x, lane);
}
#else
template <int lane, class V>
inline V fma_by_lane(V x, V b, V c) {
    return fma(broadcast(x[lane]), b, c);
}
#endif

// Calls body(Lane<0>{}), body(Lane<1>{}), ...: the lane of an instruction is a constant.
template <int lane>
struct Lane {
    static constexpr int number = lane;
};
template <class T, int lane = 0, class Body>
inline __attribute__((always_inline)) void each_lane(const Body& body) {
    body(Lane<lane>{});
    if constexpr (lane + 1 < Simd<T>::lanes) each_lane<T, lane + 1>(body);
}

// Sum and maximum over lanes, always as the same tree: upper half onto lower half.
#if (defined(__AVX512F__) && GDFAST_VECTOR_BYTES == 64) || (defined(__AVX2__) && GDFAST_VECTOR_BYTES == 32)

inline __m128 halves(VecF v, __m128 (*join)(__m128, __m128)) {
#if GDFAST_VECTOR_BYTES == 64
    const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd((__m512)v), 1));
    const __m256 lower = _mm512_castps512_ps256((__m512)v);
    return join(join(_mm256_castps256_ps128(lower), _mm256_castps256_ps128(upper)),
                join(_mm256_extractf128_ps(lower, 1), _mm256_extractf128_ps(upper, 1)));
#else
    return join(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
#endif
}
inline __m128d halves(VecD v, __m128d (*join)(__m128d, __m128d)) {
#if GDFAST_VECTOR_BYTES == 64
    const __m256d upper = _mm512_extractf64x4_pd((__m512d)v, 1), lower = _mm512_castpd512_pd256((__m512d)v);
    return join(join(_mm256_castpd256_pd128(lower), _mm256_castpd256_pd128(upper)),
                join(_mm256_extractf128_pd(lower, 1), _mm256_extractf128_pd(upper, 1)));
#else
    return join(_mm256_castpd256_pd128((__m256d)v), _mm256_extractf128_pd((__m256d)v, 1));
#endif
}
inline float across(VecF v, __m128 (*join)(__m128, __m128)) {
    __m128 x = halves(v, join);
    x = join(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(join(x, _mm_movehdup_ps(x)));
}
inline double across(VecD v, __m128d (*join)(__m128d, __m128d)) {
    const __m128d x = halves(v, join);
    return _mm_cvtsd_f64(join(x, _mm_unpackhi_pd(x, x)));
}
inline __m128 add_quads(__m128 a, __m128 b) { return _mm_add_ps(a, b); }
inline __m128d add_quads(__m128d a, __m128d b) { return _mm_add_pd(a, b); }
inline __m128 max_quads(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
inline __m128d max_quads(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
template <class T>
inline T sum_lanes(Vec<T> v) {
    return across(v, add_quads);
}
template <class T>
inline T max_lanes(Vec<T> v) {
    return across(v, max_quads);
}

#elif defined(GDFAST_NEON)

template <class T>
T sum_lanes(Vec<T> v);
template <>
inline float sum_lanes<float>(VecF v) {
    const float32x2_t half = vadd_f32(vget_low_f32((float32x4_t)v), vget_high_f32((float32x4_t)v));
    return vpadds_f32(half);
}
template <>
inline double sum_lanes<double>(VecD v) {
    return vpaddd_f64((float64x2_t)v);
}
template <class T>
inline T max_lanes(Vec<T> v) {
    for (int half = Simd<T>::lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) v[i] = v[i] > v[i + half] ? v[i] : v[i + half];
    return v[0];
}

#else

template <class T>
inline T sum_lanes(Vec<T> v) {
    for (int half = Simd<T>::lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) v[i] += v[i + half];
    return v[0];
}
template <class T>
inline T max_lanes(Vec<T> v) {
    for (int half = Simd<T>::lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) v[i] = v[i] > v[i + half] ? v[i] : v[i + half];
    return v[0];
}

#endif

// The sum of a panel's vectors, as a tree.
template <class T>
inline Vec<T> sum_vectors(const Vec<T>* v) {
    if constexpr (kPanelVectors == 4) return (v[0] + v[1]) + (v[2] + v[3]);
    return v[0] + v[1];
}

// An integer in every lane, and 0, 1, 2, ... in the lanes.
template <class T>
inline Int<T> whole(int64_t n) {
    using Element = decltype(Int<T>{}[0] + 0);
    return Int<T>{} + static_cast<Element>(n);
}
template <class T>
inline Int<T> lane_numbers() {
    Int<T> index{};
    for (int i = 0; i < Simd<T>::lanes; ++i) index[i] = i;
    return index;
}

template <class T>
inline Int<T> is_negative_zero(Vec<T> v) {
    return (Int<T>)v == (Int<T>)broadcast(T(-0.0));
}

// All ones in the first n lanes.
template <class T>
inline Int<T> lanes_below(int64_t n) {
    return lane_numbers<T>() < whole<T>(n < Simd<T>::lanes ? n : Simd<T>::lanes);
}

// 2^n for integer n within the range of the exponent.
template <class T>
inline Vec<T> power_of_two(Int<T> n) {
    return (Vec<T>)((n + Simd<T>::exponent_bias) << Simd<T>::mantissa_bits);
}

// Transposes a square of floats or doubles: rows are `from` apart in a and `to` apart in b.
#if defined(__AVX2__)

inline void transpose_square(const float* a, int64_t from, float* b, int64_t to) {
    __m256 r[8], t[8];
    for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(a + i * from);
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; ++j) {
            r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
            r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xEE);
        }
    for (int i = 0; i < 4; ++i) {
        _mm256_storeu_ps(b + i * to, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(b + (i + 4) * to, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
inline void transpose_square(const double* a, int64_t from, double* b, int64_t to) {
    __m256d r[4], t[4];
    for (int i = 0; i < 4; ++i) r[i] = _mm256_loadu_pd(a + i * from);
    for (int i = 0; i < 4; i += 2) {
        t[i] = _mm256_unpacklo_pd(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        _mm256_storeu_pd(b + i * to, _mm256_permute2f128_pd(t[i], t[i + 2], 0x20));
        _mm256_storeu_pd(b + (i + 2) * to, _mm256_permute2f128_pd(t[i], t[i + 2], 0x31));
    }
}
constexpr int kSquareBytes = 32;

#elif defined(GDFAST_NEON)

inline void transpose_square(const float* a, int64_t from, float* b, int64_t to) {
    const float32x4_t r0 = vld1q_f32(a), r1 = vld1q_f32(a + from), r2 = vld1q_f32(a + 2 * from),
                      r3 = vld1q_f32(a + 3 * from);
    const float32x4_t t0 = vzip1q_f32(r0, r2), t1 = vzip2q_f32(r0, r2), t2 = vzip1q_f32(r1, r3),
                      t3 = vzip2q_f32(r1, r3);
    vst1q_f32(b, vzip1q_f32(t0, t2));
    vst1q_f32(b + to, vzip2q_f32(t0, t2));
    vst1q_f32(b + 2 * to, vzip1q_f32(t1, t3));
    vst1q_f32(b + 3 * to, vzip2q_f32(t1, t3));
}
inline void transpose_square(const double* a, int64_t from, double* b, int64_t to) {
    const float64x2_t r0 = vld1q_f64(a), r1 = vld1q_f64(a + from);
    vst1q_f64(b, vzip1q_f64(r0, r1));
    vst1q_f64(b + to, vzip2q_f64(r0, r1));
}
constexpr int kSquareBytes = 16;

#else

template <class T>
inline void transpose_square(const T* a, int64_t from, T* b, int64_t to) {
    for (int i = 0; i < Simd<T>::lanes; ++i)
        for (int j = 0; j < Simd<T>::lanes; ++j) b[j * to + i] = a[i * from + j];
}
constexpr int kSquareBytes = GDFAST_VECTOR_BYTES;

#endif

}  // namespace
