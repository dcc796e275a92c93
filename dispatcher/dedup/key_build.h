/* Files of keys, made of buckets' keys or of two other files. In a reader's thread. */
#pragma once

#include "dispatcher/dedup/key_file.h"

/* The keys of some buckets, in any order; they are sorted in place. first_us, last_us: the buckets' starts.
 */
int key_build(const char *dir, uint32_t number, usec_t first_us, usec_t last_us, struct key_entry *entries,
	      size_t count, struct key_file **ret, struct error *reterr) MUST_CHECK;
/* What both have, but for keys of buckets that began before forget_before_us. Not faster than
 * bytes_per_second; ERR_CLOSED when it is cancelled. */
int key_merge(const char *dir, uint32_t number, struct key_file *older, struct key_file *newer,
	      usec_t forget_before_us, uint64_t bytes_per_second, const _Atomic bool *cancelled,
	      struct key_file **ret, struct error *reterr) MUST_CHECK;
