// AVX2 and FMA: compiled with -mavx2 -mfma, called only where the CPU and the operating system have them.
#define GDFAST_TABLE kAvx2Tables
#define GDFAST_VECTOR_BYTES 32
#include "kernels/table.inl.h"
