// The table of functions that the capsule holds.
#pragma once

#include <string>

#include "capi/header.h"

namespace gdfast::capi {

extern const gdfast_api kApi;

// A function of gdfast.h by its name. Throws std::invalid_argument where there is none.
const void* function_named(const std::string& name);

}  // namespace gdfast::capi
