/* A module of two files: this one imports gdfast, the other one calls it. */
#include <gdfast.h>

int init_elsewhere(int kind);
const char* error_elsewhere(void);
int train_elsewhere(void);

static PyObject* load(PyObject* self, PyObject* arguments) {
    (void)self;
    (void)arguments;
    if (gdfast_import() < 0) return NULL;
    Py_RETURN_NONE;
}

/* The status of gdfast_rule_init(), called in the other file without the GIL. */
static PyObject* init(PyObject* self, PyObject* kind) {
    const int number = (int)PyLong_AsLong(kind);
    int status;
    (void)self;
    Py_BEGIN_ALLOW_THREADS;
    status = init_elsewhere(number);
    Py_END_ALLOW_THREADS;
    return PyLong_FromLong(status);
}

static PyObject* error(PyObject* self, PyObject* arguments) {
    (void)self;
    (void)arguments;
    return PyUnicode_FromString(error_elsewhere());
}

/* Keeps the GIL. */
static PyObject* train(PyObject* self, PyObject* arguments) {
    (void)self;
    (void)arguments;
    return PyLong_FromLong(train_elsewhere());
}

static PyMethodDef methods[] = {{"load", load, METH_NOARGS, NULL},
                                {"init", init, METH_O, NULL},
                                {"error", error, METH_NOARGS, NULL},
                                {"train", train, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "probe", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_probe(void) { return PyModule_Create(&module); }
