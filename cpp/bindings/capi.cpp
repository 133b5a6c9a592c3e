// The functions for compiled code, as Python hands them over.
#include "capi/api.h"

#include "bindings/arrays.h"

namespace gdfast {

void register_capi(py::module_& m) {
    m.attr("_C_API") = py::capsule(&capi::kApi, GDFAST_CAPSULE);
    m.def(
        "function_address",
        [](const std::string& name) { return reinterpret_cast<uintptr_t>(capi::function_named(name)); },
        py::arg("name"));
}

}  // namespace gdfast
