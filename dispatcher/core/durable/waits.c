#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/waits.h"

#include "base/array.h"
#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/digest.h"
#include "dispatcher/core/durable/job_table.h"

bool after_is_met(uint8_t condition, uint8_t state)
{
	switch ((enum after_condition)condition) {
	case AFTER_ANY:
		return true;
	case AFTER_SUCCEEDED:
		return state == JOB_SUCCEEDED;
	case AFTER_FAILED:
		return state != JOB_SUCCEEDED;
	case AFTER_SHARD:
		return true; /* shard_waits.h */
	}
	return false;
}

static struct waiter *find(const struct durable *d, uint64_t job)
{
	struct waiter *w = NULL;

	if (d->waiters != NULL)
		HASH_FIND(hh, d->waiters, &job, sizeof job, w);
	return w;
}

const struct waiter *waiter_find(const struct durable *d, uint64_t job)
{
	return find(d, job);
}

static struct awaited *find_awaited(const struct durable *d, uint64_t job)
{
	struct awaited *a = NULL;

	if (d->awaited != NULL)
		HASH_FIND(hh, d->awaited, &job, sizeof job, a);
	return a;
}

static void destroy(struct durable *d, struct waiter *w)
{
	HASH_DEL(d->waiters, w);
	free(w->waits);
	free(w);
}

static void destroy_awaited(struct durable *d, struct awaited *a)
{
	HASH_DEL(d->awaited, a);
	free(a);
}

uint32_t after_ends(const struct after_job_list *after)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < after->count; i++)
		count += after->items[i].condition != AFTER_SHARD;
	return count;
}

void waits_add(struct durable *d, uint64_t job, const struct after_job_list *after)
{
	uint32_t count = after_ends(after);
	struct waiter *w;

	if (count == 0)
		return;
	w = check_calloc(1, sizeof *w);
	w->job = job;
	w->waits = check_calloc(count, sizeof *w->waits);
	HASH_ADD(hh, d->waiters, job, sizeof w->job, w);
	for (uint32_t i = 0; i < after->count; i++) {
		struct wait *wait = &w->waits[w->count];
		struct awaited *a = find_awaited(d, after->items[i].job);

		if (after->items[i].condition == AFTER_SHARD)
			continue;
		w->count = ++w->left;
		*wait = (struct wait){
		    .parent = after->items[i].job, .condition = after->items[i].condition, .from = w};
		if (a == NULL) {
			a = check_calloc(1, sizeof *a);
			a->job = wait->parent;
			HASH_ADD(hh, d->awaited, job, sizeof a->job, a);
		}
		DL_APPEND(a->waits, wait);
	}
}

/* What follows from it is decided later, a bounded number in a step. */
static void push(struct durable *d, struct job_row *row, uint64_t job)
{
	if (!d->live || (row->live_flags & JOB_WAITED))
		return;
	row->live_flags |= JOB_WAITED;
	if (d->waited_head == d->waited_count)
		d->waited_head = d->waited_count = 0;
	ARRAY_GROW(d->waited, d->waited_capacity, d->waited_count);
	d->waited[d->waited_count++] = job;
}

/* The last of its conditions is met. A due time is a matter of the clock, room in a concurrency group one of
 * a record: it stays held until then. */
static void release(struct durable *d, struct waiter *w)
{
	struct job_row *row = job_table_get(&d->jobs, w->job);

	if (row->due_wall_us == 0 && !(row->flags & JOB_GROUPED))
		row->state = JOB_ACTIVE;
	push(d, row, w->job);
	destroy(d, w);
}

static void meet(struct durable *d, struct wait *wait, uint8_t state)
{
	struct waiter *w = wait->from;
	uint64_t parent = wait->parent;

	if (after_is_met(wait->condition, state) || PLANTED(after_counts_all)) {
		wait->parent = 0;
		w->left--;
		if (w->left == 0 && w->broken.parent == 0)
			release(d, w);
		return;
	}
	wait->parent = 0; /* it is in no list any more */
	w->left--;
	if (w->broken.parent == 0)
		w->broken = (struct wait_broken){parent, wait->condition, state};
	push(d, job_table_get(&d->jobs, w->job), w->job);
}

void waits_ended(struct durable *d, uint64_t job, uint8_t state)
{
	struct awaited *a = find_awaited(d, job);
	struct wait *wait, *next;

	if (a == NULL)
		return;
	wait = a->waits;
	destroy_awaited(d, a);
	for (; wait != NULL; wait = next) {
		next = wait->next; /* who waited may be gone behind it */
		meet(d, wait, state);
	}
}

void waits_drop(struct durable *d, uint64_t job)
{
	struct waiter *w = find(d, job);

	if (w == NULL)
		return;
	for (uint32_t i = 0; i < w->count; i++) {
		struct awaited *a = w->waits[i].parent != 0 ? find_awaited(d, w->waits[i].parent) : NULL;

		if (a == NULL)
			continue;
		DL_DELETE(a->waits, &w->waits[i]);
		if (a->waits == NULL)
			destroy_awaited(d, a);
	}
	destroy(d, w);
}

void waits_begin(struct durable *d)
{
	const struct waiter *w, *tmp;

	HASH_ITER (hh, d->waiters, w, tmp)
		if (w->broken.parent != 0)
			push(d, job_table_get(&d->jobs, w->job), w->job);
}

uint64_t durable_take_waited(struct durable *d)
{
	while (d->waited_head < d->waited_count) {
		uint64_t job = d->waited[d->waited_head++];
		struct job_row *row = job_table_get(&d->jobs, job);

		if (row == NULL || !(row->live_flags & JOB_WAITED))
			continue; /* it has ended */
		row->live_flags &= (uint8_t)~JOB_WAITED;
		return job;
	}
	return 0;
}

int waits_check_known(const struct durable *d, struct error *reterr)
{
	const struct awaited *a, *tmp;

	HASH_ITER (hh, d->awaited, a, tmp) {
		const struct job_row *row = job_table_get(&d->jobs, a->job);

		if (row == NULL || job_state_is_ended(row->state))
			return apply_corrupt(a->job, "another waits for its end, which is not there", reterr);
	}
	return 0;
}

void waits_check(const struct durable *d)
{
	const struct waiter *w, *tmp;
	const struct awaited *a, *tmp_awaited;
	const struct wait *wait;
	uint64_t left = 0, listed = 0;

	HASH_ITER (hh, d->waiters, w, tmp) {
		const struct job_row *row = job_table_get(&d->jobs, w->job);
		uint32_t n = 0;

		CHECK(row != NULL && row->state == JOB_HELD);
		CHECK(w->left > 0 || w->broken.parent != 0);
		for (uint32_t i = 0; i < w->count; i++)
			n += w->waits[i].parent != 0;
		CHECK(n == w->left);
		left += n;
	}
	HASH_ITER (hh, d->awaited, a, tmp_awaited) {
		CHECK(a->waits != NULL);
		DL_FOREACH (a->waits, wait) {
			CHECK(wait->parent == a->job && wait->parent < wait->from->job);
			listed++;
		}
	}
	CHECK(left == listed);
}

uint64_t waits_digest(const struct durable *d, uint64_t job)
{
	const struct waiter *w = find(d, job);
	uint64_t sum = 0, h = DIGEST_SEED;

	if (w == NULL)
		return 0;
	for (uint32_t i = 0; i < w->count; i++)
		if (w->waits[i].parent != 0)
			sum += digest_mix(digest_mix(DIGEST_SEED, w->waits[i].parent), w->waits[i].condition);
	h = digest_mix(digest_mix(h, sum), w->broken.parent);
	return digest_mix(digest_mix(h, w->broken.condition), w->broken.state);
}

void waits_fini(struct durable *d)
{
	struct waiter *w, *tmp;
	struct awaited *a, *tmp_awaited;

	HASH_ITER (hh, d->waiters, w, tmp)
		destroy(d, w);
	HASH_ITER (hh, d->awaited, a, tmp_awaited)
		destroy_awaited(d, a);
	free(d->waited);
}
