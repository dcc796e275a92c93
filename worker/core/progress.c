/* What slots say: shards ended, ends lowered, cells released, slots lost. */
#include "worker/core/state.h"

static struct slot *slot_at(const struct worker_core *c, uint32_t id)
{
	return id < c->slot_capacity && c->slots[id]->open ? c->slots[id] : NULL;
}

/* Each ended shard was begun, and ends once. That is our own slot's word: a breach is our bug. */
static void end_shards(struct part *p, uint32_t first, uint32_t count)
{
	CHECK(count > 0 && first >= p->first && (uint64_t)first + count <= p->next);
	CHECK(shard_set_add(&p->ended, first, count) == count);
}

static void take_outcomes(struct worker_core *c, struct part *p, const struct worker_slot_progress *in)
{
	struct held *l = p->lease;
	bool durable = worker_held_run(l, &p->definition->definition)->run.durable_output;
	struct done d = {.segment = in->segment, .unsynced = in->totals.output_bytes > 0, .whole = in->whole};
	uint64_t ended = 0;

	for (uint32_t i = 0; i < in->failed.count; i++)
		d.unsynced |= in->failed.items[i].segment > 0;
	d.unsynced &= durable;
	if (in->done.count > 0)
		worker_rest_succeeded(c);
	for (uint32_t i = 0; i < in->done.count; i++) {
		end_shards(p, in->done.items[i].first, in->done.items[i].count);
		ended += in->done.items[i].count;
		if (!l->killed)
			worker_tally_done(c, l, in->done.items[i], &d);
	}
	for (uint32_t i = 0; i < in->failed.count; i++) {
		end_shards(p, in->failed.items[i].first, in->failed.items[i].count);
		ended += in->failed.items[i].count;
		if (!l->killed)
			worker_tally_failed(c, l, &in->failed.items[i],
					    durable && in->failed.items[i].segment > 0);
	}
	if (ended > 0)
		worker_slot_timed(c, p, in->totals.run_us, ended);
	if (!l->killed && in->done.count + in->failed.count > 0) {
		worker_tally_costs(c, l, in);
		worker_tally_efforts(c, l, in, d.unsynced, durable);
	}
	for (int i = 0; in->run_counts != NULL && i < RUN_BUCKETS; i++)
		c->run_counts[i] += in->run_counts[i];
}

/* The first run of shards in work at or after `from`; false when there is none. */
static bool in_work(const struct part *p, uint64_t from, struct range *ret)
{
	uint64_t first = shard_set_next_absent(&p->ended, from > p->first ? from : p->first, p->next);
	struct range ended;
	uint64_t end = p->next;

	if (first >= p->next)
		return false;
	if (shard_set_next_range(&p->ended, first, &ended) && ended.first < end)
		end = ended.first;
	*ret = range_between(first, end);
	return true;
}

/* What was in work when the cell was released did not run to an end. True: there was such. */
static bool end_in_work(struct worker_core *c, struct part *p, uint8_t kind, int64_t code, struct bytes why)
{
	struct held *l = p->lease;
	struct range r;
	bool found = false;

	for (uint64_t at = 0; in_work(p, at, &r); at = range_end(r)) {
		found = true;
		if (l->killed)
			continue;
		if (PLANTED(lost_reported_done)) {
			worker_tally_done(c, l, r, &(struct done){0});
		} else if (failure_is_own(kind) || failure_is_workers(kind)) {
			struct failure f = {
			    .first = r.first, .count = r.count, .kind = kind, .code = code, .why = why};

			worker_tally_failed(c, l, &f, false);
		} else {
			worker_tally_returned(c, l, r.first, range_end(r), kind);
		}
	}
	return found;
}

static void release(struct worker_core *c, struct part *p)
{
	struct held *l = p->lease;

	if (l->killed || l->finish)
		c->report_wanted = true; /* its room counts as credit again */
	worker_part_destroy(c, p);
	worker_held_touch(c, l);
	worker_held_settle(c, l);
}

/* The cell's new end; what was cut off is the core's again. */
static void cut(struct worker_core *c, struct part *p, uint32_t end)
{
	uint32_t old_end = p->end;

	p->end = end;
	if (p->asked_end > end)
		p->asked_end = end;
	worker_held_take_back(c, p->lease, end, old_end, p->number);
	if (old_end > end)
		c->place_wanted = true;
}

int worker_slot_progress(struct worker_core *c, const struct worker_slot_progress *in, struct error *reterr)
{
	struct slot *s = slot_at(c, in->slot);
	struct part *p = s != NULL && in->cell < SLOT_CELLS ? s->cells[in->cell] : NULL;

	if (in->cell >= SLOT_CELLS)
		return error_set(reterr, ERR_INVALID, "progress of cell %u, a slot has %d", in->cell,
				 SLOT_CELLS);
	if (p == NULL || p->lease->key.lease != in->token.lease || p->lease->key.epoch != in->token.epoch)
		return 0;
	CHECK(in->next >= p->next && in->next <= in->end && in->end <= p->end);
	CHECK(!in->released || in->next == in->end);
	p->next = in->next;
	take_outcomes(c, p, in);
	cut(c, p, in->end);
	worker_held_touch(c, p->lease);
	if (!in->released)
		return 0;
	end_in_work(c, p, c->aborting ? FAILURE_PREEMPTED : FAILURE_LOST, 0, BYTES(NULL, 0));
	release(c, p);
	return 0;
}

/* The slot could not even begin: the rest of its older cell goes back, so that it does not try for ever. Of
 * the worker's own trouble the first shard is told as having met it: a failure has words, what is returned
 * has none. */
static void end_unbegun(struct worker_core *c, struct part *p, const struct worker_slot_lost *in)
{
	uint32_t first = p->next;
	struct failure f = {.first = first, .count = 1, .kind = in->kind, .code = in->code, .why = in->why};

	if (failure_is_workers(in->kind)) {
		worker_tally_failed(c, p->lease, &f, false);
		first++;
	}
	worker_tally_returned(c, p->lease, first, p->end,
			      failure_is_own(in->kind) || failure_is_workers(in->kind) ? FAILURE_LOST
										       : in->kind);
}

int worker_slot_lost(struct worker_core *c, const struct worker_slot_lost *in, struct error *reterr)
{
	struct slot *s = slot_at(c, in->slot);
	bool consumed = false;

	if (s == NULL)
		return error_set(reterr, ERR_INVALID, "slot %u is lost but was not open", in->slot);
	for (uint32_t i = 0; i < SLOT_CELLS; i++) {
		uint32_t cell = (s->turn + i) % SLOT_CELLS; /* the oldest first */
		struct part *p = s->cells[cell];

		if (p == NULL)
			continue;
		CHECK(in->next[cell] <= p->end);
		if (in->next[cell] > p->next)
			p->next = in->next[cell];
		consumed |= end_in_work(c, p, in->kind, in->code, in->why);
		if (!consumed && p->next < p->end) {
			consumed = true;
			if (!p->lease->killed)
				end_unbegun(c, p, in);
			p->end = p->next;
		}
		cut(c, p, p->next);
		release(c, p);
	}
	worker_slot_remove(c, s);
	return 0;
}
