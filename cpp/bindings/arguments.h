// The arguments of a call, read by their names.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/arrays.h"

namespace gdfast {

class Arguments {
public:
    // `positional` are the names of those that may come without.
    Arguments(const char* function, std::initializer_list<const char*> positional, const py::args& args,
              const py::kwargs& kwargs);

    // Each is taken once. Raises TypeError where there is none of this name; `otherwise` is its default.
    py::object take(const char* name);
    py::object take(const char* name, const py::object& otherwise);
    // Whether there is one, which is taken then.
    bool take_into(const char* name, py::object& value);
    template <class Number>
    Number number(const char* name) {
        return checked_number<Number>(take(name), name);
    }
    template <class Number>
    Number number(const char* name, Number otherwise) {
        py::object value;
        return take_into(name, value) ? checked_number<Number>(value, name) : otherwise;
    }
    bool flag(const char* name, bool otherwise);
    std::string text(const char* name);
    // A copy, for lists are the caller's to change; without the arrays in it.
    py::tuple list(const char* name);

    // Raises TypeError that names an argument that has not been read.
    void check_all_used() const;

private:
    [[noreturn]] void fail(const std::string& what) const;

    const char* const function_;
    std::vector<std::pair<std::string_view, py::object>> left_;
};

bool checked_flag(py::handle value, const char* name);
std::string checked_text(py::handle value, const char* name);

}  // namespace gdfast
