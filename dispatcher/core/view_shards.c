/* How the shards of a phase in work stand, as runs. Each set gives its first runs behind the cursor; put in
 * order they are a page. What no set has is pending. */
#include <stdlib.h>

#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/view.h"

/* The first `max` runs of all that were added, in order; runs of no set are all known up to `known`. */
struct page {
	struct view_shards *items; /* room for 2 * max */
	size_t count, max;
	uint64_t known;
};

static int by_first(const void *a, const void *b)
{
	const struct view_shards *x = a, *y = b;

	return range_compare(x->shards, y->shards);
}

/* Keeps the first max. */
static void put_in_order(struct page *p)
{
	qsort(p->items, p->count, sizeof p->items[0], by_first);
	if (p->count <= p->max)
		return;
	p->count = p->max;
	if (range_end(p->items[p->max - 1].shards) < p->known)
		p->known = range_end(p->items[p->max - 1].shards);
}

static void add_set(struct page *p, const struct shard_set *set, uint64_t from, struct view_shards as)
{
	struct range r;
	size_t taken = 0;

	for (uint64_t at = from; taken < p->max && shard_set_next_range(set, at, &r) && r.first < p->known;
	     at = range_end(r), taken++) {
		as.shards = r;
		p->items[p->count++] = as;
		if (p->count == 2 * p->max)
			put_in_order(p);
	}
	if (taken == p->max && shard_set_next_range(set, range_end(r), &r) && r.first < p->known)
		p->known = r.first;
}

static void add_leases(struct page *p, const struct run *run, uint64_t from)
{
	const struct lease_entry *l;

	for (l = run->leases; l != NULL; l = l->job_next)
		add_set(p, &l->held, from,
			(struct view_shards){
			    .state = SHARD_LEASED, .attempt = l->attempt, .worker = l->worker->id});
}

static bool wants(uint32_t states, uint8_t state)
{
	return (states >> state) & 1;
}

/* What is pending is what no set has, so then all of them are asked. */
static void collect(struct page *p, const struct run *run, uint32_t states, uint64_t from)
{
	bool all = wants(states, SHARD_PENDING);

	if (all || wants(states, SHARD_DONE))
		add_set(p, &run->done, from, (struct view_shards){.state = SHARD_DONE});
	for (uint32_t i = 0; (all || wants(states, SHARD_DEAD)) && i < run->dead_count; i++)
		add_set(p, &run->dead[i].shards, from, (struct view_shards){.state = SHARD_DEAD});
	for (uint32_t i = 0; (all || wants(states, SHARD_DELAYED)) && i < run->delayed_count; i++)
		add_set(p, &run->delayed[i].shards, from, (struct view_shards){.state = SHARD_DELAYED});
	if (all || wants(states, SHARD_LEASED))
		add_leases(p, run, from);
	put_in_order(p);
}

static bool same(const struct view_shards *a, const struct view_shards *b)
{
	return a->state == b->state && a->attempt == b->attempt && a->worker.hi == b->worker.hi &&
	       a->worker.lo == b->worker.lo;
}

/* One that touches the last and is like it becomes part of it. False: there is no room. */
static bool append(struct view_shards out[], size_t *n, size_t max, const struct view_shards *v)
{
	if (*n > 0 && range_end(out[*n - 1].shards) == v->shards.first && same(&out[*n - 1], v)) {
		out[*n - 1].shards.count += v->shards.count;
		return true;
	}
	if (*n == max)
		return false;
	out[(*n)++] = *v;
	return true;
}

size_t dispatcher_view_shards(const struct dispatcher_core *core, uint64_t job, uint32_t states,
			      uint64_t *cursor, struct view_shards out[], size_t max)
{
	const struct job_row *row = job_get_live(core, job);
	struct page p = {.max = max};
	uint64_t at = *cursor, end;
	size_t n = 0;

	if (row == NULL || at >= row->shard_count || max == 0)
		return 0;
	p.known = end = row->shard_count;
	p.items = check_calloc(2 * max, sizeof p.items[0]);
	if (row->run != NULL)
		collect(&p, row->run, states, at);
	for (size_t i = 0; i <= p.count; i++) {
		const uint64_t next = i < p.count ? p.items[i].shards.first : p.known;
		const struct view_shards gap = {.state = SHARD_PENDING,
						.shards = range_between(at, next > at ? next : at)};

		if (gap.shards.count > 0 && wants(states, SHARD_PENDING) && !append(out, &n, max, &gap))
			break;
		at = next > at ? next : at;
		if (i == p.count || (wants(states, p.items[i].state) && !append(out, &n, max, &p.items[i])))
			break;
		at = range_end(p.items[i].shards);
	}
	free(p.items);
	*cursor = at;
	return n;
}

struct bytes dispatcher_view_host(const struct dispatcher_core *core, const struct uuid *worker,
				  struct arena *arena)
{
	const struct worker *w = worker_find(&core->d, *worker);
	struct register_worker *m = arena_alloc(arena, sizeof *m);

	if (w == NULL || w->session == NULL || m == NULL ||
	    codec_decode(codec_register_worker(), blob_bytes(&w->session->registered), m, arena, NULL) < 0)
		return (struct bytes){0};
	return arena_copy(arena, m->host);
}
