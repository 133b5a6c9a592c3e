#include <cmath>
#include <limits>
#include <random>

#include "check.h"
#include "kernels/dispatch.h"
#include "network/parameters.h"
#include "shapes.h"

namespace gdfast {

namespace {

// Plain arrays that own their memory.
template <class T>
struct Owned {
    std::vector<std::vector<T>> coefs, intercepts, gammas, betas;
    PlainArrays<T> arrays;

    explicit Owned(const Spec& spec) {
        for (const Layer& l : spec.layers) {
            coefs.emplace_back(static_cast<size_t>(l.in * l.out));
            intercepts.emplace_back(static_cast<size_t>(l.out));
            gammas.emplace_back(static_cast<size_t>(l.normalized ? l.out : 0));
            betas.emplace_back(static_cast<size_t>(l.normalized ? l.out : 0));
        }
        for (size_t i = 0; i < coefs.size(); ++i) {
            arrays.coefs.push_back(coefs[i].data());
            arrays.intercepts.push_back(intercepts[i].data());
            arrays.gammas.push_back(gammas[i].data());
            arrays.betas.push_back(betas[i].data());
        }
    }
    void fill() {
        std::mt19937 random(1);
        for (auto* list : {&coefs, &intercepts, &gammas, &betas})
            for (std::vector<T>& array : *list)
                for (T& value : array) value = static_cast<T>(random()) + 1;
    }
    bool operator==(const Owned& o) const {
        return coefs == o.coefs && intercepts == o.intercepts && gammas == o.gammas && betas == o.betas;
    }
    int64_t numbers() const {
        size_t n = 0;
        for (auto* list : {&coefs, &intercepts, &gammas, &betas})
            for (const std::vector<T>& array : *list) n += array.size();
        return static_cast<int64_t>(n);
    }
};

template <class T>
void check_round_trip(const Spec& spec) {
    Parameters<T> parameters(spec, true);
    // A run that diverged must leave nothing in the padding.
    std::fill_n(parameters.values.data(), spec.parameters, std::numeric_limits<T>::quiet_NaN());
    CHECK(!all_finite(parameters.values.data(), spec.parameters));
    Owned<T> given(spec), back(spec);
    given.fill();
    parameters.load(given.arrays);
    unpack(spec, parameters.values.data(), back.arrays);
    CHECK(given == back);
    CHECK(all_finite(parameters.values.data(), spec.parameters));

    int64_t filled = 0;
    for (int64_t i = 0; i < spec.parameters; ++i) filled += parameters.values.data()[i] != 0;
    CHECK(filled == given.numbers());

    // Both orientations hold the same weights, block by block.
    const int P = spec.panel;
    for (size_t i = 1; i < spec.layers.size(); ++i) {
        const Layer& l = spec.layers[i];
        if (l.narrow) continue;
        bool same = true;
        for (int64_t k = 0; k < l.in_panels * P; ++k)
            for (int64_t n = 0; n < l.out_panels * P; ++n)
                same = same && parameters.weight_panel(l, n / P)[k * P + n % P] ==
                                   parameters.transposed_panel(l, k / P)[n * P + k % P];
        CHECK(same);
    }
}

}  // namespace

TEST(parameters, load_and_unpack_round_trip) {
    for (const std::string& isa : available_isas()) {
        const check::Environment environment("GDFAST_ISA", isa.c_str());
        choose_isa();
        for (const check::Shape& shape : check::shapes()) {
            check_round_trip<float>(check::spec_of(shape, kernels<float>().panel));
            check_round_trip<double>(check::spec_of(shape, kernels<double>().panel));
        }
        check_round_trip<float>(check::gated_spec(kernels<float>().panel));
        check_round_trip<double>(check::gated_spec(kernels<double>().panel));
    }
    choose_isa();
}

TEST(parameters, one_number_that_is_not_finite_is_found_anywhere) {
    for (int64_t n : {1, 15, 16, 17, 40})
        for (int64_t at = 0; at < n; ++at)
            for (double bad : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
                std::vector<double> values(static_cast<size_t>(n), 1e300);
                CHECK(all_finite(values.data(), n));
                values[static_cast<size_t>(at)] = bad;
                CHECK(!all_finite(values.data(), n));
            }
}

TEST(parameters, sizes_beyond_memory_are_refused) {
    const int64_t many = int64_t{1} << 40;
    const std::string message = check::thrown_by([&] { Spec({many, many}, {}, 32, 16); });
    CHECK(message.find("more memory than can be addressed") != message.npos);
}

}  // namespace gdfast
