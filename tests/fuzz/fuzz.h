/* A fuzz target is one function of libFuzzer's shape; see driver.c for the two ways to build it. */
#pragma once

#include "base/types.h"

/* Any bytes, which it must not change. Returns 0; what must not happen ends the process (CHECK, a
 * sanitizer). It keeps nothing between two calls, so that one input alone shows a failure again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
