// Work without the GIL that Ctrl-C ends.
#pragma once

#include <pybind11/pybind11.h>

#include "network/interruption.h"

namespace gdfast {

// Python calls signal handlers on its main thread only: another one need not wait for the GIL to ask.
inline bool on_main_thread() {
    const auto main = pybind11::module_::import("threading").attr("main_thread")();
    return main.attr("ident").cast<unsigned long>() == PyThread_get_thread_ident();
}

// Runs `work` without the GIL. Python's signal handlers are called meanwhile, and where one raises, so does
// this, when `work` has come to an end.
template <class Work>
void interruptible(Work work) {
    bool interrupted;
    {
        pybind11::gil_scoped_release released;
        Interruption interruption([elsewhere = false]() mutable {
            if (elsewhere) return false;
            pybind11::gil_scoped_acquire acquired;
            try {
                elsewhere = !on_main_thread();
            } catch (pybind11::error_already_set& error) {  // Python's code, too, lets handlers run
                error.restore();
                return true;
            }
            return !elsewhere && PyErr_CheckSignals() != 0;
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
