// The GIL is released while an object works: it refuses a second thread meanwhile.
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace gdfast {

class ExclusiveUse {
public:
    ExclusiveUse(std::atomic<bool>& flag, const char* what) : flag_(flag) {
        if (flag_.exchange(true))
            throw std::runtime_error(std::string("this ") + what + " is already at work in another thread");
    }
    ~ExclusiveUse() { flag_ = false; }
    ExclusiveUse(const ExclusiveUse&) = delete;
    ExclusiveUse& operator=(const ExclusiveUse&) = delete;

private:
    std::atomic<bool>& flag_;
};

}  // namespace gdfast
