// gdfast.h as the library itself sees it.
#pragma once

#define GDFAST_NO_PYTHON
#include "gdfast.h"
