/* gdfast from compiled code: C99 and C++, without the GIL. docs/compiled.md has examples.
 *
 * A module calls gdfast_import() once, when it is loaded; from then on every function below can be called
 * from any of its files and threads, with or without the GIL. No function touches Python, and none throws.
 *
 * Functions return a status, GDFAST_OK or the reason why nothing has been written; gdfast_last_error() has
 * the sentence. Arrays are C-contiguous, aligned, and of one type: float in functions that end in _f32,
 * double in those that end in _f64. What is written must not share memory with anything else in the call.
 */
#ifndef GDFAST_H
#define GDFAST_H

/* GDFAST_NO_PYTHON leaves out gdfast_import(), for files of C or C++ that do not know Python. The file that
 * imports includes gdfast.h before any header that includes it so. */
#ifndef GDFAST_NO_PYTHON
#include <Python.h>
#endif

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes where something is taken away or means another thing. What is added changes sizes only. */
#define GDFAST_ABI_VERSION 1
#define GDFAST_CAPSULE "gdfast._core._C_API"

enum {
    GDFAST_OK = 0,
    GDFAST_INVALID_ARGUMENT = 1,
    GDFAST_OUT_OF_MEMORY = 2,
    GDFAST_IN_USE = 3,       /* another thread is at work with this gdfast_mlp */
    GDFAST_NOT_IMPORTED = 4, /* gdfast_import() has not been called, or has failed */
    GDFAST_INTERNAL_ERROR = 5
};

/* ------------------------------------------------------------------------------------- optimizer rules */

enum {
    GDFAST_RULE_SGD = 0,
    GDFAST_RULE_ADAGRAD = 1,
    GDFAST_RULE_RMSPROP = 2,
    GDFAST_RULE_ADADELTA = 3,
    GDFAST_RULE_ADAM = 4,
    GDFAST_RULE_ADAMW = 5,
    GDFAST_RULE_NADAM = 6,
    GDFAST_RULE_ADAMAX = 7,
    GDFAST_RULE_LION = 8,
    GDFAST_RULE_RPROP = 9
};

/* Where eps is added; see gdfast.optim.Adam. */
enum { GDFAST_EPS_OUTSIDE = 0, GDFAST_EPS_UNCORRECTED = 1, GDFAST_EPS_INSIDE = 2 };

/* A rule with its hyper-parameters, which have the names, meanings and defaults of the class in gdfast.optim.
 * A rule reads its own, and ignores those of others. Any may change between steps, if the arrays of state
 * stay. */
typedef struct gdfast_rule {
    size_t struct_size; /* set by gdfast_rule_init() */
    int32_t kind;       /* GDFAST_RULE_... */
    int32_t n_threads;  /* the most threads to use; 1 */
    double lr;
    double weight_decay;
    double momentum;                /* SGD, RMSprop */
    double dampening;               /* SGD */
    int32_t nesterov;               /* SGD; this and what follows of int32_t: 0 or 1 */
    int32_t dampen_first;           /* SGD */
    int32_t lr_in_velocity;         /* SGD */
    int32_t amsgrad;                /* Adam, AdamW */
    int32_t centered;               /* RMSprop */
    int32_t decoupled_weight_decay; /* NAdam */
    double beta_1, beta_2;          /* Adam, AdamW, NAdam, Adamax, Lion: betas */
    double eps;                     /* all but SGD, Lion and Rprop */
    int32_t eps_mode;               /* RMSprop, Adam, AdamW: GDFAST_EPS_... */
    int32_t reserved;
    double alpha;                           /* RMSprop */
    double rho;                             /* Adadelta */
    double lr_decay;                        /* Adagrad */
    double initial_accumulator_value;       /* Adagrad: what fills its state at first */
    double momentum_decay;                  /* NAdam */
    double eta_minus, eta_plus;             /* Rprop: etas */
    double least_step_size, most_step_size; /* Rprop: step_sizes */
} gdfast_rule;

/* ------------------------------------------------------------------------------ multilayer perceptrons */

enum { GDFAST_FLOAT32 = 0, GDFAST_FLOAT64 = 1 };

enum {
    GDFAST_ACTIVATION_IDENTITY = 0,
    GDFAST_ACTIVATION_LOGISTIC = 1,
    GDFAST_ACTIVATION_TANH = 2,
    GDFAST_ACTIVATION_RELU = 3,
    GDFAST_ACTIVATION_LEAKY_RELU = 4,
    GDFAST_ACTIVATION_ELU = 5,
    GDFAST_ACTIVATION_SELU = 6,
    GDFAST_ACTIVATION_GELU = 7,
    GDFAST_ACTIVATION_GELU_TANH = 8,
    GDFAST_ACTIVATION_SILU = 9,
    GDFAST_ACTIVATION_MISH = 10,
    GDFAST_ACTIVATION_SOFTPLUS = 11,
    GDFAST_ACTIVATION_SOFTSIGN = 12,
    GDFAST_ACTIVATION_HARD_TANH = 13
};

enum {
    GDFAST_OUTPUT_OF_LOSS = -1, /* that of the loss; identity where there is none */
    GDFAST_OUTPUT_IDENTITY = 0,
    GDFAST_OUTPUT_SOFTMAX = 1,
    GDFAST_OUTPUT_LOGISTIC = 2,
    GDFAST_OUTPUT_EXP = 3,
    GDFAST_OUTPUT_QUANTILES = 4
};

enum {
    GDFAST_LOSS_NONE = -1, /* for the forward pass only: it needs less memory */
    GDFAST_LOSS_CROSS_ENTROPY = 0,
    GDFAST_LOSS_BINARY_CROSS_ENTROPY = 1,
    GDFAST_LOSS_SQUARED_ERROR = 2,
    GDFAST_LOSS_POISSON = 3,
    GDFAST_LOSS_ABSOLUTE_ERROR = 4,
    GDFAST_LOSS_HUBER = 5,
    GDFAST_LOSS_QUANTILE = 6
};

/* What a network is. gdfast_mlp_create() copies everything, also what pointers point to. */
typedef struct gdfast_mlp_options {
    size_t struct_size;         /* set by gdfast_mlp_options_init() */
    int32_t dtype;              /* GDFAST_FLOAT32 (default) or GDFAST_FLOAT64 */
    int32_t n_layers;           /* of weights: the hidden layers and the output layer; required */
    const int64_t* layer_sizes; /* n_layers + 1: inputs, each hidden layer, outputs; required */
    const int32_t* activations; /* n_layers - 1, one for each hidden layer; NULL (default): relu */
    /* n_layers - 1: the slope of leaky_relu and alpha of elu. NaN: the default, 0.01 and 1; so does NULL.
     * Other activations have none, and ignore it. */
    const double* activation_parameters;
    int32_t output; /* of gdfast_mlp_forward: GDFAST_OUTPUT_..., that of the loss by default */
    int32_t loss;   /* GDFAST_LOSS_..., squared_error by default */
    /* Of huber: delta; of quantile: one quantile for each output; of cross_entropy: the label smoothing. */
    int32_t n_loss_parameters;
    int32_t n_threads;             /* the most threads to use; 1 by default */
    const double* loss_parameters; /* n_loss_parameters */
    double alpha;                  /* the L2 penalty, 0 by default: see gdfast.kernels.mlp_loss_and_grad */
    int64_t max_rows; /* the most rows of one call, which saves memory; 0 (default): any number */
} gdfast_mlp_options;

/* A network without weights, with the memory that its passes need. Different ones are independent; one is not
 * for two threads at once (GDFAST_IN_USE). */
typedef struct gdfast_mlp gdfast_mlp;

/* ----------------------------------------------------------------------------------------- the functions */

/* The table of the capsule. Only the end may grow while the version of the ABI stays. What the functions do
 * is said below, where they have their names. */
typedef struct gdfast_api {
    /* These three stay where they are in every version. */
    uint32_t abi_version;
    uint32_t reserved;
    size_t size; /* of the whole table, in bytes */
    const char* version;

    const char* (*last_error)(void);
    int (*rule_init)(gdfast_rule* rule, size_t struct_size, int kind);
    int (*rule_state)(const gdfast_rule* rule, int index, const char** name, double* initial);
    int (*rule_update_f32)(const gdfast_rule* rule, int64_t step, int64_t n, float* param, const float* grad,
                           float* const* states);
    int (*rule_update_f64)(const gdfast_rule* rule, int64_t step, int64_t n, double* param,
                           const double* grad, double* const* states);
    int (*mlp_options_init)(gdfast_mlp_options* options, size_t struct_size);
    int (*mlp_create)(const gdfast_mlp_options* options, gdfast_mlp** mlp);
    void (*mlp_destroy)(gdfast_mlp* mlp);
    int (*mlp_forward_f32)(gdfast_mlp* mlp, float* const* weights, float* const* biases, const float* X,
                           int64_t n_rows, float* out);
    int (*mlp_forward_f64)(gdfast_mlp* mlp, double* const* weights, double* const* biases, const double* X,
                           int64_t n_rows, double* out);
    int (*mlp_loss_and_grad_f32)(gdfast_mlp* mlp, float* const* weights, float* const* biases, const float* X,
                                 const void* y, const float* sample_weight, int64_t n_rows, double* loss,
                                 float* const* weight_grads, float* const* bias_grads);
    int (*mlp_loss_and_grad_f64)(gdfast_mlp* mlp, double* const* weights, double* const* biases,
                                 const double* X, const void* y, const double* sample_weight, int64_t n_rows,
                                 double* loss, double* const* weight_grads, double* const* bias_grads);
    int (*mlp_step_f32)(gdfast_mlp* mlp, float* const* weights, float* const* biases, float* const* states,
                        const float* X, const void* y, const float* sample_weight, int64_t n_rows,
                        const gdfast_rule* rule, int64_t step, double* loss);
    int (*mlp_step_f64)(gdfast_mlp* mlp, double* const* weights, double* const* biases, double* const* states,
                        const double* X, const void* y, const double* sample_weight, int64_t n_rows,
                        const gdfast_rule* rule, int64_t step, double* loss);
} gdfast_api;

/* One variable for all files of a module, and none that another module could see. */
#if defined(_WIN32)
__declspec(selectany) const gdfast_api* gdfast_table = NULL;
#else
extern __attribute__((weak, visibility("hidden"))) const gdfast_api* gdfast_table;
const gdfast_api* gdfast_table = NULL;
#endif

#define GDFAST_CALL(function, arguments) \
    (gdfast_table ? gdfast_table->function arguments : (int)GDFAST_NOT_IMPORTED)

#ifndef GDFAST_NO_PYTHON
/* Imports gdfast for the whole module. Returns 0, or -1 with a Python exception set: ImportError where gdfast
 * is missing or does not fit this header. With the GIL. */
static inline int gdfast_import(void) {
    const gdfast_api* api;
    PyObject* capsule;
    PyObject* core = PyImport_ImportModule("gdfast._core");
    if (!core) return -1;
    capsule = PyObject_GetAttrString(core, "_C_API");
    Py_DECREF(core);
    if (!capsule) {
        PyErr_SetString(PyExc_ImportError, "the installed gdfast has no C API, which came with version 0.2");
        return -1;
    }
    api = (const gdfast_api*)PyCapsule_GetPointer(capsule, GDFAST_CAPSULE);
    Py_DECREF(capsule); /* the table is a constant of gdfast._core, which is never unloaded */
    if (!api) return -1;
    if (api->abi_version != GDFAST_ABI_VERSION) {
        PyErr_Format(
            PyExc_ImportError,
            "compiled against gdfast.h of ABI %u, but the installed gdfast %s has ABI %u: compile the "
            "module again with the gdfast.h of that version, or install a gdfast of ABI %u",
            (unsigned)GDFAST_ABI_VERSION, api->version, (unsigned)api->abi_version,
            (unsigned)GDFAST_ABI_VERSION);
        return -1;
    }
    if (api->size < sizeof(gdfast_api)) {
        PyErr_Format(
            PyExc_ImportError,
            "compiled against a newer gdfast.h, whose table has %zu bytes, where that of the installed "
            "gdfast %s has %zu: upgrade gdfast, or compile the module again with the gdfast.h of that "
            "version",
            sizeof(gdfast_api), api->version, api->size);
        return -1;
    }
    gdfast_table = api;
    return 0;
}
#endif

/* Why the last call that failed on this thread has failed; it stays until another one fails. */
static inline const char* gdfast_last_error(void) {
    return gdfast_table ? gdfast_table->last_error() : "gdfast_import() has not been called, or has failed";
}

/* Sets a rule's defaults. struct_size: sizeof(gdfast_rule); kind: GDFAST_RULE_... */
static inline int gdfast_rule_init(gdfast_rule* rule, size_t struct_size, int kind) {
    return GDFAST_CALL(rule_init, (rule, struct_size, kind));
}

/* The rule's array of state number `index`, from 0: its name in gdfast.optim and what fills it before the
 * first step. Where there is none of this number the name is NULL. Either may be NULL. */
static inline int gdfast_rule_state(const gdfast_rule* rule, int index, const char** name, double* initial) {
    return GDFAST_CALL(rule_state, (rule, index, name, initial));
}

/* One step of a rule on n numbers: param and the arrays of state are changed in place. step: 1 for the first.
 * states: a pointer for each array that gdfast_rule_state() names, each of n numbers; NULL where there are
 * none. */
static inline int gdfast_rule_update_f32(const gdfast_rule* rule, int64_t step, int64_t n, float* param,
                                         const float* grad, float* const* states) {
    return GDFAST_CALL(rule_update_f32, (rule, step, n, param, grad, states));
}
static inline int gdfast_rule_update_f64(const gdfast_rule* rule, int64_t step, int64_t n, double* param,
                                         const double* grad, double* const* states) {
    return GDFAST_CALL(rule_update_f64, (rule, step, n, param, grad, states));
}

/* Sets the defaults. struct_size: sizeof(gdfast_mlp_options). */
static inline int gdfast_mlp_options_init(gdfast_mlp_options* options, size_t struct_size) {
    return GDFAST_CALL(mlp_options_init, (options, struct_size));
}

/* Makes a network, to be given back to gdfast_mlp_destroy(). All memory is allocated here: on one thread, the
 * functions below allocate nothing. Where this fails, *mlp is NULL. */
static inline int gdfast_mlp_create(const gdfast_mlp_options* options, gdfast_mlp** mlp) {
    return GDFAST_CALL(mlp_create, (options, mlp));
}
/* mlp may be NULL. */
static inline void gdfast_mlp_destroy(gdfast_mlp* mlp) {
    if (gdfast_table) gdfast_table->mlp_destroy(mlp);
}

/* The network's outputs for n_rows rows, as gdfast.kernels.mlp_forward computes them.
 *   weights: n_layers arrays (layer_sizes[l], layer_sizes[l + 1]); biases: n_layers arrays (layer_sizes[l +
 * 1]) X: (n_rows, inputs); out: (n_rows, outputs) */
static inline int gdfast_mlp_forward_f32(gdfast_mlp* mlp, float* const* weights, float* const* biases,
                                         const float* X, int64_t n_rows, float* out) {
    return GDFAST_CALL(mlp_forward_f32, (mlp, weights, biases, X, n_rows, out));
}
static inline int gdfast_mlp_forward_f64(gdfast_mlp* mlp, double* const* weights, double* const* biases,
                                         const double* X, int64_t n_rows, double* out) {
    return GDFAST_CALL(mlp_forward_f64, (mlp, weights, biases, X, n_rows, out));
}

/* The mean loss over n_rows rows (at least one) and its gradient, as gdfast.kernels.mlp_loss_and_grad
 * computes them. y: int32_t (n_rows) with classes from 0 for cross_entropy; (n_rows, 1) for quantile; else
 * (n_rows, outputs) sample_weight: (n_rows), whose sum is not 0, or NULL loss: where the loss goes, or NULL;
 * weight_grads and bias_grads: of the shapes of weights and biases */
static inline int gdfast_mlp_loss_and_grad_f32(gdfast_mlp* mlp, float* const* weights, float* const* biases,
                                               const float* X, const void* y, const float* sample_weight,
                                               int64_t n_rows, double* loss, float* const* weight_grads,
                                               float* const* bias_grads) {
    return GDFAST_CALL(mlp_loss_and_grad_f32,
                       (mlp, weights, biases, X, y, sample_weight, n_rows, loss, weight_grads, bias_grads));
}
static inline int gdfast_mlp_loss_and_grad_f64(gdfast_mlp* mlp, double* const* weights, double* const* biases,
                                               const double* X, const void* y, const double* sample_weight,
                                               int64_t n_rows, double* loss, double* const* weight_grads,
                                               double* const* bias_grads) {
    return GDFAST_CALL(mlp_loss_and_grad_f64,
                       (mlp, weights, biases, X, y, sample_weight, n_rows, loss, weight_grads, bias_grads));
}

/* One training step: gdfast_mlp_loss_and_grad, then gdfast_rule_update of every array of weights and biases,
 * in place. `loss` is that before the update. states: the arrays of state of weights[0], then those of
 * biases[0], of weights[1], and so on: 2 n_layers times as many as gdfast_rule_state() names; NULL where
 * there are none */
static inline int gdfast_mlp_step_f32(gdfast_mlp* mlp, float* const* weights, float* const* biases,
                                      float* const* states, const float* X, const void* y,
                                      const float* sample_weight, int64_t n_rows, const gdfast_rule* rule,
                                      int64_t step, double* loss) {
    return GDFAST_CALL(mlp_step_f32,
                       (mlp, weights, biases, states, X, y, sample_weight, n_rows, rule, step, loss));
}
static inline int gdfast_mlp_step_f64(gdfast_mlp* mlp, double* const* weights, double* const* biases,
                                      double* const* states, const double* X, const void* y,
                                      const double* sample_weight, int64_t n_rows, const gdfast_rule* rule,
                                      int64_t step, double* loss) {
    return GDFAST_CALL(mlp_step_f64,
                       (mlp, weights, biases, states, X, y, sample_weight, n_rows, rule, step, loss));
}

#undef GDFAST_CALL

#ifdef __cplusplus
}
#endif

#endif /* GDFAST_H */
