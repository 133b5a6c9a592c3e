// The loop over a training's steps. A step has a first half, from a batch to the deltas of every layer, and a
// second one, from those to the gradient and to what is done with it. Both are lists of phases.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "network/team.h"
#include "training/tiles.h"

namespace gdfast {

// One of the things that a step does one after another.
struct Phase {
    // Cut into units, in shares for the threads, as a Plan does it. Null: one unit, which the calling thread
    // does outside of any parallel region, and which may throw.
    std::function<void(int threads, int64_t* bounds)> divide;
    // Units may run in any order, on any thread.
    Work work;
    // Whether, until it has ended, the step can be given up: no weight has changed.
    bool can_give_up;
};

// What is known of a step before it begins.
struct Step {
    int64_t number;  // among the steps that the epoch could have, of which some may be left out
    int64_t terms;   // of its loss: rows, sequences, or steps of sequences
    // Of the terms; it divides the loss. Zero: there is no mean, hence no gradient.
    double weight_sum;
};

// The steps that several trainers take together, each with the same weights and with rows of its own: a batch
// is the rows that they have in it, of which some may have none. What is said of a batch is by the number of
// its step.
struct SharedSteps {
    int64_t count;              // as many for every trainer
    const double* weight_sums;  // of the whole batch
    const int64_t* terms;       // of the whole batch
    const int64_t* first_rows;  // where this trainer's rows begin among the batch's
    // Called in every step that weighs anything when this trainer's part of the gradient has been summed
    // (Descent::sums()), to add to it the parts of the others. Where, and what if it throws: as for
    // EpochOptions::on_gradient. Once it has returned, Ctrl-C does not give up the step any more.
    std::function<void()> add_up;
};

// Reads batches, and takes each forward, through the loss, and back.
template <class T>
class FirstHalf {
public:
    virtual ~FirstHalf() = default;

    // Called once, before the first step.
    virtual std::vector<Phase> phases() = 0;
    // Moves to the next step; returns false if there is none. A step without weight is not begun, unless
    // it has to be passed through all the same.
    virtual bool next(int threads) = 0;
    virtual bool passes_without_weight() const { return false; }
    virtual void begin_step() = 0;
    virtual void end_step() {}
    // In the place of end_step(): takes back whatever the phases have changed.
    virtual void give_up() {}

    const Step& step() const { return step_; }
    // What the phases leave: what to multiply, and the sum of the terms' losses.
    const Factors<T>& factors() const { return factors_; }
    virtual double sum_losses() const = 0;
    // What that sum is divided by to be reported, beside the weights: see LossFunction.
    virtual double loss_divisor() const { return 1; }

protected:
    explicit FirstHalf(Factors<T> factors) : factors_(std::move(factors)) {}
    void set_rows(int64_t rows) {
        for (int64_t& of_layer : factors_.rows) of_layer = rows;
    }

    Step step_{0, 0, 0};
    Factors<T> factors_;
};

// Sums the gradient and uses it. Takes no part in steps without weight.
template <class T>
class SecondHalf {
public:
    virtual ~SecondHalf() = default;

    // Called once, before the first step.
    virtual std::vector<Phase> phases(const FirstHalf<T>& first) = 0;
    virtual void begin_step(const Step& step) = 0;
    virtual void end_step(const Step& step) = 0;
};

// The phases of both halves, to be run once or again and again.
template <class T>
class StepLoop {
public:
    StepLoop(FirstHalf<T>& first, SecondHalf<T>& second);

    // Runs all steps: one parallel region, or, where a phase is for the calling thread, one after another.
    // The calling thread's Interruption ends it after a whole step, or in a phase that leaves the step to be
    // given up. An exception gives the step up, too; phases that change weights do not throw. On one thread
    // the loop itself allocates nothing.
    void run(int threads);

private:
    FirstHalf<T>& first_;
    SecondHalf<T>& second_;
    std::vector<Phase> phases_;
    size_t without_weight_;  // phases of a step without weight
};

template <class T>
void run_steps(FirstHalf<T>& first, SecondHalf<T>& second, int threads) {
    StepLoop<T>(first, second).run(threads);
}

}  // namespace gdfast
