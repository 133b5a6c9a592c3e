#include "capi/api.h"

#include "capi/mlp.h"
#include "capi/rule.h"
#include "capi/status.h"

namespace gdfast::capi {

namespace {

template <class T>
int forward(gdfast_mlp* mlp, T* const* weights, T* const* biases, const T* X, int64_t n_rows, T* out) {
    return mlp_forward<T>(mlp, {weights, biases}, X, n_rows, out);
}

template <class T>
int loss_and_grad(gdfast_mlp* mlp, T* const* weights, T* const* biases, const T* X, const void* y,
                  const T* sample_weight, int64_t n_rows, double* loss, T* const* weight_grads,
                  T* const* bias_grads) {
    return mlp_loss_and_grad<T>(mlp, {weights, biases}, {X, y, sample_weight, n_rows}, loss,
                                {weight_grads, bias_grads});
}

template <class T>
int training_step(gdfast_mlp* mlp, T* const* weights, T* const* biases, T* const* states, const T* X,
                  const void* y, const T* sample_weight, int64_t n_rows, const gdfast_rule* rule,
                  int64_t step, double* loss) {
    return mlp_step<T>(mlp, {weights, biases}, states, {X, y, sample_weight, n_rows}, rule, step, loss);
}

// In the order of gdfast_api.
//   row(name in gdfast.h without gdfast_, function)
// clang-format off
#define GDFAST_FUNCTIONS(row)                         \
    row(last_error, last_error)                       \
    row(rule_init, rule_init)                         \
    row(rule_state, rule_state)                       \
    row(rule_update_f32, rule_update<float>)          \
    row(rule_update_f64, rule_update<double>)         \
    row(mlp_options_init, mlp_options_init)           \
    row(mlp_create, mlp_create)                       \
    row(mlp_destroy, mlp_destroy)                     \
    row(mlp_forward_f32, forward<float>)              \
    row(mlp_forward_f64, forward<double>)             \
    row(mlp_loss_and_grad_f32, loss_and_grad<float>)  \
    row(mlp_loss_and_grad_f64, loss_and_grad<double>) \
    row(mlp_step_f32, training_step<float>)           \
    row(mlp_step_f64, training_step<double>)
// clang-format on

}  // namespace

#define GDFAST_VALUE(name, function) function,
const gdfast_api kApi = {GDFAST_ABI_VERSION, 0, sizeof(gdfast_api), GDFAST_VERSION,
                         GDFAST_FUNCTIONS(GDFAST_VALUE)};
#undef GDFAST_VALUE

const void* function_named(const std::string& name) {
    std::string known;
#define GDFAST_ENTRY(entry, function)                                               \
    if (name == "gdfast_" #entry) return reinterpret_cast<const void*>(kApi.entry); \
    known += known.empty() ? "gdfast_" #entry : ", gdfast_" #entry;
    GDFAST_FUNCTIONS(GDFAST_ENTRY)
#undef GDFAST_ENTRY
    throw std::invalid_argument("name must be one of " + known + "; got '" + name + "'");
}

}  // namespace gdfast::capi
