/* Live state whose newest full copy is in the journal's oldest segment is written again, so that the
 * segment can be trimmed: in bounded slices, over several steps, in an order that never changes. */
#include "dispatcher/core/decide/carry.h"

#include "dispatcher/core/durable/dedup.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/queue_table.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"
#include "dispatcher/core/durable/windows.h"

#define ROWS_PER_STEP 65536 /* looked at, if there is nothing to write */

enum {
	CARRY_COUNTERS,
	CARRY_MARKS,
	CARRY_DEFINITIONS,
	CARRY_DEDUP,
	CARRY_WINDOWS,
	CARRY_QUEUES,
	CARRY_JOBS,
	CARRY_DONE
};

static void carry_counters(struct dispatcher_core *core)
{
	const struct durable *d = &core->d;
	struct counters r = {.epoch = d->epoch,
			     .next_job = d->next_job,
			     .late = d->late,
			     .duplicate = d->duplicate,
			     .forget_before_us = d->forget_before_us};

	if (d->counters_lsn < core->carry.oldest_lsn)
		emit(core, RECORD_COUNTERS, &r);
}

static bool carry_mark(struct dispatcher_core *core, uint64_t at)
{
	const struct mark *m = &core->d.marks[at];
	struct watermark r = {.intake = arena_copy(&core->out->arena, blob_bytes(&m->intake)),
			      .position = arena_copy(&core->out->arena, blob_bytes(&m->position))};

	if (m->lsn < core->carry.oldest_lsn)
		emit(core, RECORD_WATERMARK, &r);
	return at + 1 < core->d.mark_count;
}

static void carry_definition(struct dispatcher_core *core, const struct definition *def)
{
	struct definition_added r = {.definition = def->body};

	if (def->known && def->lsn < core->carry.oldest_lsn)
		emit(core, RECORD_DEFINITION, &r);
}

static void carry_sealed(struct dispatcher_core *core)
{
	const struct dedup *t = &core->d.dedup;
	struct dedup_sealed r = {.bucket_wall_us = t->sealed_wall_us};

	if (t->sealed_wall_us > 0 && t->sealed_lsn < core->carry.oldest_lsn)
		emit(core, RECORD_DEDUP_SEALED, &r);
}

/* A chunk of a bucket; the cursor is its first item. Buckets may go between two chunks: the next one is
 * found by its time. False: there is none. */
static bool carry_dedup(struct dispatcher_core *core)
{
	struct carry *c = &core->carry;
	struct dedup_bucket *b = dedup_bucket_from(&core->d.dedup, c->bucket_us);
	struct dedup_state r = {0};
	uint32_t first;

	if (b == NULL) {
		carry_sealed(core);
		return false;
	}
	if (b->start_wall_us != c->bucket_us)
		c->cursor = 0;
	c->bucket_us = r.bucket_wall_us = b->start_wall_us;
	first = (uint32_t)c->cursor;
	if (first == 0 && b->lsn >= c->oldest_lsn) {
		c->bucket_us++;
		return true;
	}
	if (first == 0)
		c->lsn = core->d.last_lsn + 1;
	r.entries.items = step_alloc(core, DEDUP_CHUNK * sizeof(struct dedup_entry));
	for (; first < b->count && r.entries.count < DEDUP_CHUNK; first++) {
		const struct dedup_item *item = dedup_item_at(b, first);

		r.entries.items[r.entries.count++] =
		    (struct dedup_entry){item->hi, item->lo, item->job, item->job_count};
	}
	emit(core, RECORD_DEDUP_STATE, &r);
	c->cursor = first;
	if (first < b->count)
		return true;
	b->lsn = c->lsn;
	c->cursor = 0;
	c->bucket_us++;
	return true;
}

/* The table is in the order of their newest copies. False: no other is that old. */
static bool carry_window(struct dispatcher_core *core)
{
	const struct window_row *w = core->d.windows;
	struct window r;

	if (w == NULL || w->lsn >= core->carry.oldest_lsn)
		return false;
	window_record(w, &r, &core->out->arena);
	r.wall_us = core->wall_us;
	emit(core, RECORD_WINDOW, &r);
	return true;
}

/* In the same order. */
static bool carry_queue(struct dispatcher_core *core)
{
	const struct queue_row *row = core->d.queues;
	struct queue_changed r;
	bool ok;

	if (row == NULL || row->lsn >= core->carry.oldest_lsn)
		return false;
	ok = codec_copy(codec_queue_changed(), &row->as, &r,
			&core->out->arena); /* its texts are written anew */
	CHECK(ok);
	emit(core, RECORD_QUEUE_CHANGED, &r);
	return true;
}

/* An end whose event nobody has offered yet. */
static void carry_ended(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	struct job_ended *r = step_alloc(core, sizeof *r);

	job_row_body(row, codec_job_ended(), r, &core->out->arena);
	r->definition = arena_copy(&core->out->arena, r->definition);
	emit(core, RECORD_ENDED, r);
	waiting_add(&core->ended, (struct waiting){.lsn = core->d.last_lsn, .job = job});
}

static void carry_next_job(struct dispatcher_core *core)
{
	struct carry *c = &core->carry;
	struct job_row *row;

	if (c->job != 0) { /* in the middle of one */
		row = job_get_live(core, c->job);
		if (row != NULL && row->phase == c->phase) {
			carry_job(core, c->job, row);
			return;
		}
		c->cursor = c->job - 1; /* it ended, or began another phase: looked at anew */
		c->job = 0;
	}
	c->cursor = job_table_next(&core->d.jobs, c->cursor);
	row = job_get(core, c->cursor);
	if (row == NULL || row->lsn >= c->oldest_lsn)
		return;
	if (!job_state_is_ended(row->state)) {
		/* Else a broken condition would be lost with the end that broke it. */
		if (!wait_end_broken(core, c->cursor))
			carry_job(core, c->cursor, row);
	} else if (row->flags & JOB_EVENT_DUE)
		carry_ended(core, c->cursor, row);
}

static void next_stage(struct carry *c)
{
	c->stage++;
	c->cursor = 0;
}

/* One thing at most is written. */
static void carry_one(struct dispatcher_core *core)
{
	struct carry *c = &core->carry;
	const struct definition_table *t = &core->d.definitions;

	switch (c->stage) {
	case CARRY_COUNTERS:
		carry_counters(core);
		next_stage(c);
		return;
	case CARRY_MARKS:
		if (core->d.mark_count == 0 || !carry_mark(core, c->cursor++))
			next_stage(c);
		return;
	case CARRY_DEFINITIONS:
		if (c->cursor >= t->capacity) {
			next_stage(c);
			return;
		}
		if (t->items[c->cursor] != NULL)
			carry_definition(core, t->items[c->cursor]);
		c->cursor++;
		return;
	case CARRY_DEDUP:
		if (!carry_dedup(core))
			next_stage(c);
		return;
	case CARRY_WINDOWS:
		if (!carry_window(core))
			next_stage(c);
		return;
	case CARRY_QUEUES:
		if (!carry_queue(core))
			next_stage(c);
		return;
	case CARRY_JOBS:
		carry_next_job(core);
		if (c->cursor == 0 && c->job == 0)
			next_stage(c);
		return;
	}
}

void step_carry(struct dispatcher_core *core, const struct input_carry *in)
{
	struct carry *c = &core->carry;
	uint64_t oldest = in->oldest_lsn;

	/* A job in the middle is written to its end only if it is still asked for. */
	if (oldest != c->oldest_lsn)
		*c = (struct carry){.oldest_lsn = oldest};
	for (uint32_t i = 0;
	     i < ROWS_PER_STEP && c->stage != CARRY_DONE && core->out->records.size < in->bytes_max; i++)
		carry_one(core);
	core->out->carry_done = c->stage == CARRY_DONE;
}
