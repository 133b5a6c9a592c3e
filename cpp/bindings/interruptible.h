// Work without the GIL that Ctrl-C ends.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>

#include "network/interruption.h"

namespace gdfast {

// Set by any thread to stop the work of those that it is current for, as Ctrl-C stops the main thread's.
using StopFlag = std::atomic<bool>;
inline thread_local const StopFlag* current_stop_flag = nullptr;

// Python calls signal handlers on its main thread only: another one need not wait for the GIL to ask.
inline bool on_main_thread() {
    const auto main = pybind11::module_::import("threading").attr("main_thread")();
    return main.attr("ident").cast<unsigned long>() == PyThread_get_thread_ident();
}

// To be called while there is memory. A thread's first exception takes some, as do its first thread-local
// data: where there is none, glibc ends the process, before any std::bad_alloc.
inline void prepare_thread() {
    thread_local bool prepared = false;
    if (prepared) return;
    try {
        throw Interrupted();
    } catch (const Interrupted&) {
        prepared = true;
    }
}

// Runs `work` without the GIL. Python's signal handlers are called meanwhile, and where one raises, so does
// this, when `work` has come to an end. The current StopFlag raises KeyboardInterrupt.
template <class Work>
void interruptible(Work work) {
    prepare_thread();
    const StopFlag* const flag = current_stop_flag;
    // Work of less than 20 ms never asks, and a thread may call for such work again and again.
    bool interrupted = flag && flag->load();
    if (!interrupted) {
        pybind11::gil_scoped_release released;
        Interruption interruption([elsewhere = false, flag]() mutable {
            if (flag && flag->load()) return true;
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
    if (!interrupted) return;
    if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    throw pybind11::error_already_set();
}

// For work that keeps the GIL: raises where a signal handler does, or the current StopFlag is set.
inline void check_signals() {
    if (current_stop_flag && current_stop_flag->load())
        PyErr_SetNone(PyExc_KeyboardInterrupt);
    else if (PyErr_CheckSignals() == 0)
        return;
    throw pybind11::error_already_set();
}

}  // namespace gdfast
