#include "capi/status.h"

#include <cstring>

namespace gdfast::capi {

namespace {

// Without memory of its own to allocate: where there is none, that has to be said, too.
thread_local char sentence_of_thread[512];

}  // namespace

const char* last_error() { return sentence_of_thread; }

int failed(int status, const char* sentence) {
    std::strncpy(sentence_of_thread, sentence, sizeof(sentence_of_thread) - 1);
    return status;
}

}  // namespace gdfast::capi
