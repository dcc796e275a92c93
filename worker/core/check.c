/* The invariants, and what people see. */
#include "base/constants.h"
#include "worker/core/state.h"

/* Adds what was not there before: the sets of a lease are disjoint. */
static void add_once(struct shard_set *all, const struct shard_set *s)
{
	CHECK(shard_set_unite(all, s) == shard_set_count(s));
}

static void add_range_once(struct shard_set *all, uint32_t first, uint32_t end)
{
	CHECK(first <= end);
	CHECK(shard_set_add(all, first, end - first) == end - first);
}

static void part_check(const struct worker_core *c, const struct part *p)
{
	CHECK(p->first <= p->next && p->next <= p->end && p->end <= range_end(p->lease->range));
	CHECK(p->asked_end <= p->end); /* and maybe below next: the slot was faster */
	if (p->place == PART_ARMED) {
		CHECK(p->slot->open && p->slot->cells[p->cell] == p);
		CHECK(c->slots[p->slot->id] == p->slot);
		CHECK(p->definition != NULL && p->job != NULL);
	} else {
		CHECK(p->first < p->end && p->next == p->first && shard_set_is_empty(&p->ended));
		CHECK(worker_held_starts(c, p->lease) && p->end <= p->lease->keep_end);
	}
}

/* TOUCHED: the numbers add up. */
static void counts_check(const struct held *l)
{
	uint64_t sum = shard_set_count(&l->acked);
	const struct part *p;
	const struct tally *t;

	DL_FOREACH2(l->parts, p, lease_next)
	sum += (uint64_t)(p->end - p->first) - shard_set_count(&p->ended);
	DL_FOREACH2(l->tallies, t, lease_next)
	sum += worker_tally_shards(t);
	CHECK(sum == l->range.count);
}

/* FULL: range = acknowledged ∪ unreported ∪ running ∪ unstarted, disjoint. */
static void sets_check(const struct held *l)
{
	struct shard_set all;
	struct range r;
	const struct part *p;
	const struct tally *t;

	shard_set_init(&all);
	add_once(&all, &l->acked);
	DL_FOREACH2(l->tallies, t, lease_next)
	{
		CHECK(t->list != NULL && worker_tally_shards(t) > 0);
		add_once(&all, &t->done);
		add_once(&all, &t->returned);
		for (uint32_t i = 0; i < t->fail_count; i++)
			add_range_once(&all, t->failed[i].range.first,
				       (uint32_t)range_end(t->failed[i].range));
	}
	DL_FOREACH2(l->parts, p, lease_next)
	{
		CHECK(shard_set_contains_all(&all, (struct range){p->first, 0}));
		for (uint64_t at = p->first; at < p->end;) {
			uint64_t absent = shard_set_next_absent(&p->ended, at, p->end);

			if (!shard_set_next_range(&p->ended, absent, &r) || r.first >= p->end)
				r = range_between(p->end, p->end);
			add_range_once(&all, (uint32_t)absent, r.first);
			at = range_end(r);
		}
	}
	CHECK(shard_set_count(&all) == l->range.count);
	CHECK(shard_set_contains_all(&all, l->range));
	shard_set_fini(&all);
}

void worker_held_check(const struct worker_core *c, const struct held *l, enum check_depth depth)
{
	const struct part *p;

	CHECK(l->parts != NULL || l->tallies != NULL);
	DL_FOREACH2(l->parts, p, lease_next)
	{
		CHECK(p->lease == l);
		if (!l->killed)
			part_check(c, p);
	}
	if (l->killed) {
		CHECK(l->tallies == NULL);
		return;
	}
	counts_check(l);
	if (depth == CHECK_FULL)
		sets_check(l);
}

static void cells_check(const struct slot *s)
{
	uint64_t shards = 0;
	uint32_t armed = 0;

	for (uint32_t i = 0; s->open && i < SLOT_CELLS; i++)
		if (s->cells[i] != NULL) {
			shards += s->cells[i]->armed_shards;
			armed++;
		}
	CHECK(!s->open || (s->armed == armed && s->shards == shards));
}

static void slots_check(const struct worker_core *c)
{
	struct amounts used = {0};
	struct gpus gpus = c->used.gpus;
	const struct shape_class *k;
	const struct slot *s;
	uint32_t open = 0;

	DL_FOREACH (c->classes, k) {
		uint32_t of_class = 0;

		worker_line_check(&k->line);
		DL_FOREACH (k->idle, s)
			CHECK(s->armed == 0);
		DL_FOREACH (k->half, s)
			CHECK(s->armed > 0 && s->cells[s->turn] == NULL);
		DL_FOREACH (k->full, s)
			CHECK(s->armed >= SLOT_PARTS_MIN || s->cells[s->turn] != NULL);
		for (uint32_t id = 0; id < c->slot_capacity; id++)
			of_class += c->slots[id]->open && c->slots[id]->class == k;
		CHECK(of_class == k->slots_open);
		for (uint32_t i = 0; i < of_class; i++)
			amounts_add(&used, k->amounts);
		open += of_class;
	}
	CHECK(open == c->slots_open);
	CHECK(memcmp(&used, &c->used.used, sizeof(used)) == 0);
	for (uint32_t id = 0; id < c->slot_capacity; id++)
		cells_check(c->slots[id]);
	for (size_t i = 0; i < AMOUNTS; i++)
		CHECK(c->used.used.v[i] <= c->capacity.v[i]);
	/* What no slot has is left, and no more than the whole of each. */
	for (uint32_t id = 0; id < c->slot_capacity; id++)
		if (c->slots[id]->open) {
			CHECK(c->slots[id]->gpus.milli == c->slots[id]->class->amounts.v[AMOUNT_GPUS]);
			gpus_give_back(&gpus, &c->slots[id]->gpus);
		}
	for (uint32_t i = 0; i < gpus.count; i++)
		CHECK(gpus.free_milli[i] == GPU_MILLI);
}

static void reports_check(const struct worker_core *c)
{
	const struct sent_report *r;
	uint64_t seq = 0;
	uint32_t count = 0;

	DL_FOREACH (c->reports, r) {
		CHECK(r->seq > seq && r->seq <= c->seq);
		CHECK(seq == 0 || r->seq == seq + 1);
		seq = r->seq;
		count++;
	}
	CHECK(count == c->report_count && (seq == 0 || seq == c->seq));
}

static void params_check(const struct worker_core *c)
{
	const struct params_entry *e, *tmp;
	uint64_t slices = 0, named = 0, wanted = 0;
	const struct held *l, *ltmp;

	HASH_ITER (hh, c->leases, l, ltmp) {
		slices += l->slice.size;
		named += (l->definition != NULL) + (l->parameters != NULL);
	}
	HASH_ITER (hh, c->params, e, tmp)
		wanted += e->wanted;
	CHECK(slices == c->slice_bytes && named == wanted);
	DL_FOREACH (c->missing, e)
		CHECK(e->value == NULL && e->wanted > 0);
	DL_FOREACH (c->spare, e)
		CHECK(e->value != NULL && e->wanted == 0);
}

void worker_core_check(const struct worker_core *c, enum check_depth depth)
{
	const struct held *l, *tmp;

	if (depth == CHECK_TOUCHED) {
		for (l = c->touched; l != NULL; l = l->touched_next)
			worker_held_check(c, l, depth);
		return;
	}
	HASH_ITER (hh, c->leases, l, tmp)
		worker_held_check(c, l, depth);
	slots_check(c);
	reports_check(c);
	params_check(c);
}

void worker_core_view(const struct worker_core *c, struct worker_view *ret)
{
	const struct held *l, *tmp;
	const struct part *p;
	const struct tally *t;

	*ret = c->totals;
	ret->link = c->link;
	ret->session = c->session;
	ret->epoch = c->epoch;
	ret->cut_off = c->cut_off;
	ret->draining = c->draining;
	ret->resting = worker_is_resting(c);
	ret->slots_open = c->slots_open;
	ret->reports_unacknowledged = c->report_count;
	ret->leases = HASH_COUNT(c->leases);
	for (uint32_t id = 0; id < c->slot_capacity; id++)
		ret->slots_busy += c->slots[id]->open && c->slots[id]->armed > 0;
	HASH_ITER (hh, c->leases, l, tmp) {
		DL_FOREACH2(l->parts, p, lease_next)
		{
			ret->running += p->next - p->first - shard_set_count(&p->ended);
			ret->unstarted += p->end - p->next;
		}
		DL_FOREACH2(l->tallies, t, lease_next)
		ret->unreported += worker_tally_shards(t);
	}
}
