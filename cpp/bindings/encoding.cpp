// The encoding of tables.
#include "bindings/encoding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bindings/arrays.h"
#include "bindings/interruptible.h"

namespace gdfast {

namespace {

// `columns` holds a tuple for each column: (clipped, flagged, edges), (categories, binary) or, embedded,
// (categories, binary, inputs).
template <class T>
Encoding<T> encoding_of(const py::sequence& columns) {
    std::vector<Column<T>> found;
    for (const py::object entry : columns) {
        const auto fields = py::cast<py::tuple>(entry);
        Column<T> column;
        if (fields.size() == 3 && py::isinstance<py::int_>(fields[2])) {
            column.categories = py::cast<int64_t>(fields[0]);
            column.embedding = py::cast<int64_t>(fields[2]);
            if (column.categories < 1 || column.embedding < 1)
                throw py::value_error("an embedded column must have at least one category and one input");
        } else if (fields.size() == 3) {
            column.clipped = py::cast<bool>(fields[0]);
            column.flagged = py::cast<bool>(fields[1]);
            const py::array edges = checked_array<double>(fields[2], "edges", Access::read);
            const auto* first = static_cast<const double*>(edges.data());
            for (py::ssize_t i = 0; i < edges.size(); ++i) {
                if (!std::isfinite(first[i]) || (i > 0 && !(first[i] > first[i - 1])))
                    throw py::value_error("edges must be finite and strictly increasing");
                // In float32 edges may be equal, which the encoding allows.
                constexpr double most = std::numeric_limits<T>::max();
                column.edges.push_back(static_cast<T>(std::clamp(first[i], -most, most)));
            }
        } else if (fields.size() == 2) {
            column.categories = py::cast<int64_t>(fields[0]);
            column.binary = py::cast<bool>(fields[1]);
            if (column.categories < 1 || (column.binary && column.categories != 2))
                throw py::value_error("a column must have at least one category, and a binary one two");
        } else {
            throw py::value_error(
                "a column must be (clipped, flagged, edges), (categories, binary) or (categories, binary, "
                "inputs)");
        }
        found.push_back(std::move(column));
    }
    return Encoding<T>(std::move(found));
}

template <class T>
void encode_typed(const AnyEncoding& self, const py::object& table, const py::object& rows,
                  const py::object& out, const py::object& embeddings) {
    const Encoding<T>& encoding = self.of<T>();
    PlainArrays<T> arrays;
    const std::vector<EmbeddingShape> shapes = add_embeddings(embeddings, arrays, Access::read);
    check_embedded(encoding, shapes);
    const std::vector<EmbeddingRows<T>> embedding_rows = rows_of<T>(arrays, shapes);
    const T* from = checked<T>(table, "table", {kAny, encoding.columns()}, Access::read);
    int64_t count = 0;
    const int64_t* order =
        checked_order(rows, "rows", py::reinterpret_borrow<py::array>(table).shape(0), count);
    T* to = checked<T>(out, "out", {count, encoding.inputs()}, Access::write);
    check_apart(out, "out", table, "table");
    if (encoding.inputs() == 0) return;
    interruptible([&] {
        constexpr int64_t piece = 4096;
        for (int64_t first = 0; first < count; first += piece) {
            stop_point();
            const int64_t n = std::min(piece, count - first);
            encoding.encode(n, order ? from : from + first * encoding.columns(),
                            order ? order + first : nullptr, embedding_rows.data(),
                            to + first * encoding.inputs(), 0, encoding.inputs());
        }
    });
}

void encode(const AnyEncoding& self, const py::object& table, const py::object& out, const py::object& rows,
            const py::object& embeddings) {
    const auto typed = is_float32(table, "table") ? encode_typed<float> : encode_typed<double>;
    typed(self, table, rows, out, held_if_list(embeddings));
}

}  // namespace

void register_encoding(py::module_& m) {
    py::class_<AnyEncoding>(m, "Encoding")
        .def(py::init([](const py::sequence& columns) {
                 return AnyEncoding{encoding_of<float>(columns), encoding_of<double>(columns)};
             }),
             py::arg("columns"))
        .def_property_readonly("n_inputs", [](const AnyEncoding& self) { return self.of<double>().inputs(); })
        .def("encode", &encode, py::arg("table"), py::arg("out"), py::arg("rows") = py::none(),
             py::arg("embeddings") = py::none());
}

}  // namespace gdfast
