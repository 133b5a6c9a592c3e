// An allocator that fails: operator new of this binary throws at one allocation, counted from now on.
#pragma once

#include <cstdint>

namespace gdfast::check {

class FailingAllocation {
public:
    // Allocation number `number`, from 0, on whatever thread.
    explicit FailingAllocation(int64_t number);
    ~FailingAllocation();
    FailingAllocation(const FailingAllocation&) = delete;
    FailingAllocation& operator=(const FailingAllocation&) = delete;

    bool has_failed() const;
};

}  // namespace gdfast::check
