// NumPy arrays to pointers, checked: whatever a caller passes, the kernels see memory that is there.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/kernels.h"
#include "network/parameters.h"
#include "network/rows.h"
#include "training/batch.h"

namespace gdfast {

namespace py = pybind11;

// The size of a dimension that is not prescribed.
constexpr int64_t kAny = -1;

enum class Access { read, write };

// What an argument is called in errors. Put into words only when there is one: a call may take a microsecond.
class Name {
public:
    Name(const char* text) : text_(text) {}
    Name(const std::string& text) : text_(text.c_str()) {}
    Name(const char* list, size_t index) : text_(list), index_(static_cast<int64_t>(index)) {}
    std::string str() const { return index_ < 0 ? text_ : text_ + ("[" + std::to_string(index_) + "]"); }

private:
    const char* text_;
    int64_t index_ = -1;
};

using Shape = std::initializer_list<int64_t>;

// `object` as a C-contiguous, aligned array of exactly this type; never converts, never copies. Raises
// TypeError or ValueError that name the argument.
template <class T>
py::array checked_array(py::handle object, const Name& name, Access access);

// Likewise, of this shape.
template <class T>
T* checked(py::handle object, const Name& name, Shape shape, Access access);

// Likewise, of the same shape as `like`.
template <class T>
T* checked_like(const py::array& like, py::handle object, const Name& name, Access access);

// A Python number as a C++ one, or a TypeError that names it.
template <class Number>
Number checked_number(py::handle object, const Name& name) {
    try {
        return py::cast<Number>(object);
    } catch (const py::cast_error&) {
        const char* what = std::is_integral_v<Number> ? " must be an integer of 64 bits, got "
                                                      : " must be a number that a double can hold, got ";
        throw py::type_error(name.str() + what + py::cast<std::string>(py::repr(object)));
    }
}

// float32 or float64, the type of all arrays of one call: that of `object`.
bool is_float32(py::handle object, const Name& name);

// A matrix of rows: a dense array, the triple (data, indices, indptr) of a CSR matrix of `columns`, or the
// pair (table, encoding) of a dense array and an Encoding with as many inputs.
template <class T>
Rows<T> checked_rows(py::handle object, const Name& name, int64_t columns);

// Row numbers, each in [0, rows); None gives null. `count` receives how many rows there are to take.
const int64_t* checked_order(py::handle object, const Name& name, int64_t rows, int64_t& count);

// Weights and biases that fit one another, and the sizes of the layers they make.
template <class T>
struct Network {
    PlainArrays<T> arrays;
    std::vector<int64_t> units;
};
template <class T>
Network<T> checked_network(const py::sequence& coefs, const py::sequence& intercepts, const char* coefs_name,
                           const char* intercepts_name, Access access);

// Adds what batch normalisation needs to a network: None, or a list with one entry for each hidden layer,
// None or a tuple (gamma, beta, mean, variance) of arrays of shape (out,). Returns which layers are
// normalised.
template <class T>
std::vector<bool> add_norms(py::handle norms, Network<T>& network, Access access);

// Adds the arrays of embedded columns to a network's: None, or a list of matrices. Returns their shapes.
template <class T>
std::vector<EmbeddingShape> add_embeddings(py::handle embeddings, PlainArrays<T>& arrays, Access access);

// Raises ValueError where an encoding's embedded columns are not of these shapes.
template <class T>
void check_embedded(const Encoding<T>& encoding, const std::vector<EmbeddingShape>& shapes);

// Plain arrays of these shapes, as rows are encoded with them.
template <class T>
std::vector<EmbeddingRows<T>> rows_of(const PlainArrays<T>& arrays,
                                      const std::vector<EmbeddingShape>& shapes);

// References of our own to a list's items: another thread may change the list while the GIL is released.
inline py::tuple held(const py::sequence& items) { return py::tuple(items); }
inline py::object held_if_list(const py::object& items) {
    return py::isinstance<py::list>(items) ? py::object(py::tuple(items)) : items;
}

// A network's arrays as a caller has handed them over: references of our own, for lists and arrays stay the
// caller's to change. So every use checks them again, and takes all sizes from the network's spec.
template <class T>
class CallerArrays {
public:
    CallerArrays(const py::sequence& coefs, const py::sequence& intercepts, const py::object& norms,
                 const py::object& embeddings)
        : coefs_(coefs),
          intercepts_(intercepts),
          norms_(py::isinstance<py::sequence>(norms) ? py::tuple(norms) : py::tuple()),
          embeddings_(py::isinstance<py::sequence>(embeddings) ? py::tuple(embeddings) : py::tuple()) {}
    // Raises where an array is no longer what it was.
    PlainArrays<T> of(const Spec& spec) const;

private:
    const py::tuple coefs_, intercepts_, norms_, embeddings_;
};

template <class T>
Targets<T> checked_targets(py::handle y, Loss loss, int64_t rows, int64_t outputs);

// The memory of an array and, of a tuple, of each array in it.
struct Span {
    const char *first, *last;
    Name name;
};
void add_spans(py::handle arrays, const Name& name, std::vector<Span>& spans);
// Raises ValueError where memory that is written is shared with memory that is read.
void check_apart(const Span& written, const Span& read);

// Raises ValueError where an array that is written shares memory with one that is read.
void check_apart(py::handle written, const Name& name, py::handle read, const Name& other);

// One for each of `hidden` layers: a name, or a pair of name and parameter.
std::vector<ActivationFunction> activations_named(const py::sequence& entries, size_t hidden);
Output output_named(const std::string& name);
Cell cell_named(const std::string& name);
// A name, or a pair of name and parameters, for a network of so many outputs.
template <class T>
LossFunction<T> loss_named(const py::object& entry, int64_t outputs);

void register_capi(py::module_& m);
void register_encoding(py::module_& m);
void register_module_functions(py::module_& m);
void register_kernels(py::module_& m);
void register_sequences(py::module_& m);
void register_stop_flag(py::module_& m);
void register_shuffle(py::module_& m);
void register_trainer(py::module_& m);

}  // namespace gdfast
