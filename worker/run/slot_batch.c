/* What a slot keeps for the agent. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "jobs/effort.h"
#include "worker/run/slot_impl.h"

/* With fewer cells armed behind the one in work the agent is to arm others soon. */
#define RELEASED_SOON 16

static void notify(const struct slot *s, uint64_t count)
{
	ssize_t done = write(s->shared->notify_fd, &count, sizeof count);

	(void)done; /* full means raised already */
}

void slot_notify(struct slot *s)
{
	notify(s, 1);
}

/* Does the batch go on with what the verdict says? NULL: with the cell's release. segment 0: nothing was
 * written, whichever it is. A batch's done are wholes, all of them, or none. */
static bool goes_on(const struct slot_batch *b, uint32_t cell, struct token token, const struct verdict *v,
		    uint32_t segment)
{
	return b != NULL && b->cell == cell && !b->released && b->token.epoch == token.epoch &&
	       b->token.lease == token.lease && (segment == 0 || b->segment == 0 || b->segment == segment) &&
	       (v == NULL || !v->done || b->done.count == 0 || b->whole == v->whole);
}

/* The last batch, or a new one. Under the lock. */
static struct slot_batch *batch_for(struct slot *s, uint32_t cell, struct token token,
				    const struct verdict *v)
{
	uint32_t segment = v != NULL ? v->segment : 0;
	struct slot_batch *b = s->last;

	if (goes_on(b, cell, token, v, segment)) {
		b->segment = segment != 0 ? segment : b->segment;
		return b;
	}
	b = check_calloc(1, sizeof *b);
	b->cell = cell;
	b->token = token;
	b->segment = segment;
	arena_init(&b->texts, 0);
	if (s->last == NULL)
		s->first = b;
	else
		s->last->next = b;
	s->last = b;
	return b;
}

static void add_done(struct slot_batch *b, struct range r)
{
	struct range *last = b->done.count > 0 ? &b->done.items[b->done.count - 1] : NULL;

	if (last != NULL && range_end(*last) == r.first) {
		last->count += r.count;
		return;
	}
	ARRAY_GROW(b->done.items, b->done_room, b->done.count);
	b->done.items[b->done.count++] = r;
}

static void add_failed(struct slot_batch *b, struct range r, const struct verdict *v)
{
	ARRAY_GROW(b->failed.items, b->failed_room, b->failed.count);
	b->failed.items[b->failed.count++] = (struct failure){.first = r.first,
							      .count = r.count,
							      .kind = v->kind,
							      .code = v->code,
							      .why = arena_copy(&b->texts, bytes_of(v->why)),
							      .segment = v->segment};
}

static void add_effort(struct slot_batch *b, const struct effort *e)
{
	if (b->efforts.count > 0 && effort_join(&b->efforts.items[b->efforts.count - 1], e))
		return;
	ARRAY_GROW(b->efforts.items, b->effort_room, b->efforts.count);
	b->efforts.items[b->efforts.count++] = *e;
}

static struct effort effort_of(const struct slot *s, uint32_t cell, struct range shards,
			       const struct verdict *v)
{
	return (struct effort){
	    .first = shards.first,
	    .count = shards.count,
	    .sum = s->arms[cell].run->run.kind == RUN_RUNNER || shards.first >= EFFORTS_APART_MAX,
	    .kind = v->done ? 0 : v->kind,
	    .code = v->code,
	    .start_wall_us = clock_wall_us() - (usec_t)v->totals.run_us,
	    .totals = v->totals,
	};
}

static unsigned bucket_of(uint64_t us)
{
	unsigned k = us < 2 ? 0 : 63u - (unsigned)__builtin_clzll(us);

	return k < RUN_BUCKETS ? k : RUN_BUCKETS - 1;
}

void slot_record(struct slot *s, uint32_t cell, struct token token, struct range shards,
		 const struct verdict *v)
{
	const struct effort effort = effort_of(s, cell, shards, v);
	struct slot_batch *b;
	bool tell;

	pthread_mutex_lock(&s->lock);
	b = batch_for(s, cell, token, v);
	add_effort(b, &effort);
	if (v->done) {
		b->whole = v->whole;
		add_done(b, shards);
	} else {
		add_failed(b, shards, v);
	}
	totals_add(&b->totals, &v->totals);
	b->run_counts[bucket_of(v->totals.run_us / shards.count)] += shards.count;
	tell = !s->told && !v->last;
	s->told |= tell;
	pthread_mutex_unlock(&s->lock);
	if (tell)
		slot_notify(s);
}

bool slot_is_last(const struct slot *s, uint32_t cell)
{
	struct cell_view v = cell_peek(&s->cells[cell]);

	return v.next == v.end;
}

void slot_record_release(struct slot *s, uint32_t cell, struct token token)
{
	bool soon = !cell_is_armed(&s->cells[(s->turn + RELEASED_SOON) % SLOT_CELLS]), tell;

	pthread_mutex_lock(&s->lock);
	batch_for(s, cell, token, NULL)->released = true;
	tell = soon ? !s->told_soon : !s->told;
	s->told = true;
	s->told_soon |= soon;
	pthread_mutex_unlock(&s->lock);
	if (tell)
		notify(s, soon ? SLOT_NOTIFY_RELEASED : 1);
}

struct slot_batch *slot_fetch(struct slot *s)
{
	struct slot_batch *b;

	pthread_mutex_lock(&s->lock);
	b = s->first;
	s->first = s->last = NULL;
	s->told = s->told_soon = false;
	pthread_mutex_unlock(&s->lock);
	return b;
}

void slot_batch_free(struct slot_batch *b)
{
	free(b->done.items);
	free(b->failed.items);
	free(b->efforts.items);
	arena_fini(&b->texts);
	free(b);
}
