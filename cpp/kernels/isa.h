// The tables that one isa_*.cpp exports to the dispatcher.
#pragma once

#include "kernels/kernels.h"

namespace gdfast {

struct IsaTables {
    const KernelTable<float>* f32;
    const KernelTable<double>* f64;
    double (*fma_burst)(int64_t repeats);  // returns the number of operations
};

extern const IsaTables kGenericTables, kAvx2Tables, kAvx512Tables, kNeonTables;

}  // namespace gdfast
