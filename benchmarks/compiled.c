/* Calls of gdfast.h on the smallest problems there are: what remains is the call. See compiled.py. */
#define GDFAST_NO_PYTHON
#include <gdfast.h>

#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Nanoseconds of one call, the least of `rounds` times the mean of `calls`. */
#define MEASURE(call)                                          \
    do {                                                       \
        double least = 1e30;                                   \
        for (int round = 0; round < rounds; ++round) {         \
            const double begin = now();                        \
            for (int i = 0; i < calls; ++i)                    \
                if (call) return -1;                           \
            const double each = (now() - begin) / calls * 1e9; \
            if (each < least) least = each;                    \
        }                                                      \
        return least;                                          \
    } while (0)

double rule_update(const gdfast_api* api, int kind, int rounds, int calls) {
    gdfast_rule rule;
    double param = 0, grad = 1, m = 0, v = 0;
    double* states[2];
    gdfast_table = api;
    states[0] = &m;
    states[1] = &v;
    if (gdfast_rule_init(&rule, sizeof rule, kind)) return -1;
    MEASURE(gdfast_rule_update_f64(&rule, 1 + i, 1, &param, &grad, states));
}

static int make(int n_layers, const int64_t* sizes, gdfast_mlp** mlp) {
    gdfast_mlp_options options;
    if (gdfast_mlp_options_init(&options, sizeof options)) return -1;
    options.n_layers = n_layers;
    options.layer_sizes = sizes;
    options.dtype = GDFAST_FLOAT64;
    options.max_rows = 1;
    return gdfast_mlp_create(&options, mlp);
}

static const int64_t sizes[2] = {1, 1};
static double w = 0.5, b = 0.5, x = 1, y = 1, out, loss, dw, db;
static double *weights[1] = {&w}, *biases[1] = {&b}, *weight_grads[1] = {&dw}, *bias_grads[1] = {&db};

double forward(const gdfast_api* api, int rounds, int calls) {
    gdfast_mlp* mlp;
    gdfast_table = api;
    if (make(1, sizes, &mlp)) return -1;
    MEASURE(gdfast_mlp_forward_f64(mlp, weights, biases, &x, 1, &out));
}

double loss_and_grad(const gdfast_api* api, int rounds, int calls) {
    gdfast_mlp* mlp;
    gdfast_table = api;
    if (make(1, sizes, &mlp)) return -1;
    MEASURE(
        gdfast_mlp_loss_and_grad_f64(mlp, weights, biases, &x, &y, NULL, 1, &loss, weight_grads, bias_grads));
}

double step(const gdfast_api* api, int rounds, int calls) {
    gdfast_mlp* mlp;
    gdfast_rule rule;
    gdfast_table = api;
    if (make(1, sizes, &mlp) || gdfast_rule_init(&rule, sizeof rule, GDFAST_RULE_SGD)) return -1;
    MEASURE(gdfast_mlp_step_f64(mlp, weights, biases, NULL, &x, &y, NULL, 1, &rule, 1, &loss));
}
