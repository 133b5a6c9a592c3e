// NumPy's legacy shuffle, bit for bit and from the same stream: an epoch's order is drawn as scikit-learn
// draws it, in half the time.
#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/interruptible.h"

namespace gdfast {

namespace {

// What the capsule of a NumPy BitGenerator points to (numpy/random/bitgen.h).
struct BitGenerator {
    void* state;
    uint64_t (*next_uint64)(void*);
    uint32_t (*next_uint32)(void*);
    double (*next_double)(void*);
    uint64_t (*next_raw)(void*);
};

// Fisher and Yates from the end, each partner drawn by masking and rejecting. Draws come some at a time:
// whether one is rejected is then no branch, and the swaps that wait for memory overlap. After Ctrl-C the
// rows are all there, in some order.
void shuffle_rows(BitGenerator& bits, int64_t* rows, int64_t n) {
    constexpr int64_t most = 64;
    uint32_t partner[most];
    constexpr int64_t between_checks = 1 << 20;
    for (int64_t i = n - 1, next_check = n - between_checks; i > 0;) {
        if (i < next_check) {
            check_signals();
            next_check -= between_checks;
        }
        uint32_t mask = static_cast<uint32_t>(i);
        for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
        const int64_t same_mask = i - static_cast<int64_t>(mask >> 1);  // so many have this mask
        const int64_t count = std::min(most, same_mask);
        for (int64_t k = 0; k < count;) {
            partner[k] = bits.next_uint32(bits.state) & mask;
            k += partner[k] <= static_cast<uint32_t>(i - k);
        }
        for (int64_t k = 0; k < count; ++k, --i) std::swap(rows[i], rows[partner[k]]);
    }
}

void shuffle(const py::capsule& bit_generator, const py::object& rows) {
    if (std::string(bit_generator.name() ? bit_generator.name() : "") != "BitGenerator")
        throw py::type_error("bit_generator must be the capsule of a NumPy BitGenerator");
    int64_t* values = checked<int64_t>(rows, "rows", {kAny}, Access::write);
    const int64_t n = py::reinterpret_borrow<py::array>(rows).size();
    if (n > int64_t{1} << 32) throw py::value_error("rows must be at most 2**32");
    shuffle_rows(*bit_generator.get_pointer<BitGenerator>(), values, n);
}

}  // namespace

void register_shuffle(py::module_& m) {
    m.def("shuffle", shuffle, py::arg("bit_generator"), py::arg("rows"));
}

}  // namespace gdfast
