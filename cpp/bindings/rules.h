// The optimizer rules as Python names them.
#pragma once

#include "bindings/arrays.h"
#include "training/rule.h"

namespace gdfast {

// A rule and its hyper-parameters; raises ValueError or TypeError that name what is wrong.
RuleSpec rule_named(const std::string& name, const py::dict& params);

void register_optimizer(py::module_& m);

}  // namespace gdfast
