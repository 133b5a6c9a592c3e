// The structure of a network: the sizes and activations of its layers, and their offsets in panels.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/kernels.h"
#include "network/buffer.h"

namespace gdfast {

struct ActivationFunction {
    Activation kind = Activation::identity;
    double parameter = 0;
};

struct Layer {
    int64_t in, out;
    ActivationFunction activation;  // of a hidden layer; the loss or the output defines the last one's
    // Computed by Spec: panels, and offsets (in elements) into one array of parameters.
    int64_t in_panels, out_panels;
    int64_t bias, weights, transposed;
    bool narrow;          // so few outputs that the weights are stored transposed only, see Spec
    bool normalized;      // batch normalisation between pre-activation and activation
    int64_t gamma, beta;  // offsets, in a normalised layer
    // For a matrix of a recurrent cell: its outputs are the gates side by side. In panels each gate is padded
    // separately, and the first panels are those of gate `first_gate`.
    int gates = 1, first_gate = 0;

    int64_t elements(int panel) const { return in_panels * out_panels * panel * panel; }
    int64_t weight_panel(int panel) const { return in_panels * panel * panel; }  // elements in one panel of W
    int64_t gate_panels() const { return out_panels / gates; }
    // The first output of panel j, and its number of outputs.
    int64_t column(int64_t j, int panel) const {
        return (first_gate + j / gate_panels()) % gates * (out / gates) + j % gate_panels() * panel;
    }
    int columns(int64_t j, int panel) const {
        return static_cast<int>(std::min<int64_t>(panel, out / gates - j % gate_panels() * panel));
    }
    int64_t transposed_panel(int panel) const { return out_panels * panel * panel; }
};

// The array of an embedded column: `size` inputs of the network for each category.
struct EmbeddingShape {
    int64_t categories, size;
    bool operator==(const EmbeddingShape& other) const {
        return categories == other.categories && size == other.size;
    }
};

// A narrow layer has outputs that would fill only a fraction of a vector. Its columns are the inputs: the
// transposed weights are trained, the backward pass reads them directly, and the forward pass computes dot
// products.
struct Spec {
    std::vector<Layer> layers;
    std::vector<EmbeddingShape> embeddings;  // in the order of their columns
    int panel;
    int64_t parameters = 0;  // elements of all weights and biases in panels
    int64_t transposed = 0;  // elements of the transposed copies of weights for the backward pass

    // A chain of dense layers.
    Spec(const std::vector<int64_t>& units, const std::vector<ActivationFunction>& activations, int panel,
         int lanes, const std::vector<bool>& normalized = {},
         const std::vector<EmbeddingShape>& embeddings = {})
        : embeddings(embeddings), panel(panel) {
        layers.reserve(units.size());
        for (size_t i = 0; i + 1 < units.size(); ++i) {
            Layer layer{};
            layer.in = units[i];
            layer.out = units[i + 1];
            layer.activation = i < activations.size() ? activations[i] : ActivationFunction{};
            // Each panel of a narrow layer is a strip (see Tiling): a million inputs would be too many.
            layer.narrow = layer.out <= lanes / 2 && layer.in > panel && panels(layer.in) < (1 << 16);
            layer.normalized = i < normalized.size() && normalized[i];
            place(layer);
        }
    }

    // Matrices that the caller connects; each has in, out, gates and first_gate set.
    Spec(const std::vector<Layer>& matrices, int panel) : panel(panel) {
        for (const Layer& matrix : matrices) place(matrix);
    }

    int64_t inputs() const { return layers.front().in; }
    int64_t outputs() const { return layers.back().out; }

    // Multiply-adds of the forward pass of one row.
    double work_per_row() const {
        double work = 0;
        for (const Layer& l : layers) work += static_cast<double>(l.in) * static_cast<double>(l.out);
        return work;
    }

private:
    int64_t panels(int64_t n) const { return divided_up(n, panel); }

    void place(Layer layer) {
        layer.in_panels = panels(layer.in);
        layer.out_panels = layer.gates * panels(layer.out / layer.gates);
        const int64_t elements =
            checked_product(checked_product(layer.in_panels, layer.out_panels), panel * panel);
        layer.bias = parameters;
        parameters += layer.out_panels * panel;
        layer.weights = parameters;
        parameters += elements;
        if (layer.narrow) {
            layer.transposed = layer.weights;
        } else {
            layer.transposed = transposed;
            if (!layers.empty()) transposed += elements;  // the first layer needs no deltas of its inputs
        }
        if (layer.normalized) {
            layer.gamma = parameters;
            layer.beta = layer.gamma + layer.out_panels * panel;
            parameters = layer.beta + layer.out_panels * panel;
        }
        checked_product(parameters, 8);
        layers.push_back(layer);
    }
};

}  // namespace gdfast
