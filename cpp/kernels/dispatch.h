// Chooses the kernels once, when the extension is loaded.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gdfast {

// The table of the ISA in use.
template <class T>
const KernelTable<T>& kernels();

const char* active_isa();
// The compiled ISAs that this CPU and operating system can run, the best one first.
std::vector<std::string> available_isas();
// Chooses the ISA named by GDFAST_ISA, or the best one. Throws std::runtime_error if it cannot run here.
void choose_isa();

// Floating-point operations per second of one core: independent fused multiply-adds in registers.
double fma_peak(double seconds);

}  // namespace gdfast
