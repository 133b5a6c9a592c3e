// A caller's pointers, checked before anything is read or written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace gdfast::capi {

// What errors call an argument; one in a list has a number.
inline std::string text(const char* name, int index) {
    return index < 0 ? name : name + ("[" + std::to_string(index) + "]");
}

// Where an array is.
struct Extent {
    const char *first, *last, *name;
    int index;
};

[[noreturn, gnu::cold]] void refuse_pointer(const void* data, size_t alignment, const char* name, int index);
[[noreturn, gnu::cold]] void refuse_shared(const Extent& written, const Extent& other);

// The arrays of one call. A call may take as long as twenty additions: nothing is allocated or copied.
class Extents {
public:
    // With memory for all of them.
    explicit Extents(Extent* memory) : extents_(memory) {}

    // Throws std::invalid_argument where there is no array, or not where a T may be.
    template <class T>
    void add(const T* data, int64_t count, const char* name, int index = -1) {
        if (!data || reinterpret_cast<uintptr_t>(data) % alignof(T) != 0)
            refuse_pointer(data, alignof(T), name, index);
        Extent& extent = extents_[count_++];
        extent.first = reinterpret_cast<const char*>(data);
        extent.last = reinterpret_cast<const char*>(data + count);
        extent.name = name;
        extent.index = index;
    }
    size_t count() const { return count_; }

    // Throws std::invalid_argument where one of the first `written` arrays shares memory with another one.
    void check_apart(size_t written) const {
        for (size_t i = 0; i < written; ++i)
            for (size_t j = i + 1; j < count_; ++j)
                if (extents_[i].first < extents_[j].last && extents_[j].first < extents_[i].last)
                    refuse_shared(extents_[i], extents_[j]);
    }

private:
    Extent* const extents_;
    size_t count_ = 0;
};

// Throws std::invalid_argument where so many elements, of 8 bytes at most, could not be in memory.
inline void check_count(int64_t count, int64_t least, const char* name, int index = -1) {
    if (count < least || count > std::numeric_limits<int64_t>::max() / 16)
        throw std::invalid_argument(text(name, index) + " must be at least " + std::to_string(least) +
                                    " and fit into memory, got " + std::to_string(count));
}

}  // namespace gdfast::capi
