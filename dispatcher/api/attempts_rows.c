/* How shards stand, with what history knows of their last attempts: rows of an answer. A run of shards that
 * stand alike is cut where attempts are told by themselves, or were made elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "dispatcher/api/attempts.h"
#include "dispatcher/planners/blobs.h"
#include "dispatcher/store/history_tables.h"
#include "jobs/effort.h"
#include "jobs/plan.h"
#include "jobs/plan_kind.h"

static bool is_nobody(const struct uuid *w)
{
	return (w->hi | w->lo) == 0;
}

static bool same_worker(const struct uuid *a, const struct uuid *b)
{
	return a->hi == b->hi && a->lo == b->lo;
}

/* ---- rows ---- */

static bool are_alike(const struct attempts_row *a, const struct attempts_row *b)
{
	return a->state == b->state && a->attempts == b->attempts && same_worker(&a->worker, &b->worker) &&
	       !a->ended && !b->ended && a->start_wall_us == 0 && b->start_wall_us == 0 &&
	       a->failed == b->failed && a->has_code == b->has_code && a->code == b->code &&
	       bytes_equal(a->why, b->why);
}

/* ERR_LIMIT: the page is full. */
static int add(struct attempts_list *l, const struct attempts_row *row)
{
	struct attempts_row *last = l->row_count > 0 ? &l->rows[l->row_count - 1] : NULL;

	if (last != NULL && range_end(last->shards) == row->shards.first && are_alike(last, row)) {
		last->shards.count += row->shards.count;
	} else {
		if (l->row_count == l->limit)
			return ERR_LIMIT;
		l->rows[l->row_count++] = *row;
	}
	l->next = range_end(row->shards);
	return 0;
}

static int find_host(struct history_reader *history, struct attempts_list *l, const struct uuid *worker,
		     struct bytes *ret, struct error *reterr)
{
	int rc = 0;

	*ret = (struct bytes){0};
	if (is_nobody(worker))
		return 0;
	if (!same_worker(worker, &l->host_of))
		rc = history_host(history, worker, &l->arena, &l->host, reterr);
	l->host_of = *worker;
	*ret = l->host;
	return rc;
}

/* ---- shards of which no attempt is kept ---- */

struct gap {
	struct history_reader *history;
	struct attempts_list *list;
	struct range shards; /* not told yet */
	uint8_t state;
	struct error *reterr;
	struct arena scratch; /* of read_ended */
};

static int add_plain(struct gap *g, struct range shards, const struct uuid *worker,
		     const struct history_failure *failure)
{
	struct attempts_row row = {.shards = shards, .state = g->state, .worker = *worker};
	int rc = find_host(g->history, g->list, worker, &row.host, g->reterr);

	if (failure != NULL) {
		row.failed = failure->kind;
		row.has_code = true;
		row.code = failure->code;
		row.why = failure->why;
	}
	return rc < 0 ? rc : add(g->list, &row);
}

static int add_winner(void *arg, const struct history_winner *w)
{
	return add_plain(arg, w->shards, &w->worker, NULL); /* of missing ones worker is nobody */
}

static int add_failure(void *arg, const struct history_failure *f)
{
	static const struct uuid nobody;
	struct gap *g = arg;
	struct range part = range_intersect(f->shards, g->shards);
	int rc = 0;

	if (part.count == 0)
		return ERR_CLOSED; /* the first that is behind */
	if (part.first > g->shards.first)
		rc = add_plain(g, range_between(g->shards.first, part.first), &nobody, NULL);
	if (rc == 0)
		rc = add_plain(g, part, &f->worker, f);
	g->shards = range_between(range_end(part), range_end(g->shards));
	return rc;
}

/* The only shard of a job that has no other phase, at its first attempt: the job's row says what it took. */
static bool says_the_job(const struct attempts_list *l, uint8_t state)
{
	const struct history_job *j = &l->row;

	return state == SHARD_DONE && j->job != 0 && j->shards == 1 && j->retries == 0 &&
	       j->later.count == 0 && j->shards_phase == 0 && j->started_wall_us > 0;
}

static int add_gap(struct history_reader *history, struct attempts_list *l, struct range shards,
		   uint8_t state, struct error *reterr)
{
	static const struct uuid nobody;
	struct gap g = {.history = history, .list = l, .shards = shards, .state = state, .reterr = reterr};
	size_t before = l->row_count;
	int rc = 0;

	if (shards.count == 0)
		return 0;
	if (state == SHARD_DONE) {
		rc = history_winners(history, l->job, l->phase, shards, add_winner, &g, reterr);
		if (rc == 0 && says_the_job(l, state) && l->row_count > before) {
			struct attempts_row *row = &l->rows[before];

			row->attempts = 1;
			row->ended = row->has_code = true;
			row->start_wall_us = l->row.started_wall_us;
			row->took = l->row.totals;
		}
		return rc;
	}
	if (state == SHARD_DEAD)
		rc = history_failures(history, l->job, l->phase, shards.first, (uint32_t)l->limit + 1,
				      &l->arena, add_failure, &g, reterr);
	if (rc == ERR_CLOSED)
		rc = 0;
	return rc < 0 || g.shards.count == 0 ? rc : add_plain(&g, g.shards, &nobody, NULL);
}

/* ---- shards of which attempts are kept ---- */

struct efforts {
	struct history_effort items[ATTEMPTS_ROWS_MAX];
	size_t count, max;
};

static int take_effort(void *arg, const struct history_effort *e)
{
	struct efforts *found = arg;

	if (found->count == found->max)
		return ERR_LIMIT;
	found->items[found->count++] = *e;
	return 0;
}

static int take_why(void *arg, const struct history_failure *f)
{
	*(struct history_failure *)arg = *f;
	return 0;
}

static int add_effort(struct history_reader *history, struct attempts_list *l, const struct history_effort *e,
		      struct range shards, uint8_t state, struct error *reterr)
{
	const struct effort part = effort_part(&e->effort, shards);
	struct history_failure dead = {0};
	struct attempts_row row = {.shards = shards,
				   .state = state,
				   .attempts = e->attempt,
				   .worker = e->worker_id,
				   .ended = true,
				   .start_wall_us = part.start_wall_us,
				   .took = part.totals,
				   .failed = part.kind,
				   .has_code = part.kind != 0 || !e->effort.sum,
				   .code = part.code};
	int rc = find_host(history, l, &row.worker, &row.host, reterr);

	if (rc == 0 && state == SHARD_DEAD)
		rc = history_failures(history, l->job, l->phase, shards.first, 1, &l->arena, take_why, &dead,
				      reterr);
	if (range_contains(dead.shards, shards.first))
		row.why = dead.why;
	return rc < 0 ? rc : add(l, &row);
}

/* Does the attempt explain the state? One that history has not taken yet does not. */
static bool explains(const struct history_effort *e, uint8_t state)
{
	return (e->effort.kind == 0) == (state == SHARD_DONE);
}

static uint64_t end_of(const struct history_effort *e)
{
	return (uint64_t)e->effort.first + e->effort.count;
}

/* The i-th, as far as it explains the run and the next one does not say more. Moves *at behind it. */
static int add_found(struct history_reader *history, struct attempts_list *l, const struct efforts *found,
		     size_t i, const struct attempts_run *run, uint64_t *at, struct error *reterr)
{
	const struct history_effort *e = &found->items[i];
	uint64_t first = e->effort.first > *at ? e->effort.first : *at, end = end_of(e);
	int rc;

	if (i + 1 < found->count && found->items[i + 1].effort.first < end)
		end = found->items[i + 1].effort.first;
	if (end > range_end(run->v.shards))
		end = range_end(run->v.shards);
	if (end <= first || !explains(e, run->v.state))
		return 0;
	rc = add_gap(history, l, range_between(*at, first), run->v.state, reterr);
	if (rc == 0)
		rc = add_effort(history, l, e, range_between(first, end), run->v.state, reterr);
	*at = end;
	return rc;
}

/* One run of shards in the same state. */
static int add_run(struct history_reader *history, struct attempts_list *l, const struct attempts_run *run,
		   struct efforts *found, struct error *reterr)
{
	uint64_t at = run->v.shards.first, end = range_end(run->v.shards);
	bool more;
	int rc;

	found->count = 0;
	found->max = l->limit;
	rc = history_efforts(history, l->job, l->phase, run->v.shards, take_effort, found, reterr);
	more = rc == ERR_LIMIT;
	if (rc < 0 && !more)
		return rc;
	rc = 0;
	for (size_t i = 0; rc == 0 && i < found->count; i++)
		rc = add_found(history, l, found, i, run, &at, reterr);
	if (more && end_of(&found->items[found->count - 1]) < end)
		end = end_of(&found->items[found->count - 1]);
	if (rc == 0 && at < end)
		rc = add_gap(history, l, range_between(at, end), run->v.state, reterr);
	return rc == 0 && more ? ERR_LIMIT : rc;
}

static int add_leased(struct attempts_list *l, const struct attempts_run *run)
{
	const struct attempts_row row = {.shards = run->v.shards,
					 .state = run->v.state,
					 .attempts = run->v.attempt,
					 .worker = run->v.worker,
					 .host = run->host,
					 .start_wall_us = run->start_wall_us};

	return add(l, &row);
}

static int add_runs(struct history_reader *history, struct attempts_list *l, struct error *reterr)
{
	struct efforts *found = check_calloc(1, sizeof(*found));
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->run_count; i++) {
		const struct attempts_run *run = &l->runs[i];

		if (run->v.state == SHARD_LEASED)
			rc = add_leased(l, run);
		else if (run->v.state == SHARD_PENDING)
			rc = add(l, &(struct attempts_row){.shards = run->v.shards, .state = run->v.state});
		else
			rc = add_run(history, l, run, found, reterr);
	}
	free(found);
	if (rc == 0)
		l->next = l->shown_end;
	return rc == ERR_LIMIT ? 0 : rc;
}

/* ---- how the shards of a job stand that has ended ---- */

/* ERR_LIMIT: there are enough. */
static int stand(struct attempts_list *l, struct range shards, uint8_t state)
{
	struct attempts_run *last = l->run_count > 0 ? &l->runs[l->run_count - 1] : NULL;

	if ((l->states >> state) & 1 && shards.count > 0) {
		if (last != NULL && last->v.state == state && range_end(last->v.shards) == shards.first)
			last->v.shards.count += shards.count;
		else if (l->run_count == l->limit)
			return ERR_LIMIT;
		else
			l->runs[l->run_count++].v = (struct view_shards){.shards = shards, .state = state};
	}
	l->shown_end = range_end(shards);
	return 0;
}

static int stand_dead(void *arg, const struct history_failure *f)
{
	struct gap *g = arg;
	struct range part = range_intersect(f->shards, g->shards);
	int rc;

	if (part.count == 0)
		return ERR_CLOSED;
	rc = stand(g->list, range_between(g->shards.first, part.first), SHARD_DROPPED);
	if (rc == 0)
		rc = stand(g->list, part, SHARD_DEAD);
	g->shards = range_between(range_end(part), range_end(g->shards));
	return rc;
}

static int stand_winner(void *arg, const struct history_winner *w)
{
	struct gap *g = arg;
	int rc;

	if (!w->is_missing)
		return stand(g->list, w->shards, SHARD_DONE);
	g->shards = w->shards;
	rc = history_failures(g->history, g->list->job, g->list->phase, w->shards.first, UINT32_MAX,
			      &g->scratch, stand_dead, g, g->reterr);
	arena_reset(&g->scratch);
	if (rc < 0 && rc != ERR_CLOSED)
		return rc;
	return stand(g->list, g->shards, SHARD_DROPPED);
}

/* The shards of a job that has ended, or those of a phase that is over. */
static int read_ended(struct history_reader *history, struct attempts_list *l, struct error *reterr)
{
	struct gap g = {.history = history, .list = l, .reterr = reterr};
	int rc = history_job(history, l->job, &l->arena, &l->row, reterr);

	if (rc < 0)
		return rc;
	if (l->phase == ATTEMPTS_PHASE_OF_JOB)
		l->phase = l->row.phase < l->row.shards_phase ? l->row.phase : l->row.shards_phase;
	rc = history_phase_shards(history, l->job, l->phase, &l->shard_count, reterr);
	if (rc == ERR_NOT_FOUND) /* it has not begun */
		return 0;
	if (rc == 0 && l->phase == l->row.shards_phase &&
	    history_plan(history, l->job, &l->arena, &l->plan, NULL) < 0)
		l->plan = (struct plan){0};
	if (rc < 0 || l->first >= l->shard_count || l->shard_count > SHARDS_MAX)
		return rc;
	l->shown_end = l->first;
	arena_init(&g.scratch, 0);
	rc = history_winners(history, l->job, l->phase, range_between(l->first, l->shard_count), stand_winner,
			     &g, reterr);
	arena_fini(&g.scratch);
	return rc == ERR_LIMIT ? 0 : rc;
}

int attempts_read(struct history_reader *history, struct attempts_list *l, struct error *reterr)
{
	int rc = l->live ? 0 : read_ended(history, l, reterr);

	l->next = l->first;
	return rc < 0 ? rc : add_runs(history, l, reterr);
}

/* ---- values ---- */

static struct bytes value_of(struct attempts_list *l, struct blobs *blobs, uint32_t shard)
{
	const struct plan *p = &l->plan;
	const struct plan_row *kind = plan_row(p->kind);
	struct plan_shard s = {.plan = p, .shard = shard};
	struct plan_facts facts = {.count = 0};
	struct buf text = {0};
	struct text_item item;
	struct bytes value;
	uint32_t count = 0;

	if (kind->preview == NULL || shard >= p->shard_count)
		return (struct bytes){0};
	if (kind->input == PLAN_INPUT_ITEM && p->blob.size == 0)
		s.item = p->items.items[shard].text;
	else if (kind->input == PLAN_INPUT_ITEM && blobs != NULL &&
		 blobs_items(blobs, p->blob, shard, 1, ITEM_BYTES_MAX, &l->arena, &item, &count, NULL) == 0 &&
		 count == 1)
		s.item = item.text;
	else if (kind->input == PLAN_INPUT_ITEM)
		return (struct bytes){0};
	if (s.item.size > ATTEMPTS_VALUE_BYTES)
		s.item.size = ATTEMPTS_VALUE_BYTES;
	kind->preview(&s, &facts);
	for (uint32_t i = 0; i < facts.count; i++) {
		char digits[PLAN_FACT_DIGITS];
		struct bytes part = fact_as_text(&facts.items[i], digits);

		buf_append(&text, "-", i > 0);
		buf_append(&text, part.data, part.size);
	}
	value = arena_copy(&l->arena, buf_bytes(&text));
	buf_fini(&text);
	return value;
}

void attempts_values(struct attempts_list *l, struct blobs *blobs)
{
	for (size_t i = 0; l->plan.kind != 0 && i < l->row_count; i++) {
		struct attempts_row *row = &l->rows[i];

		row->has_number = true;
		row->number = plan_number(&l->plan, row->shards.first);
		row->value = value_of(l, blobs, row->shards.first);
		if (row->shards.count > 1)
			row->last_value = value_of(l, blobs, (uint32_t)range_end(row->shards) - 1);
	}
}
