#define GDFAST_NO_PYTHON
#include <gdfast.h>

#include <pthread.h>

int init_elsewhere(int kind);
const char* error_elsewhere(void);
int train_elsewhere(void);

int init_elsewhere(int kind) {
    gdfast_rule rule;
    return gdfast_rule_init(&rule, sizeof rule, kind);
}

const char* error_elsewhere(void) { return gdfast_last_error(); }

enum { ROWS = 512, INPUTS = 64, HIDDEN = 128, STEPS = 100 };
static float w0[INPUTS * HIDDEN], b0[HIDDEN], w1[HIDDEN], b1[1], X[ROWS * INPUTS], y[ROWS];

/* A tenth of a second of training: longer than a loop for Python goes without asking for signals. */
static void* train(void* to) {
    const int64_t sizes[] = {INPUTS, HIDDEN, 1};
    float* weights[2];
    float* biases[2];
    gdfast_mlp_options options;
    gdfast_rule rule;
    gdfast_mlp* mlp = NULL;
    int status, step;
    weights[0] = w0, weights[1] = w1, biases[0] = b0, biases[1] = b1;
    gdfast_mlp_options_init(&options, sizeof options);
    gdfast_rule_init(&rule, sizeof rule, GDFAST_RULE_SGD);
    options.n_layers = 2;
    options.layer_sizes = sizes;
    options.n_threads = rule.n_threads = 2;
    status = gdfast_mlp_create(&options, &mlp);
    for (step = 1; step <= STEPS && status == GDFAST_OK; ++step)
        status = gdfast_mlp_step_f32(mlp, weights, biases, NULL, X, y, NULL, ROWS, &rule, step, NULL);
    gdfast_mlp_destroy(mlp);
    *(int*)to = status;
    return NULL;
}

/* The status of training on a thread that Python does not know; the caller waits, and holds the GIL. */
int train_elsewhere(void) {
    int status = -1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, train, &status) != 0) return -1;
    pthread_join(thread, NULL);
    return status;
}
