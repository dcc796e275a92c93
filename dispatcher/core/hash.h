/* uthash, with memory that cannot fail and no way to end the process by itself. Iterate only in
 * insertion order (HASH_ITER), which does not depend on the hash. Pure. */
#pragma once

#include "base/check.h"

#include <stdlib.h>

#define uthash_malloc(size) check_calloc(1, size)
#define uthash_free(ptr, size) free(ptr)
#define uthash_fatal(what) CHECK_NEVER(what)
#include <uthash.h>
#include <utlist.h>
