// AVX-512 F, DQ, BW and VL: called only where the CPU and the operating system have them.
#if defined(GDFAST_EMULATE_AVX512)
#include "kernels/emulated_avx512.h"
#endif
#define GDFAST_TABLE kAvx512Tables
#define GDFAST_VECTOR_BYTES 64
#include "kernels/table.inl.h"
