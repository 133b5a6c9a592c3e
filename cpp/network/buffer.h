// Zeroed memory, aligned to a cache line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "network/interruption.h"

namespace gdfast {

// a * b, checked for overflow because sizes come from the user. Throws std::length_error.
inline int64_t checked_product(int64_t a, int64_t b) {
    int64_t result;
    if (__builtin_mul_overflow(a, b, &result) || result > std::numeric_limits<int64_t>::max() / 64)
        throw std::length_error("these sizes need more memory than can be addressed");
    return result;
}

// a / b rounded up, for any sizes: a + b - 1 could overflow.
inline int64_t divided_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(int64_t size) : size_(size) {
        if (size == 0) return;
        const size_t huge_page = size_t{1} << 21;
        const size_t wanted = static_cast<size_t>(checked_product(size, sizeof(T)));
        const size_t line = wanted >= huge_page ? huge_page : 64;
        const size_t bytes = (wanted + line - 1) / line * line;
        // Aligned here: for small sizes malloc's own aligned blocks take several times as long.
        block_ = ::operator new(bytes + line, std::nothrow);  // else ASan ends the process
        if (!block_) throw std::bad_alloc();
        data_ = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(block_) + line - 1) / line * line);
#if defined(__linux__)
        // Panels of wide layers are far apart: huge pages need fewer entries of the TLB.
        if (line == huge_page) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
        try {
            zero(bytes);
        } catch (...) {
            release();
            throw;
        }
    }
    ~Buffer() { release(); }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    T* data() const { return data_; }
    int64_t size() const { return size_; }

private:
    // Zeroes piece by piece with stop points between: the page faults of a large buffer take seconds.
    void zero(size_t bytes) {
        constexpr size_t piece = size_t{1} << 25;
        for (size_t done = 0; done < bytes; done += piece) {
            if (done) stop_point();
            std::memset(reinterpret_cast<char*>(data_) + done, 0,
                        bytes - done < piece ? bytes - done : piece);
        }
    }
    void release() { ::operator delete(block_); }
    void swap(Buffer& other) {
        std::swap(block_, other.block_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }
    void* block_ = nullptr;
    T* data_ = nullptr;
    int64_t size_ = 0;
};

}  // namespace gdfast
