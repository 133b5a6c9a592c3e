// What the functions of gdfast.h return, and the sentence that goes with it.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "capi/header.h"

namespace gdfast::capi {

// A handle that another thread is at work with.
struct InUse : std::exception {
    const char* what() const noexcept override {
        return "another thread is at work with this gdfast_mlp: make one for each thread";
    }
};

// Of the calling thread.
const char* last_error();
// Keeps the sentence, and returns the status.
int failed(int status, const char* sentence);

inline void require(bool met, const char* sentence) {
    if (!met) throw std::invalid_argument(sentence);
}

// Runs the body; no exception leaves it.
template <class Body>
int guarded(Body&& body) noexcept {
    try {
        body();
        return GDFAST_OK;
    } catch (const std::invalid_argument& error) {
        return failed(GDFAST_INVALID_ARGUMENT, error.what());
    } catch (const InUse& error) {
        return failed(GDFAST_IN_USE, error.what());
    } catch (const std::length_error& error) {
        return failed(GDFAST_OUT_OF_MEMORY, error.what());
    } catch (const std::bad_alloc&) {
        return failed(GDFAST_OUT_OF_MEMORY, "there is not enough memory");
    } catch (const std::exception& error) {
        return failed(GDFAST_INTERNAL_ERROR, error.what());
    } catch (...) {
        return failed(GDFAST_INTERNAL_ERROR, "an unknown error");
    }
}

}  // namespace gdfast::capi
