/* What became of shards, gathered for reports: coalesced per lease, split to fit into a frame. */
#include "base/array.h"
#include "worker/core/state.h"

#include "jobs/effort.h"

/* What the parts of an outcome take in a frame, at most. */
#define OUTCOME_BYTES (102 + 9 * sizeof(struct totals) / sizeof(uint64_t))
#define RANGE_BYTES 12
#define FAILURE_BYTES 40

static struct tally *create(struct held *l)
{
	struct tally *t = check_calloc(1, sizeof(*t));

	t->lease = l;
	DL_APPEND2(l->tallies, t, lease_prev, lease_next);
	return t;
}

static void unlist(struct tally *t)
{
	if (t->list != NULL)
		DL_DELETE(*t->list, t);
	t->list = NULL;
	if (t->lease->fresh == t)
		t->lease->fresh = NULL;
	if (t->lease->ready == t)
		t->lease->ready = NULL;
}

static void enlist(struct tally *t, struct tally **list)
{
	t->list = list;
	DL_APPEND(*list, t);
}

void worker_tally_destroy(struct tally *t)
{
	unlist(t);
	DL_DELETE2(t->lease->tallies, t, lease_prev, lease_next);
	for (uint32_t i = 0; i < t->fail_count; i++)
		free((void *)t->failed[i].why.data);
	free(t->failed);
	free(t->efforts);
	shard_set_fini(&t->done);
	shard_set_fini(&t->returned);
	free(t);
}

static struct tally *ready_of(struct worker_core *c, struct held *l)
{
	if (l->ready == NULL) {
		l->ready = create(l);
		c->untold++;
		enlist(l->ready, &c->ready);
	}
	return l->ready;
}

static struct tally *ready_anew(struct worker_core *c, struct held *l)
{
	l->ready = NULL;
	return ready_of(c, l);
}

static struct tally *fresh_of(struct worker_core *c, struct held *l)
{
	if (l->fresh == NULL) {
		l->fresh = create(l);
		c->untold++;
		enlist(l->fresh, &c->fresh);
	}
	return l->fresh;
}

/* ---- taking in ---- */

/* Runs of wholes may grow together: a larger whole is as true. What is none must not become part of one. */
static bool takes_done(const struct tally *t, const struct done *d)
{
	return shard_set_is_empty(&t->done) || (t->segment == d->segment && t->whole == d->whole);
}

void worker_tally_done(struct worker_core *c, struct held *l, struct range r, const struct done *d)
{
	struct tally *t;

	if (d->unsynced && !PLANTED(sync_skipped)) {
		t = fresh_of(c, l);
		if (!takes_done(t, d)) {
			l->fresh = NULL;
			t = fresh_of(c, l);
		}
	} else {
		t = ready_of(c, l);
		if (!takes_done(t, d))
			t = ready_anew(c, l);
	}
	t->segment = d->segment;
	t->whole = d->whole;
	CHECK(shard_set_add(&t->done, r.first, r.count) == r.count);
	c->totals.done += r.count;
}

static void fail_add(struct tally *t, struct fail f)
{
	struct fail *last = t->fail_count ? &t->failed[t->fail_count - 1] : NULL;

	t->fail_shards += f.range.count;
	if (last != NULL && range_end(last->range) == f.range.first && last->kind == f.kind &&
	    last->code == f.code && last->segment == f.segment && bytes_equal(last->why, f.why)) {
		last->range.count += f.range.count;
		free((void *)f.why.data);
		return;
	}
	ARRAY_GROW(t->failed, t->fail_capacity, t->fail_count);
	t->failed[t->fail_count++] = f;
	t->why_bytes += f.why.size;
}

static struct bytes why_copy(struct bytes why)
{
	size_t size = why.size < WHY_BYTES_MAX ? why.size : WHY_BYTES_MAX;
	uint8_t *copy = check_calloc(size + 1, 1);

	/* Not through the middle of a UTF-8 character. */
	while (size < why.size && size > 0 && (why.data[size] & 0xc0) == 0x80)
		size--;
	if (size > 0)
		memcpy(copy, why.data, size);
	return BYTES(copy, size);
}

void worker_tally_failed(struct worker_core *c, struct held *l, const struct failure *f, bool unsynced)
{
	fail_add(unsynced ? fresh_of(c, l) : ready_of(c, l), (struct fail){.range = {f->first, f->count},
									   .kind = f->kind,
									   .code = f->code,
									   .why = why_copy(f->why),
									   .segment = f->segment});
	c->totals.failed += f->count;
	if (failure_is_workers(f->kind))
		worker_rest_wanted(c);
}

void worker_tally_returned(struct worker_core *c, struct held *l, uint64_t first, uint64_t end, uint8_t why)
{
	struct tally *t;
	struct range r;

	if (first >= end)
		return;
	t = ready_of(c, l);
	if (!shard_set_is_empty(&t->returned) && t->returned_why != why)
		t = ready_anew(c, l);
	t->returned_why = why;
	r = range_between(first, end);
	CHECK(shard_set_add(&t->returned, r.first, r.count) == r.count);
	c->totals.returned += r.count;
	c->report_soon = true;
}

void worker_tally_costs(struct worker_core *c, struct held *l, const struct worker_slot_progress *in)
{
	struct tally *t = l->fresh != NULL ? l->fresh : ready_of(c, l);

	totals_add(&t->totals, &in->totals);
}

/* Those that are too many are added up; what cannot be is left out. */
static void effort_add(struct tally *t, const struct effort *e)
{
	struct effort *last = t->effort_count > 0 ? &t->efforts[t->effort_count - 1] : NULL;

	if (last != NULL && effort_join(last, e))
		return;
	if (t->effort_count == EFFORTS_PER_OUTCOME_MAX) {
		(void)effort_press(last, e);
		return;
	}
	ARRAY_GROW(t->efforts, t->effort_capacity, t->effort_count);
	t->efforts[t->effort_count++] = *e;
}

/* Each goes where its shards went. Failures of a progress are in the order of their efforts. */
void worker_tally_efforts(struct worker_core *c, struct held *l, const struct worker_slot_progress *in,
			  bool done_unsynced, bool durable)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < in->efforts.count; i++) {
		const struct effort *e = &in->efforts.items[i];
		bool unsynced = done_unsynced;

		if (e->kind != 0) {
			while (at + 1 < in->failed.count && in->failed.items[at].first < e->first)
				at++;
			unsynced = durable && at < in->failed.count && in->failed.items[at].segment > 0;
		}
		effort_add(unsynced && l->fresh != NULL ? l->fresh : ready_of(c, l), e);
	}
}

/* ---- moving ---- */

static bool merge(struct tally *into, struct tally *t)
{
	bool both_done = !shard_set_is_empty(&into->done) && !shard_set_is_empty(&t->done);
	bool both_returned = !shard_set_is_empty(&into->returned) && !shard_set_is_empty(&t->returned);

	if ((both_done && (into->segment != t->segment || into->whole != t->whole)) ||
	    (both_returned && into->returned_why != t->returned_why))
		return false;
	if (!shard_set_is_empty(&t->done)) {
		into->segment = t->segment;
		into->whole = t->whole;
	}
	if (!shard_set_is_empty(&t->returned))
		into->returned_why = t->returned_why;
	shard_set_unite(&into->done, &t->done);
	shard_set_unite(&into->returned, &t->returned);
	for (uint32_t i = 0; i < t->fail_count; i++)
		fail_add(into, t->failed[i]);
	t->fail_count = 0;
	for (uint32_t i = 0; i < t->effort_count; i++)
		effort_add(into, &t->efforts[i]);
	totals_add(&into->totals, &t->totals);
	return true;
}

void worker_tally_move(struct worker_core *c, struct tally *t, struct tally **list)
{
	struct held *l = t->lease;

	unlist(t);
	if (list == &c->ready && l->ready != NULL && merge(l->ready, t)) {
		worker_tally_destroy(t);
		return;
	}
	enlist(t, list);
	if (list == &c->ready && l->ready == NULL)
		l->ready = t;
}

void worker_tally_spoil(struct worker_core *c, struct tally *t, uint8_t kind, int64_t code, struct bytes why)
{
	struct range r;

	for (uint64_t at = 0; shard_set_next_range(&t->done, at, &r); at = range_end(r)) {
		fail_add(t, (struct fail){.range = r, .kind = kind, .code = code, .why = why_copy(why)});
		c->totals.done -= r.count;
		c->totals.failed += r.count;
	}
	for (uint32_t i = 0; i < t->fail_count; i++)
		t->failed[i].segment = 0; /* they failed already; what they wrote may be lost */
	shard_set_clear(&t->done);
	t->totals.output_bytes = 0;
	t->segment = 0;
	t->effort_count = 0;
}

/* ---- sizes and pieces ---- */

uint32_t worker_tally_ranges(const struct tally *t)
{
	return shard_set_run_count(&t->done) + shard_set_run_count(&t->returned) + t->fail_count;
}

/* Of a msgpack integer (https://github.com/msgpack/msgpack/blob/master/spec.md). */
static uint64_t number_bytes(uint64_t n)
{
	return n < 128 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : n <= UINT32_MAX ? 5 : 9;
}

/* Codes and times are taken for long ones. */
static uint64_t effort_bytes(const struct effort *e)
{
	uint64_t bytes = 5 + 9 + 9 + number_bytes(e->first) + number_bytes(e->count);

#define TOTAL(name, add, json, form, doc) bytes += number_bytes(e->totals.name);
	TOTALS_ALL(TOTAL)
#undef TOTAL
	return bytes;
}

/* Of those that r has: of the done, or the failed. */
static uint64_t efforts_bytes(const struct tally *t, struct range r, bool failed)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < t->effort_count; i++)
		if ((t->efforts[i].kind != 0) == failed && range_contains(r, t->efforts[i].first))
			bytes += effort_bytes(&t->efforts[i]);
	return bytes;
}

uint64_t worker_tally_bytes(const struct tally *t)
{
	uint64_t efforts = 0;

	for (uint32_t i = 0; i < t->effort_count; i++)
		efforts += effort_bytes(&t->efforts[i]);
	return OUTCOME_BYTES + (uint64_t)worker_tally_ranges(t) * RANGE_BYTES +
	       (uint64_t)t->fail_count * FAILURE_BYTES + t->why_bytes + efforts;
}

uint64_t worker_tally_shards(const struct tally *t)
{
	return (uint64_t)shard_set_count(&t->done) + shard_set_count(&t->returned) + t->fail_shards;
}

/* What a piece may still take. */
struct room {
	uint32_t ranges;
	uint64_t bytes;
	bool any; /* it has something: the first range goes in, however large */
};

static bool take(struct room *room, uint64_t bytes)
{
	if (room->any && (room->ranges == 0 || bytes > room->bytes))
		return false;
	room->any = true;
	room->ranges -= room->ranges > 0;
	room->bytes -= bytes < room->bytes ? bytes : room->bytes;
	return true;
}

/* A run is never cut. */
static void split_set(const struct tally *t, struct shard_set *from, struct shard_set *to, struct room *room)
{
	struct range r;

	while (shard_set_next_range(from, 0, &r) &&
	       take(room, RANGE_BYTES + (from == &t->done ? efforts_bytes(t, r, false) : 0))) {
		shard_set_remove(from, r.first, r.count);
		shard_set_add(to, r.first, r.count);
	}
}

/* How many of the failures go. */
static uint32_t split_failed(struct tally *t, struct tally *piece, struct room *room)
{
	uint32_t n = 0;

	while (n < t->fail_count && take(room, RANGE_BYTES + FAILURE_BYTES + t->failed[n].why.size +
						   efforts_bytes(t, t->failed[n].range, true))) {
		t->fail_shards -= t->failed[n].range.count;
		t->why_bytes -= t->failed[n].why.size;
		fail_add(piece, t->failed[n++]);
	}
	return n;
}

static bool has(const struct tally *t, const struct effort *e)
{
	for (uint32_t i = 0; e->kind != 0 && i < t->fail_count; i++)
		if (range_contains(t->failed[i].range, e->first))
			return true;
	return e->kind == 0 && shard_set_contains(&t->done, e->first);
}

/* They go with their shards. */
static void split_efforts(struct tally *from, struct tally *to)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < from->effort_count; i++)
		if (has(to, &from->efforts[i]))
			effort_add(to, &from->efforts[i]);
		else
			from->efforts[kept++] = from->efforts[i];
	from->effort_count = kept;
}

struct tally *worker_tally_split(struct tally *t, uint32_t ranges, uint64_t bytes)
{
	struct tally *piece = create(t->lease);
	struct room room = {.ranges = ranges, .bytes = bytes > OUTCOME_BYTES ? bytes - OUTCOME_BYTES : 0};
	uint32_t fails;

	piece->segment = t->segment;
	piece->whole = t->whole;
	piece->returned_why = t->returned_why;
	piece->totals = t->totals;
	t->totals = (struct totals){0};
	split_set(t, &t->done, &piece->done, &room);
	split_set(t, &t->returned, &piece->returned, &room);
	fails = split_failed(t, piece, &room);
	t->fail_count -= fails;
	if (t->fail_count > 0)
		memmove(t->failed, t->failed + fails, t->fail_count * sizeof(*t->failed));
	split_efforts(t, piece);
	if (worker_tally_ranges(t) == 0)
		worker_tally_destroy(t);
	return piece;
}

struct range_list worker_tally_list(struct worker_core *c, const struct shard_set *s)
{
	struct range_list list = {.count = shard_set_run_count(s)};
	uint64_t cursor = 0;

	list.items = worker_effect_alloc(c, list.count * sizeof(*list.items));
	CHECK(shard_set_ranges(s, &cursor, list.items, list.count) == list.count);
	return list;
}

void worker_tally_fill(struct worker_core *c, const struct tally *t, struct outcome *ret)
{
	const struct held *l = t->lease;

	*ret = (struct outcome){.token = worker_held_token_of(l),
				.job = l->job,
				.phase = l->phase,
				.done = worker_tally_list(c, &t->done),
				.returned = worker_tally_list(c, &t->returned),
				.returned_why = t->returned_why,
				.totals = t->totals,
				.segment = t->segment,
				.whole = t->whole && !shard_set_is_empty(&t->done),
				.attempt = l->attempt};
	ret->failed.count = t->fail_count;
	ret->failed.items = worker_effect_alloc(c, t->fail_count * sizeof(struct failure));
	for (uint32_t i = 0; i < t->fail_count; i++)
		ret->failed.items[i] = (struct failure){.first = t->failed[i].range.first,
							.count = t->failed[i].range.count,
							.kind = t->failed[i].kind,
							.code = t->failed[i].code,
							.why = worker_effect_bytes(c, t->failed[i].why),
							.segment = t->failed[i].segment};
	ret->efforts.count = t->effort_count;
	ret->efforts.items = worker_effect_alloc(c, t->effort_count * sizeof(struct effort));
	if (t->effort_count > 0)
		memcpy(ret->efforts.items, t->efforts, t->effort_count * sizeof(struct effort));
}
