// NEON, or Advanced SIMD: every CPU with 64-bit ARM has it.
#define GDFAST_TABLE kNeonTables
#define GDFAST_NEON
#define GDFAST_VECTOR_BYTES 16
#include "kernels/table.inl.h"
