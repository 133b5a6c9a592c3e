# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A network that learns a system from its own measurements, one row at a time, without the GIL."""

import numpy as np

from libc.math cimport sin, tanh
from libc.stdint cimport int32_t, int64_t, uint64_t

from gdfast cimport (
    GDFAST_ACTIVATION_TANH,
    GDFAST_FLOAT64,
    GDFAST_OK,
    GDFAST_RULE_ADAM,
    gdfast_import,
    gdfast_last_error,
    gdfast_mlp,
    gdfast_mlp_create,
    gdfast_mlp_destroy,
    gdfast_mlp_forward_f64,
    gdfast_mlp_options,
    gdfast_mlp_options_init,
    gdfast_mlp_step_f64,
    gdfast_rule,
    gdfast_rule_init,
)

gdfast_import()


cdef int check(int status) except -1:
    """Raise what a status says."""
    if status != GDFAST_OK:
        raise RuntimeError(gdfast_last_error().decode())
    return 0


cdef double measurement(double output, double control) noexcept nogil:
    """The system that is to be learnt: its next output."""
    return 0.6 * output + tanh(control) * (1 - 0.4 * output * output)


cdef class OnlineRegressor:
    """The next output of a system, from its output and its control, by an MLP with one hidden layer.

    ``weights`` and ``biases`` are NumPy arrays, as `gdfast.kernels.mlp_forward` takes them.
    """

    cdef readonly list weights, biases
    cdef readonly int64_t n_steps
    cdef list states  # Adam's m and v of weights[0], biases[0], weights[1], biases[1]
    cdef gdfast_mlp* mlp
    cdef gdfast_rule rule
    cdef double output

    def __cinit__(self, int64_t n_hidden=32, double lr=3e-3, seed=0):
        cdef int64_t[3] sizes = [2, n_hidden, 1]
        cdef int32_t[1] activations = [GDFAST_ACTIVATION_TANH]
        cdef gdfast_mlp_options options
        check(gdfast_mlp_options_init(&options, sizeof(options)))
        options.dtype = GDFAST_FLOAT64
        options.n_layers = 2
        options.layer_sizes = sizes
        options.activations = activations
        options.max_rows = 1
        check(gdfast_mlp_create(&options, &self.mlp))
        check(gdfast_rule_init(&self.rule, sizeof(self.rule), GDFAST_RULE_ADAM))
        self.rule.lr = lr
        rng = np.random.default_rng(seed)
        self.weights = [rng.normal(size=(2, n_hidden)), rng.normal(size=(n_hidden, 1)) / np.sqrt(n_hidden)]
        self.biases = [np.zeros(n_hidden), np.zeros(1)]
        arrays = (self.weights[0], self.biases[0], self.weights[1], self.biases[1])
        self.states = [np.zeros_like(array) for array in arrays for _ in range(2)]

    def __dealloc__(self):
        gdfast_mlp_destroy(self.mlp)

    def learn(self, int64_t n_steps):
        """Watch the system for so many steps, learning from each; returns the mean squared error.

        An error is that of the prediction before the row has been learnt.
        """
        cdef double* weights[2]
        cdef double* biases[2]
        cdef double* states[8]
        cdef double[::1] flat
        cdef double[2] x
        cdef double y, loss, total = 0
        cdef int i, status = GDFAST_OK
        cdef int64_t t
        for i in range(2):
            flat = self.weights[i].reshape(-1)
            weights[i] = &flat[0]
            flat = self.biases[i]
            biases[i] = &flat[0]
        for i in range(8):
            flat = self.states[i].reshape(-1)
            states[i] = &flat[0]
        with nogil:
            for t in range(n_steps):
                x[0] = self.output
                x[1] = 2 * sin(0.37 * self.n_steps) + sin(0.011 * self.n_steps)
                self.output = y = measurement(x[0], x[1])
                self.n_steps += 1
                status = gdfast_mlp_step_f64(
                    self.mlp, weights, biases, states, x, &y, NULL, 1, &self.rule, self.n_steps, &loss
                )
                if status != GDFAST_OK:
                    break
                total += 2 * loss  # squared_error is half the square
        check(status)
        return total / n_steps

    def predict(self, const double[:, ::1] X):
        """The next outputs for rows of output and control."""
        cdef double* weights[2]
        cdef double* biases[2]
        cdef double[::1] flat
        cdef double[::1] out = np.empty(X.shape[0])
        cdef int i, status = GDFAST_OK
        cdef Py_ssize_t row
        for i in range(2):
            flat = self.weights[i].reshape(-1)
            weights[i] = &flat[0]
            flat = self.biases[i]
            biases[i] = &flat[0]
        with nogil:
            for row in range(X.shape[0]):
                status = gdfast_mlp_forward_f64(self.mlp, weights, biases, &X[row, 0], 1, &out[row])
                if status != GDFAST_OK:
                    break
        check(status)
        return np.asarray(out)
