#include "failing.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> left{-1};  // allocations until one fails; below zero none does
std::atomic<bool> failed{false};

void* allocate(size_t bytes, size_t alignment) {
    if (left.load(std::memory_order_relaxed) >= 0 && left.fetch_sub(1) == 0) {
        failed = true;
        throw std::bad_alloc();
    }
    bytes = (bytes + alignment - 1) / alignment * alignment;
    void* const memory = std::aligned_alloc(alignment, bytes ? bytes : alignment);
    if (!memory) throw std::bad_alloc();
    return memory;
}

}  // namespace

// The other forms call these.
void* operator new(size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
    return allocate(bytes, static_cast<size_t>(alignment));
}
// These call them in libstdc++, but not in AddressSanitizer's runtime.
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
    try {
        return allocate(bytes, alignof(std::max_align_t));
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    try {
        return allocate(bytes, static_cast<size_t>(alignment));
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace gdfast::check {

FailingAllocation::FailingAllocation(int64_t number) {
    failed = false;
    left = number;
}
FailingAllocation::~FailingAllocation() { left = -1; }
bool FailingAllocation::has_failed() const { return failed; }

}  // namespace gdfast::check
