// Limits on gradients (Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
// networks", 2013).
#pragma once

#include <cstddef>
#include <deque>
#include <limits>
#include <vector>

namespace gdfast {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

struct GradientLimits {
    double value = kNoLimit;       // of each component
    double norm = kNoLimit;        // of all components together
    double layer_norm = kNoLimit;  // of a layer's weights and biases together
    bool adaptive = false;         // the limit of the norm follows the norms seen

    // Whether the gradient has to be known as a whole before any of it is used.
    bool on_norms() const { return norm < kNoLimit || layer_norm < kNoLimit || adaptive; }
    bool any() const { return value < kNoLimit || on_norms(); }
};

// The limit that AutoClip sets (Seetharaman et al., "AutoClip: Adaptive gradient clipping for source
// separation networks", 2020): the 10th percentile of the norms of the latest steps, this one included.
class NormWindow {
public:
    static constexpr size_t kSteps = 1000;

    double limit_after(double norm);

    // In order of time.
    std::vector<double> norms() const { return {latest_.begin(), latest_.end()}; }
    void restore(const std::vector<double>& norms);

private:
    std::deque<double> latest_;
    std::vector<double> sorted_;
};

}  // namespace gdfast
