#include "worker/run/runner_flight.h"

#include <stdatomic.h>
#include <string.h>

#include "base/constants.h"
#include "jobs/plan.h"

#define RUN_SHARDS 65536u  /* of one run */
#define ITEMS_SHARDS 256u  /* of one run that carries items */
#define UNKNOWN_SHARDS 64u /* of the first run of another job, when shards are short */

struct flight_lease *flight_lease_at(struct flight *f, uint32_t i)
{
	return &f->leases[(f->lease_head + i) % FLIGHT_RUNS_MAX];
}

struct flight_run *flight_run_at(struct flight *f, uint32_t i)
{
	return &f->runs[(f->run_head + i) % FLIGHT_RUNS_MAX];
}

/* Of shards that take so long, in 1/1024 us. */
uint32_t runner_chunk_of(usec_t shard_us)
{
	uint64_t chunk = shard_us == 0 ? RUN_SHARDS : (uint64_t)(RUN_US * 1024 / shard_us);

	return chunk < 1 ? 1 : chunk > RUN_SHARDS ? RUN_SHARDS : (uint32_t)chunk;
}

/* The runner that has done others of its job goes on as it was, one of another job carefully. */
static uint32_t first_chunk(const struct slot *s, const struct work *w)
{
	if (w->has_command) /* none served when the lease was looked at */
		return 1;
	if (s->runner->told_job == w->arm.job)
		return runner_chunk_of(s->runner->shard_us);
	return s->runner->shard_us < USEC_PER_MSEC * 1024 ? UNKNOWN_SHARDS : 1;
}

static void add_lease(struct flight *f, const struct work *w, uint32_t cell)
{
	struct flight_lease *l = flight_lease_at(f, f->lease_count++);

	l->work = *w;
	l->cell = cell;
	l->chunk = first_chunk(f->slot, w);
	l->runs = 0;
	l->is_gone = false;
	f->slot->newest = cell;
}

void flight_init(struct flight *f, struct slot *s, const struct work *first)
{
	f->slot = s;
	f->lease_head = f->lease_count = f->run_head = f->run_count = f->sent = f->segment = 0;
	f->shards = f->probing = 0;
	f->since_us = 0;
	f->took = (struct totals){0};
	f->why = (struct error){0};
	add_lease(f, first, s->turn);
}

/* May more be in flight? Two runs always, so that the runner never waits; more while all of them are short.
 */
static bool has_room(const struct flight *f)
{
	const struct runner *r = f->slot->runner;

	if (f->run_count < 2)
		return true;
	return r != NULL && f->run_count < r->runs_max &&
	       f->shards * (uint64_t)r->shard_us < SLOT_AHEAD_US * 1024;
}

/* The next cell's lease, when the runner that is there may be given it. */
static bool join(struct flight *f)
{
	struct slot *s = f->slot;
	uint32_t cell = f->lease_count > 0 ? slot_next(s, s->newest) : s->turn;
	struct work w;

	if (s->runner == NULL || s->runner->closed || s->runner->runs_max <= 2 || f->probing > 0 ||
	    f->lease_count == FLIGHT_RUNS_MAX || (f->lease_count > 0 && cell == s->turn) ||
	    !cell_is_armed(&s->cells[cell]) || atomic_load(&s->stop[cell]) || atomic_load(&s->closing) ||
	    !runner_fits(s->runner, &s->arms[cell]) || runner_words_are_long(s->runner))
		return false;
	work_prepare(&w, s, &s->arms[cell], true);
	if (w.failed != 0) { /* it is to fail by itself */
		work_fini(&w);
		return false;
	}
	add_lease(f, &w, cell);
	return true;
}

static bool take_from(struct flight *f, struct flight_lease *l)
{
	uint8_t kind = l->work.arm.parameters->plan.kind;
	uint32_t max = plan_row(kind)->input == PLAN_INPUT_ITEM ? ITEMS_SHARDS : RUN_SHARDS;
	struct range run = {0};

	if (!l->is_gone)
		run = cell_take(&f->slot->cells[l->cell], l->chunk < max ? l->chunk : max);
	if (run.count == 0)
		return false;
	*flight_run_at(f, f->run_count++) = (struct flight_run){.shards = run, .lease = l};
	f->shards += run.count;
	l->runs++;
	return true;
}

bool flight_take(struct flight *f)
{
	if (!has_room(f))
		return false;
	while (f->lease_count == 0 || !take_from(f, flight_lease_at(f, f->lease_count - 1)))
		if (!join(f))
			return false;
	return true;
}

void flight_advance(struct flight *f, uint32_t count)
{
	struct flight_run *oldest = flight_run_at(f, 0);

	oldest->shards.first += count;
	oldest->shards.count -= count;
	f->shards -= count;
	if (f->probing > 0) {
		f->probing -= count;
		f->sent = 0;
	}
	if (oldest->shards.count > 0)
		return;
	oldest->lease->runs--;
	f->run_head = (f->run_head + 1) % FLIGHT_RUNS_MAX;
	f->run_count--;
	f->sent -= f->sent > 0;
}

static void release(struct flight *f, struct flight_lease *l)
{
	work_fini(&l->work);
	slot_release(f->slot, l->cell);
	l->is_gone = true;
}

void flight_settle(struct flight *f)
{
	while (f->lease_count > 0) {
		struct flight_lease *l = flight_lease_at(f, 0);

		if (!l->is_gone && (l->runs > 0 || !slot_is_last(f->slot, l->cell)))
			return;
		if (!l->is_gone)
			release(f, l);
		f->lease_head = (f->lease_head + 1) % FLIGHT_RUNS_MAX;
		f->lease_count--;
	}
}

static bool is_stopped(const struct flight *f, const struct flight_lease *l)
{
	return !l->is_gone && atomic_load(&f->slot->stop[l->cell]);
}

bool flight_is_stopped(const struct flight *f)
{
	for (uint32_t i = 0; i < f->lease_count; i++)
		if (is_stopped(f, &f->leases[(f->lease_head + i) % FLIGHT_RUNS_MAX]))
			return true;
	return false;
}

void flight_drop_stopped(struct flight *f)
{
	uint32_t runs = f->run_count, kept = 0;

	for (uint32_t i = 0; i < runs; i++) {
		struct flight_run *run = flight_run_at(f, i);

		if (is_stopped(f, run->lease)) {
			run->lease->runs--;
			f->shards -= run->shards.count;
			f->run_count--;
		} else {
			*flight_run_at(f, kept++) = *run;
		}
	}
	f->sent = 0;
	f->probing = 0;
	for (uint32_t i = 0; i < f->lease_count; i++)
		if (is_stopped(f, flight_lease_at(f, i)))
			release(f, flight_lease_at(f, i));
}
