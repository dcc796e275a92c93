/* Files of deduplication keys in the simulated world: a bucket is copied when the core asks for that, its
 * file stands some time later, and some time after that the core is told. A crash may come before, between
 * and behind these. Files outlive the process, and are looked at before an event is handed in. Nothing is
 * drawn: the worlds of known seeds stay what they are. */
#include "base/array.h"
#include "tests/sim/sim.h"

#define WRITE_US_MAX (300 * USEC_PER_MSEC)
#define TELL_US_MAX (100 * USEC_PER_MSEC)

bool sim_keys_are_sealed(const struct sim *s)
{
	return s->world.seed % 4 == 3;
}

static usec_t some_time(usec_t bucket_us, usec_t max_us)
{
	return 1 + (usec_t)((uint64_t)bucket_us * 0x9e3779b97f4a7c15u >> 24) % max_us;
}

static void later(struct sim_dispatcher *d, enum sim_kind kind, usec_t bucket_us, usec_t max_us)
{
	struct world *w = &d->sim->world;

	world_push(w, w->now_us + some_time(bucket_us, max_us), kind, HOST_DISPATCHER, d->life,
		   (uint64_t)bucket_us, NULL);
}

/* Half of them are fast. */
void sim_keys_seal(void *arg, usec_t bucket_wall_us)
{
	if (some_time(bucket_wall_us, WRITE_US_MAX) % 2 == 0)
		sim_keys_written(arg, bucket_wall_us);
	else
		later(arg, SIM_KEYS, bucket_wall_us, WRITE_US_MAX);
}

void sim_keys_written(struct sim_dispatcher *d, usec_t bucket_us)
{
	struct view_sealing at = {0};
	struct dedup_entry entry;
	uint32_t count = 0;

	while (dispatcher_view_sealing(d->core, bucket_us, &at, 1, &entry) > 0) {
		ARRAY_GROW(d->keys, d->key_capacity, d->key_count);
		d->keys[d->key_count++] = (struct sim_key){entry, at.bucket_wall_us};
		count++;
	}
	SAY(&d->sim->world, "d: %u keys are in a file", count);
	later(d, SIM_KEPT, bucket_us, TELL_US_MAX);
}

void sim_keys_kept(struct sim_dispatcher *d, usec_t bucket_us)
{
	coverage_hit(d->sim->coverage, ROW_KEYS_SEALED, d->sim->world.now_us);
	sim_dispatcher_submit(d, INPUT_DEDUP_KEPT, &(struct input_dedup_kept){.bucket_wall_us = bucket_us},
			      0);
}

struct dedup_fact sim_keys_find(const struct sim_dispatcher *d, uint64_t hi, uint64_t lo)
{
	for (size_t i = 0; i < d->key_count; i++) {
		const struct dedup_entry *e = &d->keys[i].entry;

		if (e->key_hi == hi && e->key_lo == lo)
			return (struct dedup_fact){e->job, e->job_count, d->keys[i].bucket_us};
	}
	return (struct dedup_fact){0};
}
