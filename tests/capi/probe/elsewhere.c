#define GDFAST_NO_PYTHON
#include <gdfast.h>

int init_elsewhere(int kind);
const char* error_elsewhere(void);

int init_elsewhere(int kind) {
    gdfast_rule rule;
    return gdfast_rule_init(&rule, sizeof rule, kind);
}

const char* error_elsewhere(void) { return gdfast_last_error(); }
