#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/shard_waits.h"

#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/shards.h"
#include "jobs/kinds.h"

#define SHARD_WAITS_CHECKED 4096 /* shards of a job that a check looks at one by one */

static struct shard_wait *find(const struct durable *d, uint64_t job)
{
	struct shard_wait *w = NULL;

	if (d->shard_waits != NULL)
		HASH_FIND(hh, d->shard_waits, &job, sizeof job, w);
	return w;
}

const struct shard_wait *shard_wait_find(const struct durable *d, uint64_t job)
{
	return find(d, job);
}

static struct shard_parent *find_parent(const struct durable *d, uint64_t job)
{
	struct shard_parent *p = NULL;

	if (d->shard_parents != NULL)
		HASH_FIND(hh, d->shard_parents, &job, sizeof job, p);
	return p;
}

uint32_t shard_waits_count(const struct durable *d, uint64_t job)
{
	const struct shard_parent *p = find_parent(d, job);

	return p != NULL ? p->count : 0;
}

uint64_t shards_barred(const struct durable *d, const struct run *run)
{
	return run == NULL || shard_set_is_empty(&run->blocked) || find(d, run->job) != NULL
		   ? 0
		   : shard_set_count(&run->blocked);
}

static void add(struct durable *d, uint64_t job, const struct after_job *after)
{
	struct shard_wait *w = check_calloc(1, sizeof *w);
	struct shard_parent *p = find_parent(d, after->job);

	*w = (struct shard_wait){.job = job, .parent = after->job, .phase = after->phase};
	HASH_ADD(hh, d->shard_waits, job, sizeof w->job, w);
	if (p == NULL) {
		p = check_calloc(1, sizeof *p);
		p->job = after->job;
		HASH_ADD(hh, d->shard_parents, job, sizeof p->job, p);
	}
	DL_APPEND(p->waits, w);
	p->count++;
}

/* All shards are behind the frontier, so that it never passes one that may not start. */
static void block(struct job_row *row, uint64_t job, const struct range_list *blocked)
{
	struct run *run = durable_run(row, job);

	run->frontier = row->shard_count;
	shard_set_add(&run->returned, 0, row->shard_count);
	for (uint32_t i = 0; i < blocked->count; i++) {
		shard_set_remove(&run->returned, blocked->items[i].first, blocked->items[i].count);
		shard_set_add(&run->blocked, blocked->items[i].first, blocked->items[i].count);
	}
}

void shard_waits_add(struct durable *d, struct job_row *row, const struct new_job *j)
{
	bool waits = false;

	for (uint32_t i = 0; i < j->after.count && !waits; i++) {
		waits = j->after.items[i].condition == AFTER_SHARD;
		if (waits)
			add(d, j->job, &j->after.items[i]);
	}
	if ((waits || j->blocked.count > 0) && row->shard_count > 0)
		block(row, j->job, &j->blocked);
}

static void open(struct durable *d, struct run *run, struct range shards)
{
	uint64_t end = range_end(shards);
	struct range r;

	for (uint64_t at = shards.first; shard_set_next_range(&run->blocked, at, &r) && r.first < end;
	     at = range_end(r)) {
		r = range_intersect(r, shards);
		shard_set_remove(&run->blocked, r.first, r.count);
		shard_set_add(&run->returned, r.first, r.count);
		run->opened_lsn = d->last_lsn + 1;
	}
}

void shard_waits_done(struct durable *d, const struct outcome_taken *o)
{
	struct shard_parent *p = o->done.count > 0 ? find_parent(d, o->job) : NULL;
	struct shard_wait *w;

	if (p == NULL)
		return;
	DL_FOREACH (p->waits, w) {
		struct job_row *row = job_table_get(&d->jobs, w->job);

		if (w->phase != o->phase || row->run == NULL || shard_set_is_empty(&row->run->blocked))
			continue;
		for (uint32_t i = 0; i < o->done.count; i++)
			open(d, row->run, o->done.items[i]);
		durable_touch(d, w->job);
	}
}

static void unlink_wait(struct durable *d, struct shard_wait *w)
{
	struct shard_parent *p = find_parent(d, w->parent);

	DL_DELETE(p->waits, w);
	p->count--;
	if (p->waits == NULL) {
		HASH_DEL(d->shard_parents, p);
		free(p);
	}
	HASH_DEL(d->shard_waits, w);
	free(w);
}

void shard_waits_over(struct durable *d, uint64_t job, uint32_t phase)
{
	struct shard_parent *p = find_parent(d, job);
	struct shard_wait *w, *next;

	for (w = p != NULL ? p->waits : NULL; w != NULL; w = next) {
		next = w->next;
		if (phase <= w->phase)
			continue;
		durable_touch(d, w->job);
		unlink_wait(d, w); /* the parent with the last of them */
	}
}

void shard_waits_drop(struct durable *d, uint64_t job)
{
	struct shard_wait *w = find(d, job);

	if (w != NULL)
		unlink_wait(d, w);
}

int shard_waits_check_known(const struct durable *d, struct error *reterr)
{
	const struct shard_parent *p, *tmp;

	HASH_ITER (hh, d->shard_parents, p, tmp) {
		const struct job_row *row = job_table_get(&d->jobs, p->job);

		if (row == NULL || job_state_is_ended(row->state))
			return apply_corrupt(p->job, "another waits for its shards, which are not there",
					     reterr);
	}
	return 0;
}

void shard_waits_check(const struct durable *d)
{
	const struct shard_wait *w, *tmp;

	HASH_ITER (hh, d->shard_waits, w, tmp) {
		const struct job_row *row = job_table_get(&d->jobs, w->job);
		const struct job_row *parent = job_table_get(&d->jobs, w->parent);

		CHECK(row != NULL && !job_state_is_ended(row->state) && w->parent < w->job);
		CHECK(parent != NULL && !job_state_is_ended(parent->state) && parent->phase <= w->phase);
		CHECK(find_parent(d, w->parent) != NULL);
		if (row->run == NULL || parent->phase < w->phase)
			continue;
		/* What is done there is open here, and nothing else. */
		for (uint32_t i = 0; i < row->shard_count && row->shard_count <= SHARD_WAITS_CHECKED; i++)
			CHECK(shard_set_contains(&row->run->blocked, i) !=
			      (parent->run != NULL && shard_set_contains(&parent->run->done, i)));
	}
}

void shard_waits_fini(struct durable *d)
{
	struct shard_wait *w, *tmp;
	struct shard_parent *p, *tmp_parent;

	HASH_ITER (hh, d->shard_waits, w, tmp) {
		HASH_DEL(d->shard_waits, w);
		free(w);
	}
	HASH_ITER (hh, d->shard_parents, p, tmp_parent) {
		HASH_DEL(d->shard_parents, p);
		free(p);
	}
}
