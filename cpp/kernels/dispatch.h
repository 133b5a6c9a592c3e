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
// Follows GDFAST_ISA where it is set. Throws std::runtime_error where that names no ISA that can run here.
void choose_isa();

// Floating-point operations per second of one core: independent fused multiply-adds in registers.
double fma_peak(double seconds);

}  // namespace gdfast
