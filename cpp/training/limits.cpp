#include "training/limits.h"

#include <algorithm>
#include <cmath>

namespace gdfast {

double NormWindow::limit_after(double norm) {
    if (!std::isfinite(norm)) return norm;  // the step is lost, and later limits do not depend on it
    sorted_.reserve(kSteps + 1);            // what allocates comes before what changes
    latest_.push_back(norm);
    if (latest_.size() > kSteps) {
        sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), latest_.front()));
        latest_.pop_front();
    }
    sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), norm), norm);
    // Between neighbours as NumPy's percentile has it.
    const double place = 0.1 * static_cast<double>(sorted_.size() - 1);
    const size_t below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, sorted_.size() - 1);
    const double part = place - static_cast<double>(below);
    return sorted_[below] + part * (sorted_[above] - sorted_[below]);
}

void NormWindow::restore(const std::vector<double>& norms) {
    latest_.assign(norms.begin(), norms.end());
    sorted_ = norms;
    std::sort(sorted_.begin(), sorted_.end());
}

}  // namespace gdfast
