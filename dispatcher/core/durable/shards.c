#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/shards.h"

#include <string.h>

#include "base/plant.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/trouble.h"

struct run *run_create(uint64_t job)
{
	struct run *run = check_calloc(1, sizeof *run);

	run->job = job;
	return run;
}

static void delayed_remove(struct run *run, uint32_t at)
{
	shard_set_fini(&run->delayed[at].shards);
	run->delayed_count--;
	memmove(&run->delayed[at], &run->delayed[at + 1], (run->delayed_count - at) * sizeof(struct delayed));
}

static void note_remove(struct run *run, uint32_t at)
{
	blob_fini(&run->notes[at].why);
	run->note_count--;
	memmove(&run->notes[at], &run->notes[at + 1], (run->note_count - at) * sizeof(struct dead_note));
}

void run_clear_shards(struct run *run)
{
	CHECK(run->lease_count == 0);
	trouble_clear(run);
	shard_set_clear(&run->returned);
	shard_set_clear(&run->done);
	shard_set_clear(&run->blocked);
	while (run->delayed_count > 0)
		delayed_remove(run, run->delayed_count - 1);
	while (run->note_count > 0)
		note_remove(run, run->note_count - 1);
	for (uint32_t i = 0; i < run->dead_count; i++)
		shard_set_fini(&run->dead[i].shards);
	for (uint32_t i = 0; i < run->failed_count; i++)
		shard_set_fini(&run->failed[i]);
	free(run->delayed);
	free(run->special);
	free(run->dead);
	free(run->failed);
	free(run->notes);
	run->delayed = NULL;
	run->special = NULL;
	run->dead = NULL;
	run->failed = NULL;
	run->notes = NULL;
	run->special_count = run->dead_count = run->failed_count = 0;
	run->frontier = 0;
}

void run_destroy(struct run *run)
{
	if (run == NULL)
		return;
	run_clear_shards(run);
	blob_fini(&run->plan);
	blob_fini(&run->cursor);
	blob_fini(&run->why);
	blob_fini(&run->paused_by);
	blob_fini(&run->again_by);
	blob_fini(&run->planner_why);
	free(run->later);
	free(run);
}

static void special_insert(struct run *run, uint32_t at, struct special s)
{
	run->special = check_realloc(run->special, run->special_count + 1, sizeof s);
	memmove(&run->special[at + 1], &run->special[at], (run->special_count - at) * sizeof s);
	run->special[at] = s;
	run->special_count++;
}

static void special_take(struct run *run, struct range r)
{
	for (uint32_t i = 0; i < run->special_count;) {
		struct special *s = &run->special[i];
		uint64_t first = s->shards.first, end = range_end(s->shards);

		if (!range_overlaps(s->shards, r)) {
			i++;
		} else if (first < r.first) { /* a part before r stays; what is behind it is looked at next */
			struct special rest = {range_between(r.first, end), s->traits};

			s->shards = range_between(first, r.first);
			special_insert(run, ++i, rest);
		} else if (end > range_end(r)) {
			s->shards = range_between(range_end(r), end);
			i++;
		} else {
			run->special_count--;
			memmove(s, s + 1, (run->special_count - i) * sizeof *s);
		}
	}
}

static void delayed_take(struct run *run, struct range r)
{
	for (uint32_t i = run->delayed_count; i > 0; i--) {
		shard_set_remove(&run->delayed[i - 1].shards, r.first, r.count);
		if (shard_set_is_empty(&run->delayed[i - 1].shards))
			delayed_remove(run, i - 1);
	}
}

void shards_take(struct run *run, struct range r)
{
	if (range_end(r) > run->frontier) {
		if (r.first > run->frontier)
			shard_set_add(&run->returned, run->frontier, r.first - run->frontier);
		run->frontier = (uint32_t)range_end(r) + (PLANTED(grant_skips_a_shard) ? 1 : 0);
	}
	shard_set_remove(&run->returned, r.first, r.count);
	shard_set_remove(&run->blocked, r.first, r.count);
	special_take(run, r);
	delayed_take(run, r);
}

void shards_release(struct run *run, struct range r, struct traits traits)
{
	uint32_t at = 0;

	if (r.count == 0)
		return;
	if (traits_none(traits)) {
		shard_set_add(&run->returned, r.first, r.count);
		return;
	}
	while (at < run->special_count && run->special[at].shards.first < r.first)
		at++;
	special_insert(run, at, (struct special){r, traits});
}

static bool traits_equal(struct traits a, struct traits b)
{
	return a.crashes == b.crashes && a.doublings == b.doublings;
}

/* Time orders them, then traits: the order is part of durable state. */
static bool delayed_is_before(const struct delayed *a, usec_t due_us, struct traits traits)
{
	if (a->due_wall_us != due_us)
		return a->due_wall_us < due_us;
	if (a->traits.crashes != traits.crashes)
		return a->traits.crashes < traits.crashes;
	return a->traits.doublings < traits.doublings;
}

/* Full: the first two with like traits become one, that is due when the later was. */
static void delayed_merge(struct run *run)
{
	for (uint32_t i = 0; i < run->delayed_count; i++)
		for (uint32_t k = i + 1; k < run->delayed_count; k++)
			if (traits_equal(run->delayed[i].traits, run->delayed[k].traits)) {
				shard_set_unite(&run->delayed[k].shards, &run->delayed[i].shards);
				delayed_remove(run, i);
				return;
			}
}

void shards_delay(struct run *run, struct range r, usec_t due_wall_us, struct traits traits)
{
	uint32_t at = 0;

	if (r.count == 0)
		return;
	while (at < run->delayed_count && delayed_is_before(&run->delayed[at], due_wall_us, traits))
		at++;
	if (at == run->delayed_count || run->delayed[at].due_wall_us != due_wall_us ||
	    !traits_equal(run->delayed[at].traits, traits)) {
		run->delayed = check_realloc(run->delayed, run->delayed_count + 1, sizeof(struct delayed));
		memmove(&run->delayed[at + 1], &run->delayed[at],
			(run->delayed_count - at) * sizeof(struct delayed));
		run->delayed[at] = (struct delayed){.due_wall_us = due_wall_us, .traits = traits};
		run->delayed_count++;
	}
	shard_set_add(&run->delayed[at].shards, r.first, r.count);
	if (run->delayed_count > DELAYED_MAX)
		delayed_merge(run);
}

uint32_t shards_done(struct run *run, struct range r, struct lease_entry *by)
{
	uint32_t held = by != NULL ? lease_drop(by, r) : 0;

	if (held < r.count) { /* late: it may be anywhere */
		struct lease_entry *other;

		shards_take(run, r);
		DL_FOREACH2(run->leases, other, job_next)
		lease_drop(other, r);
		shards_revive(run, r);
	}
	shards_forget_failures(run, r);
	return shard_set_add(&run->done, r.first, r.count);
}

void shards_dead(struct run *run, struct range r, uint8_t kind)
{
	uint32_t at = 0;

	while (at < run->dead_count && run->dead[at].kind < kind)
		at++;
	if (at == run->dead_count || run->dead[at].kind != kind) {
		run->dead = check_realloc(run->dead, run->dead_count + 1, sizeof(struct dead_kind));
		memmove(&run->dead[at + 1], &run->dead[at],
			(run->dead_count - at) * sizeof(struct dead_kind));
		run->dead[at] = (struct dead_kind){.kind = kind};
		run->dead_count++;
	}
	shard_set_add(&run->dead[at].shards, r.first, r.count);
}

void shards_revive(struct run *run, struct range r)
{
	for (uint32_t i = 0; i < run->dead_count; i++)
		shard_set_remove(&run->dead[i].shards, r.first, r.count);
	for (uint32_t i = run->note_count; i > 0; i--)
		if (range_overlaps(run->notes[i - 1].shards, r))
			note_remove(run, i - 1);
}

void shards_forget_notes(struct run *run)
{
	while (run->note_count > 0)
		note_remove(run, run->note_count - 1);
}

static void failed_add(struct run *run, uint32_t times, struct range r)
{
	while (run->failed_count < times) {
		run->failed = check_realloc(run->failed, run->failed_count + 1, sizeof(struct shard_set));
		shard_set_init(&run->failed[run->failed_count++]);
	}
	shard_set_add(&run->failed[times - 1], r.first, r.count);
}

void shards_count_failure(struct run *run, struct range r)
{
	for (uint64_t at = r.first; at < range_end(r);) {
		uint64_t end;
		uint32_t times = shards_failures(run, (uint32_t)at, range_end(r), &end);

		failed_add(run, times + 1, range_between(at, end));
		at = end;
	}
}

void shards_forget_failures(struct run *run, struct range r)
{
	for (uint32_t i = 0; i < run->failed_count; i++)
		if (!shard_set_is_empty(&run->failed[i]))
			shard_set_remove(&run->failed[i], r.first, r.count);
}

void shards_note(struct run *run, const struct shard_failure *f)
{
	struct dead_note *note;

	if (run->note_count == DEAD_NOTES_MAX)
		return;
	run->notes = check_realloc(run->notes, run->note_count + 1, sizeof *note);
	note = &run->notes[run->note_count++];
	*note = (struct dead_note){.shards = {f->first, f->count}, .kind = f->kind, .code = f->code};
	blob_set(&note->why, f->why);
}

void shards_forget_window(struct run *run, struct range window)
{
	struct lease_entry *lease;

	shard_set_remove(&run->returned, window.first, window.count);
	shard_set_remove(&run->done, window.first, window.count);
	shard_set_remove(&run->blocked, window.first, window.count);
	special_take(run, window);
	delayed_take(run, window);
	for (uint32_t i = 0; i < run->dead_count; i++)
		shard_set_remove(&run->dead[i].shards, window.first, window.count);
	shards_forget_failures(run, window);
	DL_FOREACH2(run->leases, lease, job_next)
	lease_drop(lease, window);
}
