# gdfast from Cython 3. `from gdfast cimport ...` with include_path=[gdfast.get_include()]; gdfast.h says what
# the functions do. A module calls gdfast_import() once, on import.
from libc.stdint cimport int32_t, int64_t, uint32_t

cdef extern from "gdfast.h":
    enum:
        GDFAST_ABI_VERSION

    enum:
        GDFAST_OK
        GDFAST_INVALID_ARGUMENT
        GDFAST_OUT_OF_MEMORY
        GDFAST_IN_USE
        GDFAST_NOT_IMPORTED
        GDFAST_INTERNAL_ERROR

    enum:
        GDFAST_RULE_SGD
        GDFAST_RULE_ADAGRAD
        GDFAST_RULE_RMSPROP
        GDFAST_RULE_ADADELTA
        GDFAST_RULE_ADAM
        GDFAST_RULE_ADAMW
        GDFAST_RULE_NADAM
        GDFAST_RULE_ADAMAX
        GDFAST_RULE_LION
        GDFAST_RULE_RPROP

    enum:
        GDFAST_EPS_OUTSIDE
        GDFAST_EPS_UNCORRECTED
        GDFAST_EPS_INSIDE

    enum:
        GDFAST_FLOAT32
        GDFAST_FLOAT64

    enum:
        GDFAST_ACTIVATION_IDENTITY
        GDFAST_ACTIVATION_LOGISTIC
        GDFAST_ACTIVATION_TANH
        GDFAST_ACTIVATION_RELU
        GDFAST_ACTIVATION_LEAKY_RELU
        GDFAST_ACTIVATION_ELU
        GDFAST_ACTIVATION_SELU
        GDFAST_ACTIVATION_GELU
        GDFAST_ACTIVATION_GELU_TANH
        GDFAST_ACTIVATION_SILU
        GDFAST_ACTIVATION_MISH
        GDFAST_ACTIVATION_SOFTPLUS
        GDFAST_ACTIVATION_SOFTSIGN
        GDFAST_ACTIVATION_HARD_TANH

    enum:
        GDFAST_OUTPUT_OF_LOSS
        GDFAST_OUTPUT_IDENTITY
        GDFAST_OUTPUT_SOFTMAX
        GDFAST_OUTPUT_LOGISTIC
        GDFAST_OUTPUT_EXP
        GDFAST_OUTPUT_QUANTILES

    enum:
        GDFAST_LOSS_NONE
        GDFAST_LOSS_CROSS_ENTROPY
        GDFAST_LOSS_BINARY_CROSS_ENTROPY
        GDFAST_LOSS_SQUARED_ERROR
        GDFAST_LOSS_POISSON
        GDFAST_LOSS_ABSOLUTE_ERROR
        GDFAST_LOSS_HUBER
        GDFAST_LOSS_QUANTILE

    ctypedef struct gdfast_rule:
        size_t struct_size
        int32_t kind
        int32_t n_threads
        double lr
        double weight_decay
        double momentum
        double dampening
        int32_t nesterov
        int32_t dampen_first
        int32_t lr_in_velocity
        int32_t amsgrad
        int32_t centered
        int32_t decoupled_weight_decay
        double beta_1
        double beta_2
        double eps
        int32_t eps_mode
        double alpha
        double rho
        double lr_decay
        double initial_accumulator_value
        double momentum_decay
        double eta_minus
        double eta_plus
        double least_step_size
        double most_step_size

    ctypedef struct gdfast_mlp_options:
        size_t struct_size
        int32_t dtype
        int32_t n_layers
        const int64_t* layer_sizes
        const int32_t* activations
        const double* activation_parameters
        int32_t output
        int32_t loss
        int32_t n_loss_parameters
        int32_t n_threads
        const double* loss_parameters
        double alpha
        int64_t max_rows

    ctypedef struct gdfast_mlp:
        pass

    int gdfast_import() except -1

    const char* gdfast_last_error() noexcept nogil

    int gdfast_rule_init(gdfast_rule* rule, size_t struct_size, int kind) noexcept nogil
    int gdfast_rule_state(
        const gdfast_rule* rule, int index, const char** name, double* initial
    ) noexcept nogil
    int gdfast_rule_update_f32(
        const gdfast_rule* rule, int64_t step, int64_t n, float* param, const float* grad, float** states
    ) noexcept nogil
    int gdfast_rule_update_f64(
        const gdfast_rule* rule, int64_t step, int64_t n, double* param, const double* grad, double** states
    ) noexcept nogil

    int gdfast_mlp_options_init(gdfast_mlp_options* options, size_t struct_size) noexcept nogil
    int gdfast_mlp_create(const gdfast_mlp_options* options, gdfast_mlp** mlp) noexcept nogil
    void gdfast_mlp_destroy(gdfast_mlp* mlp) noexcept nogil
    int gdfast_mlp_forward_f32(
        gdfast_mlp* mlp, float** weights, float** biases, const float* X, int64_t n_rows, float* out
    ) noexcept nogil
    int gdfast_mlp_forward_f64(
        gdfast_mlp* mlp, double** weights, double** biases, const double* X, int64_t n_rows, double* out
    ) noexcept nogil
    int gdfast_mlp_loss_and_grad_f32(
        gdfast_mlp* mlp, float** weights, float** biases, const float* X, const void* y,
        const float* sample_weight, int64_t n_rows, double* loss, float** weight_grads, float** bias_grads
    ) noexcept nogil
    int gdfast_mlp_loss_and_grad_f64(
        gdfast_mlp* mlp, double** weights, double** biases, const double* X, const void* y,
        const double* sample_weight, int64_t n_rows, double* loss, double** weight_grads, double** bias_grads
    ) noexcept nogil
    int gdfast_mlp_step_f32(
        gdfast_mlp* mlp, float** weights, float** biases, float** states, const float* X, const void* y,
        const float* sample_weight, int64_t n_rows, const gdfast_rule* rule, int64_t step, double* loss
    ) noexcept nogil
    int gdfast_mlp_step_f64(
        gdfast_mlp* mlp, double** weights, double** biases, double** states, const double* X, const void* y,
        const double* sample_weight, int64_t n_rows, const gdfast_rule* rule, int64_t step, double* loss
    ) noexcept nogil
