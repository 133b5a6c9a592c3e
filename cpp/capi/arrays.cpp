#include "capi/arrays.h"

namespace gdfast::capi {

void refuse_pointer(const void* data, size_t alignment, const char* name, int index) {
    throw std::invalid_argument(text(name, index) +
                                (data ? " must be aligned to " + std::to_string(alignment) + " bytes"
                                      : std::string(" must not be NULL")));
}

void refuse_shared(const Extent& written, const Extent& other) {
    throw std::invalid_argument(text(written.name, written.index) + " must not share memory with " +
                                text(other.name, other.index));
}

}  // namespace gdfast::capi
