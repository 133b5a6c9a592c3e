// Work without the GIL that Ctrl-C ends.
#pragma once

#include <pybind11/pybind11.h>

#include "network/interruption.h"

namespace gdfast {

// Runs `work` without the GIL. Python's signal handlers are called meanwhile, and where one raises, so does
// this, when `work` has come to an end.
template <class Work>
void interruptible(Work work) {
    bool interrupted;
    {
        pybind11::gil_scoped_release released;
        Interruption interruption([] {
            pybind11::gil_scoped_acquire acquired;
            return PyErr_CheckSignals() != 0;
        });
        try {
            work();
        } catch (const Interrupted&) {
        }
        interrupted = interruption.requested();
    }
    if (interrupted) throw pybind11::error_already_set();
}

}  // namespace gdfast
