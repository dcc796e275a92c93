/* The library's definitions, as `up` finds them: in folders of programs and *.yaml, one a field
 * (genomics, …), beside our own program. In the build tree that is jobs/library, installed
 * share/shardmill/library. */
#pragma once

#include "base/error.h"

/* Makes rules_dir with a copy of each definition that has `on`; one that is there is left as it is,
 * for it is its owner's by then. *ret_count = how many were copied. No library: it is made empty. */
int library_fill(const char *rules_dir, size_t *ret_count, struct error *reterr) MUST_CHECK;
/* What is started from now on finds the library's programs: their folders go to the end of PATH. */
void library_extend_path(void);
