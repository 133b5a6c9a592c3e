#include "training/descent.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gdfast {

namespace {

// Purposes of random numbers, beside layers' numbers.
constexpr uint32_t kNoise = 0xFFFFFFFF;

// Multiply-adds of a step's sums that take long (a slow core needs a tenth of a second), for many rows, whose
// gradient costs nothing to keep, and for any.
constexpr double kLongSums = 1e9, kLongSumsOfAny = 4e9;
constexpr int64_t kManyRows = 2048;

}  // namespace

template <class T>
Descent<T>::Descent(const Spec& spec, Parameters<T>& parameters, const DescentOptions& options, int64_t rows)
    : Descent(spec, parameters, options, std::vector<int64_t>(spec.layers.size(), rows)) {}

template <class T>
Descent<T>::Descent(const Spec& spec, Parameters<T>& parameters, const DescentOptions& options,
                    const std::vector<int64_t>& rows)
    : spec_(spec),
      parameters_(parameters),
      options_(options),
      tiling_(spec, rows),
      plain_by_options_(!(options.alpha * options.l1_ratio > 0) && !options.limits.any() &&
                        !(options.gradient_noise > 0) && !options.records),
      plain_(plain_by_options_),
      sums_(static_cast<size_t>(tiling_.size())),
      scales_(spec.layers.size(), T(1)),
      recorded_(spec.layers.size()),
      layer_norms_(spec.layers.size()),
      layer_sums_(spec.layers.size()) {
    for (const Slot& slot : options_.rule.slots()) {
        slots_.emplace_back(spec_.parameters);
        std::fill_n(slots_.back().data(), spec_.parameters, static_cast<T>(slot.initial));
    }
    if (std::any_of(options_.rate_factors.begin(), options_.rate_factors.end(),
                    [](const std::vector<double>& factors) { return !factors.empty(); }))
        layer_rules_.resize(spec_.layers.size());
    for (const Layer& l : spec_.layers)
        norm_gradients.emplace_back(l.normalized ? 2 * l.out_panels * spec_.panel : 0);
}

template <class T>
void Descent<T>::set_threads(int threads) {
    for (int i = 0; i < threads; ++i) {
        scratch_.emplace_back(spec_.panel + tiling_.scratch());
        before_.emplace_back(options_.records ? spec_.panel * spec_.panel : 0);
    }
}

template <class T>
void Descent<T>::set_embeddings(Embeddings<T>& embeddings) {
    embeddings_ = &embeddings;
    scales_.resize(spec_.layers.size() + static_cast<size_t>(embeddings.count()), T(1));
    layer_norms_.resize(scales_.size());
}

template <class T>
void Descent<T>::begin_epoch(const EpochOptions& options, int64_t rows) {
    epoch_ = options;
    const double sums = spec_.work_per_row() * static_cast<double>(rows);
    plain_ = plain_by_options_ && !epoch_.on_step;
    moves_apart_ = options_.limits.on_norms() || epoch_.on_gradient || epoch_.on_step || epoch_.shared ||
                   sums >= (rows >= kManyRows ? kLongSums : kLongSumsOfAny);
    interruption_ = moves_apart_ ? Interruption::current() : nullptr;
    if (moves_apart_ && gradient_.size() == 0) gradient_ = Buffer<T>(spec_.parameters + kBesides);
    first_strip_ = tiling_.first_of(epoch_.first_layer);
    total_ = 0;
    terms_ = steps_ = 0;
    not_finite_ = {};
    recorded_.assign(spec_.layers.size(), {0, 0, 0});
    if (!(options_.alpha > 0)) return;
    // The penalty counts the weights that stay as they are, too.
    const KernelTable<T>& table = kernels<T>();
    for (int64_t unit = 0; unit < first_strip_; ++unit) {
        Sums sums{};
        const StripGradient<T> weights = in_whole(spec_, tiling_[unit], parameters_.values.data());
        for_pieces(spec_, parameters_, tiling_[unit], weights, [&](const GradientPiece<T>& piece) {
            if (piece.group != Group::weights) return;
            sums.squares += table.sum_squares(piece.elements, piece.gradient);
            sums.magnitudes += table.sum_magnitudes(piece.elements, piece.gradient);
        });
        sums_[static_cast<size_t>(unit)] = sums;
    }
}

// (Where there is somebody to look at the gradient, the penalty has to be in it.)
template <class T>
void Descent<T>::begin_step(const Step& now) {
    const double learning_rate = epoch_.learning_rates.at(now.number), weight_sum = now.weight_sum;
    learning_rate_ = learning_rate;
    number_ = now.number;
    weight_sum_ = weight_sum;
    const double l2 = options_.alpha * (1 - options_.l1_ratio) / weight_sum;
    const bool by_rule = plain_ && !epoch_.on_gradient;
    const double weight_decay = epoch_.weight_decay.value_or(options_.weight_decay);
    const auto of_weights = [&](double rate) {
        RuleStep<T> rule = options_.rule.at<T>(step + 1, rate, by_rule ? l2 : 0);
        rule.weight_factor *= static_cast<T>(1 - rate * weight_decay);
        return rule;
    };
    const auto without_decay = [](RuleStep<T> rule) {
        rule.decay = 0;
        rule.weight_factor = 1;
        return rule;
    };
    rule_ = of_weights(learning_rate);
    bias_rule_ = without_decay(rule_);
    for (auto i = static_cast<size_t>(epoch_.first_layer); i < layer_rules_.size(); ++i)
        for (size_t group = 0; group < kGroups; ++group) {
            const std::vector<double>& factors = options_.rate_factors[group];
            const double rate = learning_rate * (i < factors.size() ? factors[i] : 1);
            layer_rules_[i][group] = group == static_cast<size_t>(Group::weights)
                                         ? of_weights(rate)
                                         : without_decay(of_weights(rate));
        }
    l2_ = static_cast<T>(by_rule ? 0 : l2);
    if (plain_) return;
    l1_ = static_cast<T>(options_.alpha * options_.l1_ratio / weight_sum);
    noise_ =
        static_cast<T>(std::sqrt(options_.gradient_noise / std::pow(static_cast<double>(step + 1), 0.55)));
    if (options_.gradient_noise > 0)
        noise_key_ = kernels<T>().derive_key(options_.key, static_cast<uint32_t>(step), kNoise);
}

template <class T>
StripGradient<T> Descent<T>::gradient_of(int64_t unit, int thread) const {
    const Strip& strip = tiling_[unit];
    const Layer& l = spec_.layers[static_cast<size_t>(strip.layer)];
    StripGradient<T> gradient;
    if (moves_apart_) {
        gradient = in_whole(spec_, strip, gradient_.data());
    } else {
        gradient.bias = scratch_[static_cast<size_t>(thread)].data();
        gradient.weights = gradient.bias + spec_.panel;
    }
    if (l.normalized) {
        gradient.gamma = norm_gradients[static_cast<size_t>(strip.layer)].data() +
                         (l.narrow ? 0 : strip.panel * spec_.panel);
        gradient.beta = gradient.gamma + l.out_panels * spec_.panel;
    }
    return gradient;
}

template <class T>
std::vector<Phase> Descent<T>::phases(const FirstHalf<T>& first) {
    first_ = &first;
    const auto divide = [this](int threads, int64_t* bounds) {
        tiling_.divide(first_strip_, threads, bounds);
    };
    const auto divide_embeddings = [this](int threads, int64_t* bounds) {
        divide_evenly(embeddings_->count(), threads, bounds);
    };
    std::vector<Phase> phases;
    if (embeds())
        phases.push_back({divide_embeddings,
                          [this, interruption = Interruption::current()](int64_t unit, int thread) {
                              StopCheck check(interruption, thread);
                              embeddings_->sum(unit, l2_, l1_, options_.limits.value, check);
                          },
                          true});
    phases.push_back({[=](int threads, int64_t* bounds) {
                          divide(threads, bounds);
                          ++bounds[threads];  // one more unit: the loss
                      },
                      [this, &first](int64_t unit, int thread) {
                          if (unit == units())
                              loss_ = first.sum_losses() / first.loss_divisor();
                          else
                              sum(unit, thread, first.factors());
                      },
                      moves_apart_});
    // What others have added to is a step of theirs, too.
    const bool can_give_up = !epoch_.shared;
    if (epoch_.shared) {
        phases.push_back({nullptr, [this](int64_t, int) { add_up(); }, can_give_up});
        if (!plain_ || epoch_.on_gradient)
            phases.push_back(
                {divide, [this](int64_t unit, int thread) { finish_sum(unit, thread); }, can_give_up});
    }
    if (epoch_.on_gradient) {
        phases.push_back({nullptr, [this](int64_t, int) { epoch_.on_gradient(); }, can_give_up});
        if (!plain_)
            phases.push_back(
                {divide, [this](int64_t unit, int thread) { measure(unit, thread); }, can_give_up});
    }
    const auto limit_and_divide = [=](int threads, int64_t* bounds) {
        limit();
        divide(threads, bounds);
    };
    if (epoch_.on_step) {
        if (options_.limits.on_norms() || options_.gradient_noise > 0)
            phases.push_back({limit_and_divide, [this](int64_t unit, int thread) { condition(unit, thread); },
                              can_give_up});
        phases.push_back(
            {nullptr, [this](int64_t, int) { epoch_.on_step(learning_rate_, number_); }, can_give_up});
        phases.push_back({divide, [this](int64_t unit, int thread) { move(unit, thread); }, false});
    } else if (moves_apart_) {
        phases.push_back({limit_and_divide, [this](int64_t unit, int thread) { move(unit, thread); }, false});
    }
    if (embeds())
        phases.push_back({divide_embeddings,
                          [this](int64_t unit, int) {
                              embeddings_->move(
                                  unit, scales_[spec_.layers.size() + static_cast<size_t>(unit)], rule_);
                          },
                          false});
    return phases;
}

template <class T>
void Descent<T>::sum(int64_t unit, int thread, const Factors<T>& factors) {
    const StripGradient<T> gradient = gradient_of(unit, thread);
    const Strip& strip = tiling_[unit];
    StopCheck check(interruption_, thread);
    sum_strip(spec_, factors, strip, gradient, check);
    Sums sums{};
    if (epoch_.shared) {  // the rest takes the whole batch's: finish_sum()
        sums_[static_cast<size_t>(unit)] = sums;
        return;
    }
    for_pieces(spec_, parameters_, strip, gradient, [&](const GradientPiece<T>& piece) {
        if (!plain_ || l2_ > 0) penalize(piece, sums);
        if (!plain_ && !epoch_.on_gradient) measure(piece, sums);
        if (moves_apart_) return;
        condition(piece, T(1));
        apply(piece, thread, sums);
    });
    sums_[static_cast<size_t>(unit)] = sums;
}

template <class T>
void Descent<T>::add_up() {
    T* const besides = gradient_.data() + spec_.parameters;
    // Sums over no rows have not been written.
    if (first_->factors().rows.back() == 0) std::fill(sums(), besides, T(0));
    besides[0] = static_cast<T>(loss_ / weight_sum_);
    besides[1] = 0;
    epoch_.shared->add_up();
    loss_ = static_cast<double>(besides[0]) * weight_sum_;
}

// The rest of sum(), where others have added to the gradient.
template <class T>
void Descent<T>::finish_sum(int64_t unit, int thread) {
    Sums sums{};
    for_pieces(spec_, parameters_, tiling_[unit], gradient_of(unit, thread),
               [&](const GradientPiece<T>& piece) {
                   penalize(piece, sums);
                   if (!epoch_.on_gradient) measure(piece, sums);
               });
    sums_[static_cast<size_t>(unit)] = sums;
}

template <class T>
void Descent<T>::penalize(const GradientPiece<T>& piece, Sums& sums) const {
    if (piece.group != Group::weights) return;
    const KernelTable<T>& table = kernels<T>();
    const T* w = parameters_.values.data() + piece.offset;
    if (!plain_) sums.squares += table.sum_squares(piece.elements, w);
    if (l1_ > 0) sums.magnitudes += table.sum_magnitudes(piece.elements, w);
    if (l2_ > 0 || l1_ > 0) table.penalize(piece.elements, w, piece.gradient, l2_, l1_);
}

template <class T>
void Descent<T>::measure(int64_t unit, int thread) {
    for_pieces(spec_, parameters_, tiling_[unit], gradient_of(unit, thread),
               [&](const GradientPiece<T>& piece) { measure(piece, sums_[static_cast<size_t>(unit)]); });
}

template <class T>
void Descent<T>::measure(const GradientPiece<T>& piece, Sums& sums) const {
    const KernelTable<T>& table = kernels<T>();
    const auto add_norm = [&](double& to) {
        to = std::hypot(to, table.norm(piece.elements, piece.gradient));
    };
    if (options_.records) add_norm(sums.gradient_norm);
    if (options_.limits.value < kNoLimit)
        table.clip(piece.elements, piece.gradient, static_cast<T>(options_.limits.value));
    if (moves_apart_) add_norm(sums.clipped_norm);
}

// change(norm gradients, where they are in the whole gradient, how many), for each normalised layer.
template <class T>
template <class Change>
void Descent<T>::for_norm_gradients(Change change) {
    for (size_t i = 0; i < spec_.layers.size(); ++i)
        change(norm_gradients[i].data(), gradient_.data() + spec_.layers[i].gamma, norm_gradients[i].size());
}

template <class T>
void Descent<T>::get_gradient(const PlainArrays<T>& arrays) {
    for_norm_gradients([](const T* apart, T* whole, int64_t n) { std::copy_n(apart, n, whole); });
    std::fill_n(gradient_.data(), spec_.layers[static_cast<size_t>(epoch_.first_layer)].bias, T(0));
    for (const Layer& l : spec_.layers)
        if (l.normalized) std::fill_n(gradient_.data() + l.bias, l.out_panels * spec_.panel, T(0));
    unpack(spec_, gradient_.data(), arrays);
}

template <class T>
void Descent<T>::set_gradient(const ConstPlainArrays<T>& arrays) {
    pack(spec_, arrays, gradient_.data());
    for_norm_gradients([](T* apart, const T* whole, int64_t n) { std::copy_n(whole, n, apart); });
}

template <class T>
void Descent<T>::get_weights(const PlainArrays<T>& arrays) const {
    unpack(spec_, parameters_.values.data(), arrays);
}

template <class T>
void Descent<T>::limit() {
    if (!options_.limits.on_norms()) return;
    std::vector<double>& layer_norms = layer_norms_;
    layer_norms.assign(scales_.size(), 0);
    double norm = 0;
    for (int64_t unit = first_strip_; unit < tiling_.size(); ++unit) {
        double& layer = layer_norms[static_cast<size_t>(tiling_[unit].layer)];
        layer = std::hypot(layer, sums_[static_cast<size_t>(unit)].clipped_norm);
    }
    for (int64_t i = 0; embeds() && i < embeddings_->count(); ++i)
        layer_norms[spec_.layers.size() + static_cast<size_t>(i)] = embeddings_->sums(i).gradient_norm;
    const auto factor = [](double norm, double limit) { return norm > limit ? limit / norm : 1.0; };
    for (size_t i = 0; i < layer_norms.size(); ++i) {
        const double by_layer = factor(layer_norms[i], options_.limits.layer_norm);
        scales_[i] = static_cast<T>(by_layer);
        norm = std::hypot(norm, layer_norms[i] * by_layer);
    }
    const double together =
        factor(norm, options_.limits.adaptive ? norms.limit_after(norm) : options_.limits.norm);
    for (T& scale : scales_) scale *= static_cast<T>(together);
}

template <class T>
void Descent<T>::condition(int64_t unit, int thread) {
    const T factor = scales_[static_cast<size_t>(tiling_[unit].layer)];
    for_pieces(spec_, parameters_, tiling_[unit], gradient_of(unit, thread),
               [&](const GradientPiece<T>& piece) { condition(piece, factor); });
}

// Scales a gradient by the limits on norms, and adds the noise.
template <class T>
void Descent<T>::condition(const GradientPiece<T>& piece, T factor) const {
    const KernelTable<T>& table = kernels<T>();
    if (factor != T(1)) table.scale(piece.elements, piece.gradient, factor);
    if (!(noise_ > 0)) return;
    table.add_noise(piece.elements, piece.offset, noise_key_, noise_, piece.gradient);
    piece.clear_padding(spec_.panel);
}

template <class T>
void Descent<T>::move(int64_t unit, int thread) {
    const Strip& strip = tiling_[unit];
    const T factor = scales_[static_cast<size_t>(strip.layer)];
    for_pieces(spec_, parameters_, strip, gradient_of(unit, thread), [&](const GradientPiece<T>& piece) {
        if (!epoch_.on_step) condition(piece, factor);
        apply(piece, thread, sums_[static_cast<size_t>(unit)]);
    });
}

// Where the rule is on_step, the next weights are in the gradient's place.
template <class T>
void Descent<T>::apply(const GradientPiece<T>& piece, int thread, Sums& sums) {
    const KernelTable<T>& table = kernels<T>();
    T* w = parameters_.values.data() + piece.offset;
    T* before = before_[static_cast<size_t>(thread)].data();
    if (options_.records) std::copy_n(w, piece.elements, before);
    if (epoch_.on_step) {
        std::copy_n(piece.gradient, piece.elements, w);
    } else {
        T* states[kMostStates];
        for (size_t i = 0; i < slots_.size(); ++i) states[i] = slots_[i].data() + piece.offset;
        const T squares = table.update[static_cast<int>(options_.rule.rule)](
            piece.elements, w, piece.gradient, states, rule_of(piece));
        if (plain_ && piece.group == Group::weights) sums.squares += static_cast<double>(squares);
    }
    if (options_.records && piece.group == Group::weights)
        sums.update_squares += table.sum_squared_differences(piece.elements, w, before);
    if (piece.transposed) table.transpose(w, piece.transposed);
}

template <class T>
const RuleStep<T>& Descent<T>::rule_of(const GradientPiece<T>& piece) const {
    if (layer_rules_.empty()) return piece.group == Group::weights ? rule_ : bias_rule_;
    return layer_rules_[static_cast<size_t>(piece.layer)][static_cast<size_t>(piece.group)];
}

template <class T>
void Descent<T>::end_step(const Step& now) {
    ++step;
    const double sum = loss_ + penalty();
    if (!std::isfinite(sum) && not_finite_.place == Place::none)
        not_finite_ = first_not_finite(spec_, first_->factors(), epoch_.first_layer);
    total_ += sum / now.weight_sum * static_cast<double>(now.terms);
    terms_ += now.terms;
    ++steps_;
    if (options_.records) record();
}

// Of the weights before the step; to be divided by the sum of the terms' weights.
template <class T>
double Descent<T>::penalty() const {
    double squares = 0, magnitudes = 0;
    for (const Sums& s : sums_) {
        squares += s.squares;
        magnitudes += s.magnitudes;
    }
    for (int64_t i = 0; embeds() && i < embeddings_->count(); ++i) {
        squares += embeddings_->sums(i).squares;
        magnitudes += embeddings_->sums(i).magnitudes;
    }
    // Without a penalty squares beyond all numbers must not count, times zero.
    if (!(options_.alpha > 0)) return 0;
    return options_.alpha * (0.5 * (1 - options_.l1_ratio) * squares + options_.l1_ratio * magnitudes);
}

template <class T>
void Descent<T>::record() {
    std::vector<Sums>& layers = layer_sums_;
    layers.assign(spec_.layers.size(), Sums{});
    for (int64_t unit = first_strip_; unit < tiling_.size(); ++unit) {
        Sums& layer = layers[static_cast<size_t>(tiling_[unit].layer)];
        const Sums& strip = sums_[static_cast<size_t>(unit)];
        layer.squares += strip.squares;
        layer.gradient_norm = std::hypot(layer.gradient_norm, strip.gradient_norm);
        layer.update_squares += strip.update_squares;
    }
    for (size_t i = static_cast<size_t>(epoch_.first_layer); i < layers.size(); ++i) {
        const double weights = std::sqrt(layers[i].squares);
        recorded_[i].gradient_norm += layers[i].gradient_norm;
        recorded_[i].weight_norm += weights;
        recorded_[i].update_ratio += std::sqrt(layers[i].update_squares) / weights;
    }
}

template <class T>
EpochResult Descent<T>::result() const {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return {terms_ > 0 ? total_ / static_cast<double>(terms_) : none, steps_};
}

template <class T>
bool Descent<T>::state_is_finite() const {
    if (embeddings_ && !embeddings_->state_is_finite()) return false;
    return std::all_of(slots_.begin(), slots_.end(),
                       [&](const Buffer<T>& slot) { return all_finite(slot.data(), spec_.parameters); });
}

template <class T>
NotFinite Descent<T>::not_finite() const {
    if (not_finite_.place != Place::none) return not_finite_;
    const NotFinite found = first_not_finite(spec_, parameters_.values.data());
    if (found.place != Place::none) return found;
    if (embeddings_)
        for (int64_t i = 0; i < embeddings_->count(); ++i)
            if (!embeddings_->finite(i)) return {Place::embeddings, i};
    for (const Buffer<T>& slot : slots_) {
        const NotFinite moment = first_not_finite(spec_, slot.data());
        if (moment.place != Place::none) return {Place::moments, moment.layer};
    }
    if (embeddings_ && !embeddings_->state_is_finite()) return {Place::moments, 0};
    return {};
}

template <class T>
std::vector<LayerRecord> Descent<T>::records() const {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<LayerRecord> means(recorded_.size(), {nan, nan, nan});
    const double steps = static_cast<double>(steps_);
    for (size_t i = static_cast<size_t>(epoch_.first_layer); i < means.size() && steps > 0; ++i)
        means[i] = {recorded_[i].gradient_norm / steps, recorded_[i].weight_norm / steps,
                    recorded_[i].update_ratio / steps};
    return means;
}

template class Descent<float>;
template class Descent<double>;

}  // namespace gdfast
