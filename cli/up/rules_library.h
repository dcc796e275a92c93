/* The rules that `up` has by itself: copies of the library's definitions (base/library.h). */
#pragma once

#include "base/error.h"

/* Makes rules_dir with a copy of each definition that has `on`; one that is there is left as it is,
 * for it is its owner's by then. *ret_count = how many were copied. No library: it is made empty. */
int library_fill(const char *rules_dir, size_t *ret_count, struct error *reterr) MUST_CHECK;
