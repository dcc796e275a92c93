/* Random worlds: everything that can happen, in any order; after each step the invariants, at the end
 * each shard of each lease accounted for exactly once by what was acknowledged. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "tests/unit/worker/rig.h"

#define SEEDS 60
#define STEPS 400
#define LEASES 200
#define SHARDS 20

/* What the dispatcher knows of a lease. */
struct known {
	struct token token;
	struct range range;
	struct shard_set told; /* by acknowledged or to be acknowledged reports, of this session or before */
	bool killed;
	bool finish; /* its outcomes may come twice: nobody counts them any more */
};

struct world {
	struct rig rig;
	struct rng rng;
	struct known known[LEASES];
	uint32_t count;
	uint32_t seen; /* of rig.sent */
	uint64_t seq;  /* the last taken in this session */
	bool up;
};

static struct known *known_of(struct world *w, struct token t)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (w->known[i].token.lease == t.lease)
			return &w->known[i];
	cr_assert(false, "an outcome of a lease that was never granted");
	return NULL;
}

static void tell(struct world *w, const struct outcome *o, uint32_t first, uint32_t count)
{
	struct known *k = known_of(w, o->token);

	cr_assert_gt(count, 0);
	cr_assert(first >= k->range.first && (uint64_t)first + count <= range_end(k->range));
	cr_assert_eq(shard_set_add(&k->told, first, count), count, "lease %llu: %u+%u was told before",
		     (unsigned long long)o->token.lease, first, count);
}

/* Takes reports in sequence; a repeat is dropped by its number. */
static void dispatcher_reads(struct world *w)
{
	for (; w->seen < w->rig.sent_count; w->seen++) {
		const struct report *m = w->rig.sent[w->seen].body;

		if (w->rig.sent[w->seen].type != MESSAGE_REPORT || m->session != w->rig.session ||
		    m->seq <= w->seq)
			continue;
		cr_assert_eq(m->seq, w->seq + 1);
		w->seq++;
		for (uint32_t i = 0; i < m->outcomes.count; i++) {
			const struct outcome *o = &m->outcomes.items[i];

			for (uint32_t n = 0; n < o->done.count; n++)
				tell(w, o, o->done.items[n].first, o->done.items[n].count);
			for (uint32_t n = 0; n < o->returned.count; n++)
				tell(w, o, o->returned.items[n].first, o->returned.items[n].count);
			for (uint32_t n = 0; n < o->failed.count; n++)
				tell(w, o, o->failed.items[n].first, o->failed.items[n].count);
		}
	}
}

/* A new session: what is not acknowledged comes again, so the dispatcher of this test forgets it. */
static void reconnect(struct world *w)
{
	const struct register_worker *m;

	rig_step(&w->rig, (struct worker_input){.kind = WORKER_CONNECTED});
	m = rig_last(&w->rig, MESSAGE_REGISTER, 0);
	for (uint32_t i = 0; i < m->tokens.count; i++) {
		const struct held_token *h = &m->tokens.items[i];
		struct known *k = known_of(w, h->token);

		cr_assert(!k->killed, "a killed lease is listed");
		for (uint32_t n = 0; n < h->unreported.count; n++)
			shard_set_remove(&k->told, h->unreported.items[n].first,
					 h->unreported.items[n].count);
		for (uint32_t n = 0; n < h->running.count; n++)
			cr_assert(!shard_set_contains_any(&k->told, h->running.items[n]));
		for (uint32_t n = 0; n < h->unstarted.count; n++)
			cr_assert(!shard_set_contains_any(&k->told, h->unstarted.items[n]));
	}
	w->seen = w->rig.sent_count;
	w->seq = 0;
	if (rng_chance(&w->rng, 200000))
		w->rig.epoch++;
	rig_registered(&w->rig, rng_chance(&w->rng, 800000) ? TOKEN_KEEP : TOKEN_FINISH);
	w->up = true;
}

static void lease_some(struct world *w)
{
	struct lease l;
	struct leases m = {.session = w->rig.session, .leases = {&l, 1}};

	if (w->count == LEASES || !w->up)
		return;
	l = rig_lease_of(&w->rig, (uint32_t)rng_below(&w->rng, 1000),
			 1 + (uint32_t)rng_below(&w->rng, SHARDS));
	if (rng_chance(&w->rng, 300000)) {
		l.definition = BYTES(RIG_SHA_2, 32);
		l.job = 8;
	}
	w->known[w->count++] = (struct known){.token = l.token, .range = {l.first, l.count}};
	cr_assert_eq(rig_frame(&w->rig, MESSAGE_LEASES, &m), 0);
	if (rng_chance(&w->rng, 100000))
		cr_assert_eq(rig_frame(&w->rig, MESSAGE_LEASES, &m), 0);
}

static void slot_moves(struct world *w)
{
	uint32_t slot = (uint32_t)rng_below(&w->rng, 5);
	struct rig_cell *cell = rig_in_work(&w->rig, slot);

	if (cell == NULL)
		return;
	switch (rng_below(&w->rng, 8)) {
	case 0:
		rig_progress(&w->rig, slot, (uint32_t)(cell - w->rig.slots[slot].cells), false);
		return;
	case 1:
		rig_end(&w->rig, slot, FAILURE_EXIT, 0);
		return;
	case 2:
	case 3:
		rig_end(&w->rig, slot, 0, rng_below(&w->rng, 2));
		return;
	case 4:
		if (rng_chance(&w->rng, 200000))
			rig_lost(&w->rig, slot, rng_chance(&w->rng, 500000) ? FAILURE_LOST : FAILURE_OOM);
		return;
	default:
		rig_begin(&w->rig, slot, 1 + (uint32_t)rng_below(&w->rng, 4));
	}
}

static void dispatcher_moves(struct world *w)
{
	struct known *k = w->count ? &w->known[rng_below(&w->rng, w->count)] : NULL;

	if (!w->up)
		return;
	dispatcher_reads(w);
	switch (rng_below(&w->rng, 6)) {
	case 0:
		if (k != NULL)
			rig_revoke(&w->rig, k->token, k->range.first + (uint32_t)rng_below(&w->rng, SHARDS));
		return;
	case 1:
		if (k != NULL && rng_chance(&w->rng, 200000)) {
			k->killed = true;
			rig_kill(&w->rig, k->token);
		}
		return;
	default:
		rig_ack(&w->rig, w->seq);
	}
}

static void one_step(struct world *w)
{
	switch (rng_below(&w->rng, 12)) {
	case 0:
	case 1:
		lease_some(w);
		return;
	case 2:
	case 3:
		dispatcher_moves(w);
		return;
	case 4:
		rig_until(&w->rig, w->rig.now + (usec_t)rng_below(&w->rng, 30 * USEC_PER_MSEC));
		return;
	case 5:
		if (w->rig.sync != 0)
			rig_synced(&w->rig);
		return;
	case 6:
		if (rng_chance(&w->rng, 100000)) {
			rig_step(&w->rig, (struct worker_input){.kind = WORKER_DISCONNECTED});
			w->up = false;
		} else if (rng_chance(&w->rng, 100000)) {
			w->rig.now += 40 * USEC_PER_SEC;
			rig_tick(&w->rig);
			w->up = false;
		}
		return;
	case 7:
		if (!w->up)
			reconnect(w);
		return;
	default:
		slot_moves(w);
	}
}

/* The storm is over: everything runs to its end and is acknowledged. */
static void calm(struct world *w)
{
	if (!w->up)
		reconnect(w);
	for (int i = 0; i < 2000 && rig_view(&w->rig).leases > 0; i++) {
		for (uint32_t slot = 0; slot < RIG_SLOTS; slot++) {
			rig_begin(&w->rig, slot, UINT32_MAX);
			if (rig_in_work(&w->rig, slot) != NULL)
				rig_end(&w->rig, slot, 0, 1);
		}
		if (w->rig.sync != 0)
			rig_synced(&w->rig);
		rig_until(&w->rig, w->rig.now + 25 * USEC_PER_MSEC);
		dispatcher_reads(w);
		rig_ack(&w->rig, w->seq);
	}
	cr_assert_eq(rig_view(&w->rig).leases, 0, "leases are left over");
}

static void world_run(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	struct worker_config config = rig_config();

	rng_seed(&w->rng, seed);
	config.capacity.gpu_milli = 2000;
	rig_ready(&w->rig, &config, true);
	rig_parameters_of(&w->rig, RIG_SHA_2,
			  (struct resources){.cpu_milli = 1000, .gpu_milli = seed % 2 ? 600 : 1500}, 8);
	w->up = true;
	w->seq = 1;
	w->seen = w->rig.sent_count;
	for (int i = 0; i < STEPS; i++)
		one_step(w);
	calm(w);
	for (uint32_t i = 0; i < w->count; i++) {
		struct known *k = &w->known[i];

		if (!k->killed)
			cr_assert_eq(shard_set_count(&k->told), k->range.count,
				     "seed %llu: lease %llu: %u of %u", (unsigned long long)seed,
				     (unsigned long long)k->token.lease, shard_set_count(&k->told),
				     k->range.count);
		shard_set_fini(&k->told);
	}
	cr_assert_eq(worker_core_deadline(w->rig.core) < USEC_NEVER, true);
	rig_fini(&w->rig);
	free(w);
}

Test(random, worlds_account_for_each_shard_once)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		world_run(seed);
}

/* The same inputs give the same effects: nothing hangs on an address or a hash. */
Test(random, the_same_seed_gives_the_same_messages)
{
	struct buf texts[2] = {{0}, {0}};

	for (int run = 0; run < 2; run++) {
		struct world *w = calloc(1, sizeof(*w));
		struct worker_config config = rig_config();
		void *noise = malloc(run ? 100000 : 10); /* other addresses */

		rng_seed(&w->rng, 77);
		rig_ready(&w->rig, &config, true);
		w->up = true;
		w->seq = 1;
		w->seen = w->rig.sent_count;
		for (int i = 0; i < STEPS; i++)
			one_step(w);
		for (uint32_t i = 0; i < w->rig.sent_count; i++)
			codec_print(codec_union_find(&message_union, w->rig.sent[i].type)->codec(),
				    w->rig.sent[i].body, &texts[run]);
		for (uint32_t i = 0; i < w->count; i++)
			shard_set_fini(&w->known[i].told);
		rig_fini(&w->rig);
		free(noise);
		free(w);
	}
	cr_assert_gt(texts[0].size, 1000);
	cr_assert(bytes_equal(buf_bytes(&texts[0]), buf_bytes(&texts[1])));
	buf_fini(&texts[0]);
	buf_fini(&texts[1]);
}
