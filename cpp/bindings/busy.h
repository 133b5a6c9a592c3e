// The GIL is released while an object works: a second thread must not come in by the same one.
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace gdfast {

class Busy {
public:
    Busy(std::atomic<bool>& flag, const char* what) : flag_(flag) {
        if (flag_.exchange(true))
            throw std::runtime_error(std::string("this ") + what + " is already at work in another thread");
    }
    ~Busy() { flag_ = false; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

private:
    std::atomic<bool>& flag_;
};

}  // namespace gdfast
