/* Deduplication keys that the core does not hold any more, in files. Two doors:
 *
 * - dedup_submit is the way of every event and submission with a key into the core. The filters of all files
 * are asked first; nearly always none of them may have the key, and the input is submitted at once. Else a
 *   reader's thread looks into the files, and the input is submitted with what they say. It is then behind
 *   events that came after it. So whoever brings many in one order asks for all of them before the first
 *   (dedup_look_up), and only then goes on.
 * - the core hands out buckets to be sealed (decide/seal.c). Each becomes a file; while there are more than a
 *   few, two neighbours become one. A file goes when all its keys are out of the window, or when all files
 *   together have more than dedup_bytes: the oldest.
 *
 * A file is looked at from the moment in which it stands, and only then the core is told to let its bucket
 * go: a key is always in one of them. An input whose look into the files was overtaken by a new file asks
 * again. A file that cannot be read refuses the events that need it.
 *
 * Thread: the loop's. */
#pragma once

#include "dispatcher/services.h"
#include "jobs/schema.h"

struct dedup_files;

/* `in` as for port_submit with INPUT_ACCEPT; borrowed. Without a key, or without files: at once. Where it has
 * to wait for a look, `again` is called then, in place of port_submit: what the caller knows may not hold any
 * more. It calls dedup_submit once more, which does not wait if that is done before `again` returns. */
typedef void dedup_again_fn(struct services *s, struct input_accept *in, const struct ticket *ticket);
void dedup_submit(struct services *s, struct input_accept *in, const struct ticket *ticket,
		  dedup_again_fn *again);

/* True: fn is called when it is known what the files say of these keys; as long as it runs, dedup_submit
 * knows that. False: no file may have any of them, and fn is not called. keys are borrowed for the call. */
typedef void dedup_looked_fn(void *arg);
bool dedup_look_up(struct services *s, const struct dedup_key *keys, uint32_t count, dedup_looked_fn *fn,
		   void *arg);

/* The engine's operation `seal`. */
void dedup_seal_up_to(struct services *s, usec_t bucket_wall_us);

struct dedup_figures {
	uint32_t files;
	uint64_t keys, bytes, bytes_max;
	usec_t
	    first_wall_us; /* keys that came since then are known, in files or in memory; 0: there are none */
	uint64_t looked_up; /* keys that a filter may have had */
	uint64_t found;	    /* of them, in a file */
};
void dedup_figures(const struct services *s, struct dedup_figures *ret);
