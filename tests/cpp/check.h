// TEST(group, name) { CHECK(...); } registers a test. A failed check is reported, on whatever thread, and the
// test goes on.
#pragma once

#include <cstdlib>
#include <exception>
#include <string>

namespace gdfast::check {

struct Registration {
    Registration(const char* name, void (*body)());
};
void failed(const char* file, int line, const std::string& what);

// What a call throws, as text; empty where it returns.
template <class Call>
std::string thrown_by(Call&& call) {
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

// An environment variable, until the end of the scope. (Null: not set.)
class Environment {
public:
    Environment(const char* name, const char* value) : name_(name) {
        if (const char* before = std::getenv(name)) {
            before_ = before;
            was_set_ = true;
        }
        set(value);
    }
    ~Environment() { set(was_set_ ? before_.c_str() : nullptr); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

private:
    void set(const char* value) const {
        if (value)
            setenv(name_, value, 1);
        else
            unsetenv(name_);
    }
    const char* name_;
    std::string before_;
    bool was_set_ = false;
};

}  // namespace gdfast::check

#define TEST(group, name)                                                                    \
    static void group##_##name();                                                            \
    static const gdfast::check::Registration group##_##name##_registration(#group "." #name, \
                                                                           group##_##name);  \
    static void group##_##name()
#define CHECK(condition) ((condition) ? void() : gdfast::check::failed(__FILE__, __LINE__, #condition))
