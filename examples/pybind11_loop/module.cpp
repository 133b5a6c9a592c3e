// The Python module: the only file that imports gdfast, for all files of the module.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <gdfast.h>

#include "walk.h"

namespace py = pybind11;

namespace {

using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;

Array learnt_values(const Array& places, std::int64_t walks, double lr, std::int64_t hidden,
                    std::uint64_t seed) {
    Array out(places.size());
    const double* from = places.data();
    double* to = out.mutable_data();
    const std::int64_t n = places.size();
    const py::gil_scoped_release released;
    Network network(hidden, seed);
    learn_values(network, walks, lr, seed);
    values(network, from, n, to);
    return out;
}

}  // namespace

PYBIND11_MODULE(random_walk, m) {
    if (gdfast_import() < 0) throw py::error_already_set();
    m.def("learnt_values", learnt_values, py::arg("places"), py::arg("walks") = 3000, py::arg("lr") = 0.02,
          py::arg("hidden") = 32, py::arg("seed") = 0, "Values of places of a random walk, learnt by TD(0).");
}
