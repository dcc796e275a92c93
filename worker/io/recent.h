/* The attempts that ended last, and where their outputs are kept: whoever looks on while they run wants their
 * last bytes, too. In memory only. Threads: any. */
#pragma once

#include <pthread.h>

#include "base/error.h"
#include "jobs/output_index.h"

#define RECENT_MAX 1024u

struct recent_attempt {
	uint32_t segment; /* 0: none */
	struct output_entry entry;
};

struct recent {
	pthread_mutex_t lock;
	uint32_t next; /* a ring */
	struct recent_attempt *attempts;
};

void recent_init(struct recent *r);
void recent_fini(struct recent *r);
void recent_add(struct recent *r, uint32_t segment, const struct output_entry *e);
/* As output_read_live, from the segments in that directory. */
int64_t recent_read(struct recent *r, const char *dir, struct token token, uint32_t shard, bool err,
		    uint64_t from, void *to, size_t size);
