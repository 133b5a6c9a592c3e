// A caller's pointers, checked before anything is read or written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace gdfast::capi {

// Names of arguments; those in lists have a number.
struct ArgumentName {
    const char* name;
    int index = -1;
    std::string str() const { return index < 0 ? name : name + ("[" + std::to_string(index) + "]"); }
};

// Where an array is.
struct Extent {
    const char *first, *last;
    ArgumentName name;
};

// Throws std::invalid_argument where there is none, or not where a T may be.
template <class T>
Extent extent(const T* data, int64_t count, ArgumentName name) {
    if (!data) throw std::invalid_argument(name.str() + " must not be NULL");
    if (reinterpret_cast<uintptr_t>(data) % alignof(T) != 0)
        throw std::invalid_argument(name.str() + " must be aligned to " + std::to_string(alignof(T)) +
                                    " bytes");
    return {reinterpret_cast<const char*>(data), reinterpret_cast<const char*>(data + count), name};
}

// Throws std::invalid_argument where an array that is written shares memory with another one.
inline void check_apart(const Extent& written, const Extent& other) {
    if (written.first < other.last && other.first < written.last)
        throw std::invalid_argument(written.name.str() + " must not share memory with " + other.name.str());
}

// The same for each of the first `written`, and all others.
inline void check_all_apart(const Extent* extents, size_t count, size_t written) {
    for (size_t i = 0; i < written; ++i)
        for (size_t j = i + 1; j < count; ++j) check_apart(extents[i], extents[j]);
}

// Throws std::invalid_argument where so many elements, of 8 bytes at most, could not be in memory.
inline void check_count(int64_t count, int64_t least, const char* name) {
    if (count < least || count > std::numeric_limits<int64_t>::max() / 16)
        throw std::invalid_argument(std::string(name) + " must be at least " + std::to_string(least) +
                                    " and fit into memory, got " + std::to_string(count));
}

}  // namespace gdfast::capi
