/* Leases and their parts: taken in, queued, cut, given back, killed, forgotten. */
#include "worker/core/state.h"

#include <stdio.h>

struct token worker_held_token_of(const struct held *l)
{
	return (struct token){.epoch = l->key.epoch, .lease = l->key.lease};
}

struct held *worker_held_find(struct worker_core *c, struct token t)
{
	struct token_key key = {.lease = t.lease, .epoch = t.epoch};
	struct held *l;

	HASH_FIND(hh, c->leases, &key, sizeof(key), l);
	return l;
}

void worker_held_touch(struct worker_core *c, struct held *l)
{
	if (l->touched)
		return;
	l->touched = true;
	l->touched_next = c->touched;
	c->touched = l;
}

bool worker_held_starts(const struct worker_core *c, const struct held *l)
{
	return !c->draining && !worker_is_resting(c) && !l->killed && !l->finish;
}

/* ---- parts ---- */

static struct part *part_create(struct worker_core *c, struct held *l, uint64_t first, uint64_t end,
				uint64_t number)
{
	struct part *p = check_calloc(1, sizeof(*p));

	p->lease = l;
	p->first = p->next = (uint32_t)first;
	p->end = p->asked_end = (uint32_t)end;
	p->number = number;
	p->turn = l->rank.queue_turn;
	p->place = PART_WAITING;
	DL_APPEND2(c->waiting, p, prev, next_part);
	DL_APPEND2(l->parts, p, lease_prev, lease_next);
	return p;
}

static void part_unqueue(struct worker_core *c, struct part *p)
{
	if (p->place == PART_WAITING)
		DL_DELETE2(c->waiting, p, prev, next_part);
	else if (p->place == PART_QUEUED)
		worker_line_remove(&p->class->line, p);
}

void worker_part_destroy(struct worker_core *c, struct part *p)
{
	part_unqueue(c, p);
	if (p->place == PART_ARMED)
		worker_slot_free_cell(c, p);
	DL_DELETE2(p->lease->parts, p, lease_prev, lease_next);
	shard_set_fini(&p->ended);
	free(p);
}

/* What can never run here fails in words; the dispatcher should not have sent it. */
static void part_fail(struct worker_core *c, struct part *p, const char *why)
{
	struct failure f = {
	    .first = p->first, .count = p->end - p->first, .kind = FAILURE_NO_PROGRAM, .why = bytes_of(why)};

	worker_tally_failed(c, p->lease, &f, false);
	worker_part_destroy(c, p);
}

const struct phase_run *worker_held_run(const struct held *l, const struct run_definition *d)
{
	return &d->phases.items[l->phase < d->phases.count ? l->phase : d->phases.count - 1];
}

/* Waiting parts whose parameters are here go to the queue of their shape. */
static void part_route(struct worker_core *c, struct part *p)
{
	struct held *l = p->lease;
	const struct run_definition *d;
	struct shape_class *k;
	char why[WHY_BYTES_MAX];

	if (l->definition->value == NULL || l->parameters->value == NULL)
		return;
	d = &l->definition->value->definition;
	if (d->phases.count == 0 || (l->phase > 0 && d->phases.count == 1)) {
		snprintf(why, sizeof(why), "the lease is of phase %u, the definition has %u", l->phase,
			 d->phases.count);
		part_fail(c, p, why);
		return;
	}
	k = worker_class_of(c, &worker_held_run(l, d)->run.shape, l->memory_bytes, why, sizeof(why));
	if (k == NULL) {
		part_fail(c, p, why);
		return;
	}
	part_unqueue(c, p);
	p->place = PART_QUEUED;
	p->class = k;
	worker_line_add(&k->line, p);
	if (worker_line_first(&k->line) == p || k->arrived > 0)
		k->arrived++;
	c->place_wanted = true;
}

void worker_held_resolve(struct worker_core *c)
{
	struct part *p, *tmp;

	DL_FOREACH_SAFE2(c->waiting, p, tmp, next_part)
	{
		worker_held_touch(c, p->lease);
		part_route(c, p);
	}
}

/* ---- taking in ---- */

static bool lease_makes_sense(const struct lease *w)
{
	struct range r = {w->first, w->count};

	return w->token.epoch > 0 && w->token.lease > 0 && range_is_valid(r, SHARDS_MAX) &&
	       w->definition.size == SHA256_BYTES;
}

/* Ids first..last are forgotten. */
static void unsee(struct worker_core *c, uint64_t first, uint64_t last)
{
	uint32_t slot = (uint32_t)(first % LEASE_ID_MODULUS);
	uint32_t count = last - first >= LEASE_ID_MODULUS ? LEASE_ID_MODULUS : (uint32_t)(last - first + 1);
	uint32_t up = count < LEASE_ID_MODULUS - slot ? count : LEASE_ID_MODULUS - slot;

	shard_set_remove(&c->leases_seen, slot, up);
	shard_set_remove(&c->leases_seen, 0, count - up);
}

/* Whether the session has brought this lease before. Exact for the last LEASES_REMEMBERED ids; what is
 * older than that counts as a repeat. (Frames may overtake each other where one waits for its slice.) */
static bool seen_before(struct worker_core *c, uint64_t id)
{
	uint64_t high = c->lease_high;
	uint32_t slot = (uint32_t)(id % LEASE_ID_MODULUS);

	if (id + LEASES_REMEMBERED <= high || (id <= high && shard_set_contains(&c->leases_seen, slot)))
		return true;
	if (id > high) {
		if (id >= LEASES_REMEMBERED)
			unsee(c, high >= LEASES_REMEMBERED ? high - LEASES_REMEMBERED : 0,
			      id - LEASES_REMEMBERED);
		c->lease_high = id;
	}
	shard_set_add(&c->leases_seen, slot, 1);
	return false;
}

static void take(struct worker_core *c, const struct lease *w)
{
	bool room = HASH_COUNT(c->leases) < c->config.tokens_max &&
		    c->slice_bytes + w->slice.size <= c->config.slice_bytes_max;
	struct held *l = check_calloc(1, sizeof(*l));

	l->key = (struct token_key){.lease = w->token.lease, .epoch = w->token.epoch};
	l->job = w->job;
	l->phase = w->phase;
	l->attempt = w->attempt;
	l->range = (struct range){w->first, w->count};
	l->memory_bytes = w->memory_bytes;
	l->rank = w->rank;
	l->keep_end = room ? range_end(l->range) : l->range.first;
	HASH_ADD(hh, c->leases, key, sizeof(l->key), l);
	if (room && worker_held_starts(c, l)) {
		l->definition = worker_params_want_definition(c, w->definition);
		l->parameters = worker_params_want_job(c, w->job, w->phase);
		l->slice.size = w->slice.size;
		l->slice.data = memcpy(check_calloc(w->slice.size + 1, 1),
				       w->slice.size ? w->slice.data : (const uint8_t *)"", w->slice.size);
		c->slice_bytes += w->slice.size;
	}
	worker_held_touch(c, l);
	worker_held_take_back(c, l, l->range.first, range_end(l->range), c->part_number++);
}

int worker_held_take_leases(struct worker_core *c, const struct leases *m, struct error *reterr)
{
	uint32_t senseless = 0;

	if (!worker_session_is(c, m->session) && !PLANTED(stale_session_lease_started)) {
		c->totals.leases_dropped += m->leases.count;
		return 0;
	}
	for (uint32_t i = 0; i < m->leases.count; i++) {
		const struct lease *w = &m->leases.items[i];
		bool repeated;

		if (!lease_makes_sense(w)) {
			senseless++;
			c->totals.leases_dropped++;
			continue;
		}
		repeated = PLANTED(stale_session_lease_started)
			       ? worker_held_find(c, w->token) != NULL
			       : w->token.epoch != c->epoch || seen_before(c, w->token.lease);
		if (repeated)
			c->totals.leases_dropped++;
		else
			take(c, w);
	}
	return senseless == 0
		   ? 0
		   : error_set(reterr, ERR_INVALID, "%u of %u leases have no token, range or sha256",
			       senseless, m->leases.count);
}

/* ---- giving back ---- */

void worker_held_take_back(struct worker_core *c, struct held *l, uint64_t first, uint64_t end,
			   uint64_t number)
{
	uint64_t keep = l->keep_end < first ? first : l->keep_end > end ? end : l->keep_end;

	if (l->killed || first >= end)
		return;
	if (keep < end)
		worker_tally_returned(c, l, PLANTED(revoked_tail_off_by_one) ? keep + 1 : keep, end,
				      FAILURE_REVOKED);
	if (first == keep)
		return;
	if (worker_held_starts(c, l))
		part_route(c, part_create(c, l, first, keep, number));
	else
		worker_tally_returned(c, l, first, keep, c->draining ? FAILURE_DRAINED : FAILURE_REVOKED);
}

void worker_held_trim(struct worker_core *c, struct held *l)
{
	uint64_t limit = worker_held_starts(c, l) ? l->keep_end : 0;
	struct part *p, *tmp;

	DL_FOREACH_SAFE2(l->parts, p, tmp, lease_next)
	{
		uint32_t low = limit > p->first ? (uint32_t)limit : p->first;
		uint32_t end = p->end;

		if (limit >= end)
			continue;
		if (p->place == PART_ARMED) {
			worker_slot_lower(c, p, low);
			continue;
		}
		p->end = p->asked_end = low;
		if (p->first == p->end)
			worker_part_destroy(c, p);
		worker_held_take_back(c, l, low, end, 0);
	}
	worker_held_touch(c, l);
	c->place_wanted = true;
}

void worker_held_revoke(struct worker_core *c, struct held *l, uint32_t keep_end)
{
	if (l->killed || keep_end >= l->keep_end)
		return;
	l->keep_end = keep_end;
	worker_held_trim(c, l);
}

void worker_held_finish(struct worker_core *c, struct held *l)
{
	if (l->killed || l->finish)
		return;
	l->finish = true;
	c->strays++;
	c->report_wanted = true; /* its slots are not in the dispatcher's sums: the credit is less */
	worker_held_trim(c, l);
}

void worker_held_kill(struct worker_core *c, struct held *l)
{
	struct part *p, *tmp;

	if (l->killed)
		return;
	c->strays += !l->finish;
	l->killed = true;
	while (l->tallies != NULL)
		worker_tally_destroy(l->tallies);
	DL_FOREACH_SAFE2(l->parts, p, tmp, lease_next)
	{
		if (p->place == PART_ARMED)
			worker_slot_stop(c, p);
		else
			worker_part_destroy(c, p);
	}
	c->report_wanted = true;
	c->place_wanted = true;
	worker_held_settle(c, l);
}

/* ---- the end ---- */

void worker_held_destroy(struct worker_core *c, struct held *l)
{
	for (struct held **at = &c->touched; l->touched && *at != NULL; at = &(*at)->touched_next)
		if (*at == l) {
			*at = l->touched_next;
			break;
		}
	while (l->tallies != NULL)
		worker_tally_destroy(l->tallies);
	while (l->parts != NULL)
		worker_part_destroy(c, l->parts);
	HASH_DELETE(hh, c->leases, l);
	c->strays -= l->killed || l->finish;
	worker_params_unwant(c, l->definition);
	worker_params_unwant(c, l->parameters);
	c->slice_bytes -= l->slice.size;
	free((void *)l->slice.data);
	shard_set_fini(&l->acked);
	free(l);
}

void worker_held_settle(struct worker_core *c, struct held *l)
{
	if (l->parts != NULL || l->tallies != NULL)
		return;
	CHECK(l->killed || shard_set_count(&l->acked) == l->range.count);
	worker_held_destroy(c, l);
}
