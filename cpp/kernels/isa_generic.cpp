// Any CPU. GDFAST_VECTOR_BYTES comes from the build: 16 except where the wide layouts are to be tested on a
// machine without wide registers.
#define GDFAST_TABLE kGenericTables
#include "kernels/table.inl.h"
