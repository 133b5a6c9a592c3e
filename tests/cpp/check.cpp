// gdfast_tests [PATTERN ...]: runs the tests whose name, group.name, contains one of the patterns, or all.
#include "check.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <utility>
#include <vector>

#include "kernels/dispatch.h"

namespace gdfast::check {

namespace {

// Tests are registered before main() begins, in whatever order.
std::vector<std::pair<std::string, void (*)()>>& tests() {
    static std::vector<std::pair<std::string, void (*)()>> all;
    return all;
}

std::atomic<int> failures{0};

}  // namespace

Registration::Registration(const char* name, void (*body)()) { tests().emplace_back(name, body); }

void failed(const char* file, int line, const std::string& what) {
    // A check in a loop would fail a thousand times.
    if (failures++ < 20) std::fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what.c_str());
}

}  // namespace gdfast::check

int main(int argc, char** argv) {
    using namespace gdfast::check;
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a test that crashes must not take the others' lines with it
    gdfast::choose_isa();
    const auto asked_for = [&](const std::string& name) {
        return argc == 1 ||
               std::any_of(argv + 1, argv + argc, [&](const char* p) { return name.find(p) != name.npos; });
    };
    int ran = 0, bad = 0;
    for (const auto& [name, body] : tests()) {
        if (!asked_for(name)) continue;
        failures = 0;
        try {
            body();
        } catch (const std::exception& error) {
            failed(name.c_str(), 0, std::string("no exception: ") + error.what());
        }
        std::printf("%s %s\n", failures ? "FAILED" : "passed", name.c_str());
        ++ran;
        bad += failures != 0;
    }
    std::printf("%d tests, %d failed\n", ran, bad);
    return ran == 0 || bad > 0;
}
