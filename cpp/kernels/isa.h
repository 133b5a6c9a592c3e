// What one isa_*.cpp hands to the dispatcher.
#pragma once

#include "kernels/kernels.h"

namespace gdfast {

struct IsaTables {
    const KernelTable<float>* f32;
    const KernelTable<double>* f64;
    double (*fma_burst)(int64_t repeats);  // returns the operations done
};

extern const IsaTables kGenericTables, kAvx2Tables, kAvx512Tables;

}  // namespace gdfast
