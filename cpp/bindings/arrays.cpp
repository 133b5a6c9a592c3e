#include "bindings/arrays.h"

#include "bindings/encoding.h"

#include <algorithm>
#include <optional>

#include "training/functions.h"

namespace gdfast {

namespace {

template <class T>
const char* type_name();
template <>
const char* type_name<float>() {
    return "float32";
}
template <>
const char* type_name<double>() {
    return "float64";
}
template <>
const char* type_name<int32_t>() {
    return "int32";
}
template <>
const char* type_name<int64_t>() {
    return "int64";
}

std::string shape_text(const int64_t* shape, size_t ndim) {
    std::string text = "(";
    for (size_t i = 0; i < ndim; ++i) {
        if (i) text += ", ";
        text += shape[i] == kAny ? "any" : std::to_string(shape[i]);
    }
    return text + (ndim == 1 ? ",)" : ")");
}

std::string shape_text(const py::array& a) {
    const std::vector<int64_t> shape(a.shape(), a.shape() + a.ndim());
    return shape_text(shape.data(), shape.size());
}

void check_shape(const py::array& a, const Name& name, const int64_t* shape, size_t ndim) {
    bool fits = static_cast<size_t>(a.ndim()) == ndim;
    for (size_t i = 0; fits && i < ndim; ++i)
        fits = shape[i] == kAny || a.shape(static_cast<py::ssize_t>(i)) == shape[i];
    if (!fits)
        throw py::value_error(name.str() + " must have shape " + shape_text(shape, ndim) + ", got " +
                              shape_text(a));
}

std::string kind_of(py::handle object) {
    return py::cast<std::string>(py::str(py::type::of(object).attr("__name__")));
}

py::array as_array(py::handle object, const Name& name) {
    if (!py::isinstance<py::array>(object))
        throw py::type_error(name.str() + " must be a NumPy array, got " + kind_of(object));
    return py::reinterpret_borrow<py::array>(object);
}

template <class T>
bool has_type(const py::array& a) {
    const py::dtype type = a.dtype(), wanted = py::dtype::of<T>();
    return type.is(wanted) || type.equal(wanted);
}

template <class Index>
void check_csr(const py::array& indices, const py::array& indptr, int64_t rows, int64_t columns,
               int64_t stored, const Name& name) {
    const Index* column = static_cast<const Index*>(indices.data());
    const Index* start = static_cast<const Index*>(indptr.data());
    bool good = start[0] >= 0 && static_cast<int64_t>(start[rows]) <= stored;
    for (int64_t i = 0; good && i < rows; ++i) good = start[i] <= start[i + 1];
    if (!good) throw py::value_error(name.str() + ": indptr must rise from 0 to at most the length of data");
    for (int64_t e = start[0]; good && e < start[rows]; ++e) good = column[e] >= 0 && column[e] < columns;
    if (!good)
        throw py::value_error(name.str() + ": every index must be at least 0 and below " +
                              std::to_string(columns));
}

// What Python calls the entries of an enumeration.
template <class Value>
using Named = std::pair<const char*, Value>;

template <class Value, size_t n>
Value named(const std::string& what, const std::string& name, const Named<Value> (&options)[n]) {
    std::string text;
    for (const auto& option : options) {
        if (name == option.first) return option.second;
        text += (text.empty() ? "'" : ", '") + std::string(option.first) + "'";
    }
    throw py::value_error(what + " must be one of " + text + "; got '" + name + "'");
}

// Whether they are all there, in order.
template <class Value, size_t n>
constexpr bool full(const Named<Value> (&options)[n], int count) {
    for (size_t i = 0; i < n; ++i)
        if (static_cast<size_t>(options[i].second) != i) return false;
    return n == static_cast<size_t>(count);
}

constexpr Named<Activation> kActivationNames[] = {{"identity", Activation::identity},
                                                  {"logistic", Activation::logistic},
                                                  {"tanh", Activation::tanh},
                                                  {"relu", Activation::relu},
                                                  {"leaky_relu", Activation::leaky_relu},
                                                  {"elu", Activation::elu},
                                                  {"selu", Activation::selu},
                                                  {"gelu", Activation::gelu},
                                                  {"gelu_tanh", Activation::gelu_tanh},
                                                  {"silu", Activation::silu},
                                                  {"mish", Activation::mish},
                                                  {"softplus", Activation::softplus},
                                                  {"softsign", Activation::softsign},
                                                  {"hard_tanh", Activation::hard_tanh}};
static_assert(full(kActivationNames, kActivations), "an activation has no name");

constexpr Named<Output> kOutputNames[] = {{"identity", Output::identity},
                                          {"softmax", Output::softmax},
                                          {"logistic", Output::logistic},
                                          {"exp", Output::exp},
                                          {"quantiles", Output::quantiles}};
static_assert(full(kOutputNames, kOutputs), "an output has no name");

constexpr Named<Loss> kLossNames[] = {{"cross_entropy", Loss::cross_entropy},
                                      {"binary_cross_entropy", Loss::binary_cross_entropy},
                                      {"squared_error", Loss::squared_error},
                                      {"poisson", Loss::poisson},
                                      {"absolute_error", Loss::absolute_error},
                                      {"huber", Loss::huber},
                                      {"quantile", Loss::quantile}};
static_assert(full(kLossNames, kLosses), "a loss has no name");

constexpr Named<Cell> kCellNames[] = {{"elman_tanh", Cell::elman_tanh},
                                      {"elman_relu", Cell::elman_relu},
                                      {"gru", Cell::gru},
                                      {"lstm", Cell::lstm}};
static_assert(full(kCellNames, kCells), "a cell has no name");

}  // namespace

template <class T>
py::array checked_array(py::handle object, const Name& name, Access access) {
    py::array a = as_array(object, name);
    if (!has_type<T>(a))
        throw py::type_error(name.str() + " must have dtype " + type_name<T>() + ", got " +
                             py::cast<std::string>(py::str(a.dtype())));
    constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if (!(a.flags() & py::array::c_style) || !(a.flags() & aligned))
        throw py::value_error(
            name.str() +
            " must be C-contiguous and aligned; np.require(..., requirements=['C', 'A']) makes it so");
    if (access == Access::write && !a.writeable())
        throw py::value_error(name.str() + " is read-only, but is written to");
    return a;
}

template <class T>
T* checked(py::handle object, const Name& name, Shape shape, Access access) {
    const py::array a = checked_array<T>(object, name, access);
    check_shape(a, name, shape.begin(), shape.size());
    return static_cast<T*>(const_cast<void*>(a.data()));
}

template <class T>
T* checked_like(const py::array& like, py::handle object, const Name& name, Access access) {
    const py::array a = checked_array<T>(object, name, access);
    const std::vector<int64_t> shape(like.shape(), like.shape() + like.ndim());
    check_shape(a, name, shape.data(), shape.size());
    return static_cast<T*>(const_cast<void*>(a.data()));
}

bool is_float32(py::handle object, const Name& name) {
    const py::array a = as_array(object, name);
    if (has_type<float>(a)) return true;
    if (has_type<double>(a)) return false;
    throw py::type_error(name.str() + " must have dtype float32 or float64, got " +
                         py::cast<std::string>(py::str(a.dtype())));
}

template <class T>
Rows<T> checked_rows(py::handle object, const Name& name, int64_t columns) {
    Rows<T> rows;
    rows.columns = columns;
    if (!py::isinstance<py::tuple>(object)) {
        rows.dense = checked<T>(object, name, {kAny, columns}, Access::read);
        rows.rows = py::reinterpret_borrow<py::array>(object).shape(0);
        return rows;
    }
    const auto triple = py::reinterpret_borrow<py::tuple>(object);
    if (triple.size() == 2 && py::isinstance<AnyEncoding>(triple[1])) {
        const Encoding<T>& encoding = triple[1].cast<const AnyEncoding&>().template of<T>();
        if (encoding.inputs() != columns)
            throw py::value_error(name.str() + " is encoded as " + std::to_string(encoding.inputs()) +
                                  " inputs, but the network has " + std::to_string(columns));
        rows.encoding = &encoding;
        rows.table = checked<T>(triple[0], name, {kAny, encoding.columns()}, Access::read);
        rows.rows = py::reinterpret_borrow<py::array>(triple[0]).shape(0);
        return rows;
    }
    if (triple.size() != 3)
        throw py::value_error(name.str() +
                              " as a tuple must be CSR's (data, indices, indptr), or (table, encoding)");
    const std::string data_name = name.str() + ".data", indices_name = name.str() + ".indices",
                      indptr_name = name.str() + ".indptr";
    rows.data = checked<T>(triple[0], data_name, {kAny}, Access::read);
    const int64_t stored = rows.stored = py::reinterpret_borrow<py::array>(triple[0]).size();
    const py::array indices = as_array(triple[1], indices_name);
    const py::array indptr = as_array(triple[2], indptr_name);
    rows.rows = indptr.size() - 1;
    if (rows.rows < 0) throw py::value_error(name.str() + ".indptr must not be empty");
    if (has_type<int32_t>(indices)) {
        rows.indices32 = checked<int32_t>(indices, indices_name, {stored}, Access::read);
        rows.indptr32 = checked<int32_t>(indptr, indptr_name, {kAny}, Access::read);
        check_csr<int32_t>(indices, indptr, rows.rows, columns, stored, name);
    } else {
        rows.indices64 = checked<int64_t>(indices, indices_name, {stored}, Access::read);
        rows.indptr64 = checked<int64_t>(indptr, indptr_name, {kAny}, Access::read);
        check_csr<int64_t>(indices, indptr, rows.rows, columns, stored, name);
    }
    return rows;
}

const int64_t* checked_order(py::handle object, const Name& name, int64_t rows, int64_t& count) {
    count = rows;
    if (object.is_none()) return nullptr;
    const int64_t* order = checked<int64_t>(object, name, {kAny}, Access::read);
    count = py::reinterpret_borrow<py::array>(object).size();
    int64_t low = 0, high = -1;
    for (int64_t i = 0; i < count; ++i) {
        low = std::min(low, order[i]);
        high = std::max(high, order[i]);
    }
    if (low < 0 || high >= rows)
        throw py::value_error(name.str() + " must hold row numbers from 0 to " + std::to_string(rows - 1) +
                              ", got " + std::to_string(low < 0 ? low : high));
    return order;
}

template <class T>
Network<T> checked_network(const py::sequence& coefs, const py::sequence& intercepts, const char* coefs_name,
                           const char* intercepts_name, Access access) {
    const size_t layers = coefs.size();
    if (layers == 0) throw py::value_error(std::string(coefs_name) + " must hold at least one array");
    if (intercepts.size() != layers)
        throw py::value_error(std::string(intercepts_name) + " must hold as many arrays as " + coefs_name +
                              " (" + std::to_string(layers) + "), got " + std::to_string(intercepts.size()));
    Network<T> network;
    network.units.reserve(layers + 1);
    for (size_t i = 0; i < layers; ++i) {
        const Name name(coefs_name, i);
        const int64_t in = i == 0 ? kAny : network.units.back();
        const py::object coef = coefs[i], intercept = intercepts[i];
        network.arrays.coefs.push_back(checked<T>(coef, name, {in, kAny}, access));
        const auto array = py::reinterpret_borrow<py::array>(coef);
        if (array.shape(0) == 0 || array.shape(1) == 0)
            throw py::value_error(name.str() + " must not be empty, got shape " + shape_text(array));
        if (i == 0) network.units.push_back(array.shape(0));
        network.units.push_back(array.shape(1));
        network.arrays.intercepts.push_back(
            checked<T>(intercept, Name(intercepts_name, i), {network.units.back()}, access));
    }
    return network;
}

template <class T>
std::vector<bool> add_norms(py::handle norms, Network<T>& network, Access access) {
    const size_t layers = network.units.size() - 1;
    PlainArrays<T>& arrays = network.arrays;
    std::vector<T*>* const lists[] = {&arrays.gammas, &arrays.betas, &arrays.means, &arrays.variances};
    if (norms.is_none()) return {};
    for (auto* list : lists) list->assign(layers, nullptr);
    std::vector<bool> normalized(layers);
    const char* const wanted =
        "batch_norm must be a list with one entry for each hidden layer, None or (gamma, beta, mean, "
        "variance)";
    if (!py::isinstance<py::sequence>(norms)) throw py::type_error(wanted);
    const auto entries = py::reinterpret_borrow<py::sequence>(norms);
    if (entries.size() + 1 != layers) throw py::value_error(wanted);
    for (size_t i = 0; i + 1 < layers; ++i) {
        const py::object entry = entries[i];
        if (entry.is_none()) continue;
        if (!py::isinstance<py::tuple>(entry) || py::len(entry) != 4) throw py::type_error(wanted);
        const auto four = py::reinterpret_borrow<py::tuple>(entry);
        for (size_t k = 0; k < 4; ++k)
            (*lists[k])[i] = checked<T>(four[k], Name("batch_norm", i), {network.units[i + 1]}, access);
        normalized[i] = true;
    }
    return normalized;
}

template <class T>
std::vector<EmbeddingShape> add_embeddings(py::handle embeddings, PlainArrays<T>& arrays, Access access) {
    std::vector<EmbeddingShape> shapes;
    if (embeddings.is_none()) return shapes;
    if (!py::isinstance<py::sequence>(embeddings))
        throw py::type_error("embeddings must be a list of arrays or None, got " +
                             py::cast<std::string>(py::repr(embeddings)));
    const auto list = py::reinterpret_borrow<py::sequence>(embeddings);
    for (size_t i = 0; i < list.size(); ++i) {
        const Name name("embeddings", i);
        const py::object entry = list[i];
        arrays.embeddings.push_back(checked<T>(entry, name, {kAny, kAny}, access));
        const auto array = py::reinterpret_borrow<py::array>(entry);
        if (array.size() == 0)
            throw py::value_error(name.str() + " must not be empty, got shape " + shape_text(array));
        shapes.push_back({array.shape(0), array.shape(1)});
    }
    return shapes;
}

template <class T>
void check_embedded(const Encoding<T>& encoding, const std::vector<EmbeddingShape>& shapes) {
    const auto text = [](const EmbeddingShape& shape) {
        const int64_t sizes[] = {shape.categories, shape.size};
        return shape_text(sizes, 2);
    };
    std::string wanted, got;
    bool fits = encoding.embedded().size() == shapes.size();
    for (size_t i = 0; i < encoding.embedded().size(); ++i) {
        const EmbeddingShape& shape = encoding.embedded()[i].shape;
        fits = fits && shape == shapes[i];
        wanted += (i ? ", " : "") + text(shape);
    }
    for (size_t i = 0; i < shapes.size(); ++i) got += (i ? ", " : "") + text(shapes[i]);
    if (!fits)
        throw py::value_error("embeddings must hold an array for each embedded column, of the shapes [" +
                              wanted + "], got [" + got + "]");
}

template <class T>
std::vector<EmbeddingRows<T>> rows_of(const PlainArrays<T>& arrays,
                                      const std::vector<EmbeddingShape>& shapes) {
    std::vector<EmbeddingRows<T>> rows;
    for (size_t i = 0; i < shapes.size(); ++i) rows.push_back({arrays.embeddings[i], shapes[i].size});
    return rows;
}

template <class T>
PlainArrays<T> CallerArrays<T>::of(const Spec& spec) const {
    PlainArrays<T> arrays;
    std::vector<T*>* const of_norms[] = {&arrays.gammas, &arrays.betas, &arrays.means, &arrays.variances};
    for (size_t i = 0; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        const py::object coef = coefs_[i], intercept = intercepts_[i];
        arrays.coefs.push_back(checked<T>(coef, Name("coefs", i), {l.in, l.out}, Access::write));
        arrays.intercepts.push_back(checked<T>(intercept, Name("intercepts", i), {l.out}, Access::write));
        for (size_t k = 0; k < 4; ++k) {
            const py::object norm = l.normalized ? py::object(py::tuple(norms_[i])[k]) : py::none();
            of_norms[k]->push_back(
                l.normalized ? checked<T>(norm, Name("batch_norm", i), {l.out}, Access::write) : nullptr);
        }
    }
    for (size_t i = 0; i < spec.embeddings.size(); ++i) {
        const EmbeddingShape& shape = spec.embeddings[i];
        const py::object array = embeddings_[i];
        arrays.embeddings.push_back(
            checked<T>(array, Name("embeddings", i), {shape.categories, shape.size}, Access::write));
    }
    return arrays;
}

template <class T>
Targets<T> checked_targets(py::handle y, Loss loss, int64_t rows, int64_t outputs) {
    Targets<T> targets;
    if (loss == Loss::cross_entropy) {
        targets.label = checked<int32_t>(y, "y", {rows}, Access::read);
        int32_t low = 0, high = 0;
        for (int64_t i = 0; i < rows; ++i) {
            low = std::min(low, targets.label[i]);
            high = std::max(high, targets.label[i]);
        }
        if (low < 0 || high >= outputs)
            throw py::value_error("y must hold classes from 0 to " + std::to_string(outputs - 1) + ", got " +
                                  std::to_string(low < 0 ? low : high));
        return targets;
    }
    // All quantiles are of one target.
    targets.values.columns = loss == Loss::quantile ? 1 : outputs;
    targets.values.dense = checked<T>(y, "y", {rows, targets.values.columns}, Access::read);
    targets.values.rows = rows;
    return targets;
}

namespace {

Span span_of(py::handle object, const Name& name) {
    const auto array = py::reinterpret_borrow<py::array>(object);
    const char* first = static_cast<const char*>(array.data());
    return {first, first + array.nbytes(), name};
}

}  // namespace

void add_spans(py::handle arrays, const Name& name, std::vector<Span>& spans) {
    if (py::isinstance<py::tuple>(arrays))
        for (const py::handle member : py::reinterpret_borrow<py::tuple>(arrays))
            add_spans(member, name, spans);
    if (!py::isinstance<py::array>(arrays)) return;
    spans.push_back(span_of(arrays, name));
}

void check_apart(const Span& written, const Span& read) {
    if (written.first < read.last && read.first < written.last)
        throw py::value_error(written.name.str() + " must not share memory with " + read.name.str());
}

void check_apart(py::handle written, const Name& name, py::handle read, const Name& other) {
    if (py::isinstance<py::tuple>(read))
        for (const py::handle member : py::reinterpret_borrow<py::tuple>(read))
            check_apart(written, name, member, other);
    if (!py::isinstance<py::array>(read)) return;
    check_apart(span_of(written, name), span_of(read, other));
}

namespace {

// An entry that may be a name or a pair: its name, and what comes with it, or none.
std::pair<std::string, py::object> name_and_rest(const py::handle entry, const char* what) {
    if (py::isinstance<py::str>(entry)) return {py::cast<std::string>(entry), py::none()};
    if (py::isinstance<py::tuple>(entry)) {
        const auto pair = py::reinterpret_borrow<py::tuple>(entry);
        if (pair.size() == 2 && py::isinstance<py::str>(pair[0]))
            return {py::cast<std::string>(pair[0]), pair[1]};
    }
    throw py::type_error(std::string(what) + " must be a name or a pair (name, parameter), got " +
                         py::cast<std::string>(py::repr(entry)));
}

}  // namespace

std::vector<ActivationFunction> activations_named(const py::sequence& entries, size_t hidden) {
    if (entries.size() != hidden)
        throw py::value_error("activations must name one function for each of the " + std::to_string(hidden) +
                              " hidden layers, got " + std::to_string(entries.size()));
    std::vector<ActivationFunction> activations;
    // Objects, not handles: a sequence such as an array makes its items as they are asked for.
    for (const py::object entry : entries) {
        const auto [name, rest] = name_and_rest(entry, "activation");
        const Activation kind = named("activation", name, kActivationNames);
        std::optional<double> parameter;
        if (!rest.is_none())
            parameter = checked_number<double>(rest, "the parameter of activation '" + name + "'");
        activations.push_back(activation_function(kind, "activation '" + name + "'", parameter));
    }
    return activations;
}

Output output_named(const std::string& name) { return named("output", name, kOutputNames); }

Cell cell_named(const std::string& name) { return named("cell", name, kCellNames); }

template <class T>
LossFunction<T> loss_named(const py::object& entry, int64_t outputs) {
    const auto [name, rest] = name_and_rest(entry, "loss");
    const Loss kind = named("loss", name, kLossNames);
    std::vector<double> given;
    if (!rest.is_none()) {
        if (!py::isinstance<py::sequence>(rest))
            throw py::type_error("the parameters of loss '" + name + "' must be a list of numbers, got " +
                                 py::cast<std::string>(py::repr(rest)));
        for (const py::handle number : rest)
            given.push_back(checked_number<double>(number, "a parameter of loss '" + name + "'"));
    }
    return loss_function<T>(kind, "loss '" + name + "'", given, outputs);
}

#define GDFAST_INSTANTIATE(T)                                                                               \
    template class CallerArrays<T>;                                                                         \
    template py::array checked_array<T>(py::handle, const Name&, Access);                                   \
    template T* checked<T>(py::handle, const Name&, Shape, Access);                                         \
    template T* checked_like<T>(const py::array&, py::handle, const Name&, Access);                         \
    template Rows<T> checked_rows(py::handle, const Name&, int64_t);                                        \
    template Network<T> checked_network(const py::sequence&, const py::sequence&, const char*, const char*, \
                                        Access);                                                            \
    template Targets<T> checked_targets(py::handle, Loss, int64_t, int64_t);                                \
    template std::vector<bool> add_norms(py::handle, Network<T>&, Access);                                  \
    template std::vector<EmbeddingShape> add_embeddings(py::handle, PlainArrays<T>&, Access);               \
    template void check_embedded(const Encoding<T>&, const std::vector<EmbeddingShape>&);                   \
    template std::vector<EmbeddingRows<T>> rows_of(const PlainArrays<T>&,                                   \
                                                   const std::vector<EmbeddingShape>&);                     \
    template LossFunction<T> loss_named(const py::object&, int64_t);
GDFAST_INSTANTIATE(float)
GDFAST_INSTANTIATE(double)
template int64_t* checked<int64_t>(py::handle, const Name&, Shape, Access);

}  // namespace gdfast
