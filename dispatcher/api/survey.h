/* Which outputs of a phase are lost. They are looked through in a reader's thread, for a moment at a time, so
 * that other questions have their turn.
 *
 * What is compared: that the index and the files of each segment are there and hold what they should; with
 * `sums`, also the checksum of all that was written to stdout, which reads every byte. */
#pragma once

#include "outputs/segments.h"
#include "dispatcher/services.h"
#include "dispatcher/readers.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/shard_set.h"

struct survey {
	/* The caller's, set before survey_begin. */
	struct services *services;
	uint64_t job;
	uint32_t phase;
	uint64_t next, end; /* shards that are not looked at yet */
	bool sums;
	bool wholes;	 /* an output may be that of the shards behind it, too, up to the end of its row in
			    history */
	bool first_only; /* the first lost output is enough */
	struct segments *shared; /* NULL, or of several surveys: it outlives them */
	usec_t patience_us;	 /* what is not looked at by then is not looked at; 0 = all is */
	/* In the loop, once: the survey is over. */
	void (*over)(struct survey *s);

	/* Found. */
	struct shard_set lost;
	struct error first; /* why the first one is; code ERR_OK: none is */
	int rc;		    /* ERR_IO: something could not be read; ERR_CLOSED: the dispatcher stops */
	struct error error;

	/* Own. */
	struct reading query;
	struct segments *segments;
	struct survey_chunk *chunk;
	usec_t until_us;
};

/* May call over() later only, never at once. */
void survey_begin(struct survey *s);
/* Not while it runs. Accepts one that never began, all zero. */
void survey_fini(struct survey *s);
