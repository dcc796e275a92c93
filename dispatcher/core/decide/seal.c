/* Buckets of deduplication keys go to files: all but the newest two, as soon as there are some. Several go
 * together when the disk is slower than the events, so that it catches up. The shell writes the file when the
 * last record of these is durable: a key that is in a file names jobs that will always have been. It looks
 * keys up in its files before it hands an event in, and from then on in this one; then it says so
 * (DEDUP_KEPT), and a record lets the buckets go. A start asks anew. */
#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/dedup.h"
#include "dispatcher/core/decide/steps.h"

static void drop_sealed(struct dispatcher_core *core, usec_t bucket_us)
{
	struct dedup_sealed r = {.bucket_wall_us = bucket_us};

	emit(core, RECORD_DEDUP_SEALED, &r);
}

void seal_next(struct dispatcher_core *core)
{
	const struct dedup *t = &core->d.dedup;

	if (!core->config.dedup_seals || core->sealing_us != 0 || t->bucket_count <= DEDUP_BUCKETS_IN_MEMORY)
		return;
	core->sealing_us = t->buckets[t->bucket_count - DEDUP_BUCKETS_IN_MEMORY - 1]->start_wall_us;
	effect_add(core, DISPATCHER_SEAL, core->d.last_lsn)->seal_wall_us = core->sealing_us;
	if (PLANTED(sealed_keys_dropped_early))
		drop_sealed(core, core->sealing_us);
}

void step_dedup_kept(struct dispatcher_core *core, const struct input_dedup_kept *in)
{
	if (in->bucket_wall_us != core->sealing_us || core->sealing_us == 0)
		return;
	core->sealing_us = 0;
	/* Else they have gone meanwhile, by their age or by the bound. */
	if (core->d.dedup.bucket_count > 0 && core->d.dedup.buckets[0]->start_wall_us <= in->bucket_wall_us)
		drop_sealed(core, in->bucket_wall_us);
	seal_next(core);
}
