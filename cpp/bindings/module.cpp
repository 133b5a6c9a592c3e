// gdfast._core
#include <memory>
#include <numeric>
#include <thread>

#include "bindings/arrays.h"
#include "bindings/interruptible.h"
#include "bindings/rules.h"
#include "kernels/dispatch.h"
#include "network/team.h"

#define GDFAST_TEXT_OF(x) #x
#define GDFAST_TEXT(x) GDFAST_TEXT_OF(x)

namespace gdfast {

namespace {

double fma_peak_of(int n_threads, double seconds) {
    if (n_threads < 1)
        throw py::value_error("n_threads must be at least 1, got " + std::to_string(n_threads));
    py::gil_scoped_release released;
    std::vector<double> peaks(static_cast<size_t>(n_threads));
    std::vector<std::thread> threads;
    for (double& peak : peaks) threads.emplace_back([&peak, seconds] { peak = fma_peak(seconds); });
    for (std::thread& thread : threads) thread.join();
    return std::accumulate(peaks.begin(), peaks.end(), 0.0);
}

py::dict build_info() {
    py::dict info;
#if defined(__clang__)
    info["compiler"] = "clang " __clang_version__;
#elif defined(__GNUC__)
    info["compiler"] = "gcc " __VERSION__;
#else
    info["compiler"] = "unknown";
#endif
    info["c++"] = GDFAST_TEXT(__cplusplus);
    info["openmp"] = threading();
    info["pybind11"] = GDFAST_TEXT(PYBIND11_VERSION_MAJOR) "." GDFAST_TEXT(
        PYBIND11_VERSION_MINOR) "." GDFAST_TEXT(PYBIND11_VERSION_PATCH);
    return info;
}

}  // namespace

void register_stop_flag(py::module_& m) {
    py::class_<StopFlag>(m, "StopFlag")
        .def(py::init([] { return std::make_unique<StopFlag>(false); }))
        .def("set", [](StopFlag& self) { self = true; })
        .def("is_set", [](const StopFlag& self) { return self.load(); })
        // Current for the calling thread.
        .def("__enter__", [](const StopFlag& self) { current_stop_flag = &self; })
        .def("__exit__", [](const StopFlag&, const py::args&) { current_stop_flag = nullptr; });
}

void register_module_functions(py::module_& m) {
    m.def("active_isa", active_isa, R"(Return the name of the instruction set in use.

It is the best that the CPU has, chosen when gdfast is imported, or that of the environment variable
``GDFAST_ISA``.

Returns
-------
str
    "avx512", "avx2", "neon" or "generic".

Examples
--------
>>> import gdfast
>>> gdfast.active_isa() in ("avx512", "avx2", "neon", "generic")
True
)");
    m.def("available_isas", [] {
        py::list names;
        for (const std::string& name : available_isas()) names.append(name);
        return names;
    });
    m.def("max_threads", max_threads);
    m.def("startable_threads", [](int threads) {
        constexpr size_t python_needs = size_t{1} << 20;
        return startable_threads(threads, python_needs);
    });
    m.def("prepare_thread", prepare_thread);
    m.def("build_info", build_info);
    m.def("fma_peak", fma_peak_of, py::arg("n_threads"), py::arg("seconds"));
}

}  // namespace gdfast

PYBIND11_MODULE(_core, m) {
    pybind11::module_::import("numpy");  // without it no call would work: fail here
    gdfast::prepare_thread();
    gdfast::choose_isa();
    m.attr("__version__") = GDFAST_VERSION;
    gdfast::register_module_functions(m);
    gdfast::register_capi(m);
    gdfast::register_stop_flag(m);
    gdfast::register_encoding(m);
    gdfast::register_kernels(m);
    gdfast::register_optimizer(m);
    gdfast::register_shuffle(m);
    gdfast::register_trainer(m);
    gdfast::register_sequences(m);
}
