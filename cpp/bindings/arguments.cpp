#include "bindings/arguments.h"

namespace gdfast {

namespace {

[[noreturn]] void wrong_kind(const char* name, const char* wanted, py::handle value) {
    throw py::type_error(std::string(name) + " must be " + wanted + ", got " +
                         py::cast<std::string>(py::repr(value)));
}

}  // namespace

bool checked_flag(py::handle value, const char* name) {
    const int flag = PyObject_IsTrue(value.ptr());
    if (flag < 0 || py::isinstance<py::str>(value)) {
        PyErr_Clear();
        wrong_kind(name, "True or False", value);
    }
    return flag != 0;
}

std::string checked_text(py::handle value, const char* name) {
    if (!py::isinstance<py::str>(value)) wrong_kind(name, "a string", value);
    return py::cast<std::string>(value);
}

Arguments::Arguments(const char* function, std::initializer_list<const char*> positional,
                     const py::args& args, const py::kwargs& kwargs)
    : function_(function) {
    if (args.size() > positional.size())
        fail("takes at most " + std::to_string(positional.size()) + " positional arguments, got " +
             std::to_string(args.size()));
    left_.reserve(args.size() + kwargs.size());
    for (size_t i = 0; i < args.size(); ++i) left_.emplace_back(positional.begin()[i], args[i]);
    for (const auto& [key, value] : kwargs) {
        py::ssize_t length = 0;
        const char* text = PyUnicode_AsUTF8AndSize(key.ptr(), &length);  // of the key, which the caller holds
        if (!text) throw py::error_already_set();
        const std::string_view name(text, static_cast<size_t>(length));
        for (size_t i = 0; i < args.size(); ++i)
            if (name == left_[i].first) fail("has got '" + std::string(name) + "' twice");
        left_.emplace_back(name, py::reinterpret_borrow<py::object>(value));
    }
}

void Arguments::fail(const std::string& what) const {
    throw py::type_error(std::string(function_) + "() " + what);
}

bool Arguments::take_into(const char* name, py::object& value) {
    for (auto& argument : left_)
        if (argument.second && argument.first == name) {
            value = std::exchange(argument.second, py::object());
            return true;
        }
    return false;
}

py::object Arguments::take(const char* name) {
    py::object value;
    if (!take_into(name, value)) fail(std::string("must have the argument '") + name + "'");
    return value;
}

py::object Arguments::take(const char* name, const py::object& otherwise) {
    py::object value = otherwise;
    take_into(name, value);
    return value;
}

bool Arguments::flag(const char* name, bool otherwise) {
    py::object value;
    return take_into(name, value) ? checked_flag(value, name) : otherwise;
}

std::string Arguments::text(const char* name) { return checked_text(take(name), name); }

py::tuple Arguments::list(const char* name) {
    const py::object value = take(name);
    if (!py::isinstance<py::sequence>(value) || py::isinstance<py::str>(value))
        wrong_kind(name, "a list", value);
    return py::tuple(value);
}

void Arguments::check_all_used() const {
    for (const auto& [name, value] : left_)
        if (value) fail("has no argument '" + std::string(name) + "'");
}

}  // namespace gdfast
