#include "walk.h"

#define GDFAST_NO_PYTHON
#include <gdfast.h>

#include <cmath>
#include <memory>
#include <random>
#include <stdexcept>

namespace {

void check(int status) {
    if (status != GDFAST_OK) throw std::runtime_error(gdfast_last_error());
}

using Mlp = std::unique_ptr<gdfast_mlp, decltype(&gdfast_mlp_destroy)>;

Mlp make_mlp(const Network& network, std::int64_t max_rows) {
    const std::int64_t sizes[] = {1, static_cast<std::int64_t>(network.biases[0].size()), 1};
    const std::int32_t activations[] = {GDFAST_ACTIVATION_TANH};
    gdfast_mlp_options options;
    check(gdfast_mlp_options_init(&options, sizeof options));
    options.dtype = GDFAST_FLOAT64;
    options.n_layers = 2;
    options.layer_sizes = sizes;
    options.activations = activations;
    options.max_rows = max_rows;
    gdfast_mlp* mlp = nullptr;
    check(gdfast_mlp_create(&options, &mlp));
    return Mlp(mlp, &gdfast_mlp_destroy);
}

}  // namespace

Network::Network(std::int64_t hidden, std::uint64_t seed) {
    const auto n = static_cast<std::size_t>(hidden);
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    for (std::vector<double>& w : weights) w.resize(n);
    for (double& w : weights[0]) w = 4 * normal(random);
    for (double& w : weights[1]) w = normal(random) / std::sqrt(static_cast<double>(n));
    biases[0].resize(n);
    for (double& b : biases[0]) b = 2 * normal(random);
    biases[1].resize(1);
}

void learn_values(Network& network, std::int64_t walks, double lr, std::uint64_t seed) {
    const Mlp mlp = make_mlp(network, 1);
    double* weights[] = {network.weights[0].data(), network.weights[1].data()};
    double* biases[] = {network.biases[0].data(), network.biases[1].data()};
    gdfast_rule rule;
    check(gdfast_rule_init(&rule, sizeof rule, GDFAST_RULE_SGD));
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> step(-0.2, 0.2);
    std::int64_t updates = 0;
    for (std::int64_t walk = 0; walk < walks; ++walk) {
        rule.lr = lr * (1 - static_cast<double>(walk) / static_cast<double>(walks));
        double place = 0.5;
        while (place > 0 && place < 1) {
            const double next = place + step(random);
            double value = next >= 1;  // at the end
            if (next > 0 && next < 1)
                check(gdfast_mlp_forward_f64(mlp.get(), weights, biases, &next, 1, &value));
            check(gdfast_mlp_step_f64(mlp.get(), weights, biases, nullptr, &place, &value, nullptr, 1, &rule,
                                      ++updates, nullptr));
            place = next;
        }
    }
}

void values(Network& network, const double* places, std::int64_t n, double* out) {
    const Mlp mlp = make_mlp(network, 0);
    double* weights[] = {network.weights[0].data(), network.weights[1].data()};
    double* biases[] = {network.biases[0].data(), network.biases[1].data()};
    check(gdfast_mlp_forward_f64(mlp.get(), weights, biases, places, n, out));
}
