// An encoding as Python holds it: immutable, and for both element types.
#pragma once

#include <type_traits>

#include "network/encoding.h"

namespace gdfast {

struct AnyEncoding {
    Encoding<float> float_;
    Encoding<double> double_;

    template <class T>
    const Encoding<T>& of() const {
        if constexpr (std::is_same_v<T, float>)
            return float_;
        else
            return double_;
    }
};

}  // namespace gdfast
