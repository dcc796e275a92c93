/* Random days of a dispatcher with workers that work, fail, leave, die and come back, and a dispatcher
 * that restarts, carries forward and trims. check(FULL) after each step; now and then the journal is
 * replayed and must give the same state; each shard is done once, and each job ends. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "jobs/shard_set.h"
#include "tests/support/effort.h"
#include "tests/unit/dispatcher/kit.h"

#define WORKERS 5
#define JOBS_MAX 512
#define PHASES 8
#define UNACKED_MAX 512

struct piece {
	struct token token;
	uint64_t job;
	uint32_t phase;
	uint8_t kind; /* 0 done, 1 failed, 2 returned */
	struct range shards;
	uint64_t seq;
};

struct held {
	struct token token;
	uint64_t job;
	uint32_t phase;
	struct shard_set left;
};

struct mill {
	struct held held[1024];
	uint32_t held_count;
	struct piece unacked[UNACKED_MAX];
	uint32_t unacked_count;
	uint32_t taken; /* of the kit's leases */
	bool up;
};

static struct kit k;
static struct mill mills[WORKERS];
static struct rng rng;
static struct shard_set won[JOBS_MAX][PHASES];
static uint32_t ends[JOBS_MAX];

/* What history would say: each shard has one winner. */
static void on_record(uint32_t type, const void *record)
{
	const struct outcomes_taken *r = record;

	if (type == RECORD_ENDED) { /* written again when it is carried: the same end */
		const struct job_ended *e = record;

		cr_assert(ends[e->job] == 0 || ends[e->job] == e->state);
		ends[e->job] = e->state;
	}
	if (type != RECORD_OUTCOMES)
		return;
	for (uint32_t i = 0; i < r->outcomes.count; i++)
		for (uint32_t n = 0; n < r->outcomes.items[i].done.count; n++) {
			struct range s = r->outcomes.items[i].done.items[n];
			struct shard_set *set = &won[r->outcomes.items[i].job][r->outcomes.items[i].phase];

			cr_assert_eq(shard_set_add(set, s.first, s.count), s.count, "a shard is done twice");
		}
}

static void forget(struct mill *m, uint32_t at)
{
	shard_set_fini(&m->held[at].left);
	m->held[at] = m->held[--m->held_count];
}

static void take_new_leases(uint32_t w)
{
	struct mill *m = &mills[w];
	struct kit_worker *kw = &k.workers[w];

	for (; m->taken < kw->lease_count; m->taken++) {
		struct kit_lease *l = &kw->leases[m->taken];
		struct held *h = &m->held[m->held_count++];

		cr_assert_leq(m->held_count, ARRAY_LENGTH(m->held));
		*h = (struct held){.token = l->token, .job = l->job, .phase = l->phase};
		shard_set_add(&h->left, l->first, l->count);
	}
	kw->lease_count = m->taken = 0;
}

/* Those that the job's end took. */
static void drop_dead_jobs(struct mill *m)
{
	for (uint32_t i = m->held_count; i > 0; i--) {
		struct view_job v = kit_view(&k, m->held[i - 1].job);

		if (v.state != JOB_ACTIVE || v.phase != m->held[i - 1].phase)
			forget(m, i - 1);
	}
}

static void drop_acked(uint32_t w)
{
	struct mill *m = &mills[w];
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->unacked_count; i++)
		if (m->unacked[i].seq > k.workers[w].acked)
			m->unacked[n++] = m->unacked[i];
	m->unacked_count = n;
}

static void report_pieces(uint32_t w, struct piece *pieces, uint32_t count)
{
	struct outcome *outcomes = calloc(count + 1, sizeof *outcomes);
	struct failure *failures = calloc(count + 1, sizeof *failures);

	for (uint32_t i = 0; i < count; i++) {
		struct piece *p = &pieces[i];
		struct outcome *o = &outcomes[i];

		*o = (struct outcome){.token = p->token, .job = p->job, .phase = p->phase};
		failures[i] = (struct failure){p->shards.first, p->shards.count, FAILURE_EXIT, 1, {0}, 0};
		if (p->kind == 0)
			o->done = (struct range_list){&p->shards, 1};
		else if (p->kind == 1)
			o->failed = (struct failure_list){&failures[i], 1};
		else
			o->returned = (struct range_list){&p->shards, 1};
		o->totals.run_us = p->kind == 2 ? 0 : 5000ull * p->shards.count;
		p->seq = k.workers[w].seq + 1;
	}
	kit_report(&k, w, outcomes, count);
	free(outcomes);
	free(failures);
}

/* Some of the first run of a lease comes to an end. */
static void work(uint32_t w, bool finish)
{
	struct mill *m = &mills[w];
	struct piece *p = &m->unacked[m->unacked_count];
	struct held *h;
	uint32_t at;

	if (!m->up || m->held_count == 0 || m->unacked_count == UNACKED_MAX)
		return;
	at = (uint32_t)rng_below(&rng, m->held_count);
	h = &m->held[at];
	*p = (struct piece){.token = h->token, .job = h->job, .phase = h->phase};
	if (finish || !rng_chance(&rng, 200000)) {
		p->shards =
		    shard_set_take_first(&h->left, finish ? UINT32_MAX : 1 + (uint32_t)rng_below(&rng, 40));
		p->kind = !finish && rng_chance(&rng, 150000) ? 1 : 0;
	} else {
		p->shards = shard_set_take_first(&h->left, 1 + (uint32_t)rng_below(&rng, 100));
		p->kind = 2;
	}
	m->unacked_count++;
	if (shard_set_is_empty(&h->left))
		forget(m, at);
	report_pieces(w, p, 1);
}

static void join(uint32_t w)
{
	struct mill *m = &mills[w];
	struct held_token *tokens = calloc(m->held_count + m->unacked_count + 1u, sizeof *tokens);
	struct held_token_list list = {tokens, 0};
	struct arena arena;
	struct piece again[UNACKED_MAX];
	uint32_t resend = m->unacked_count;

	arena_init(&arena, 0);
	for (uint32_t i = 0; i < m->held_count && list.count < 60; i++) {
		struct held_token *t = &tokens[list.count++];
		uint32_t runs = shard_set_run_count(&m->held[i].left);

		*t = (struct held_token){
		    .token = m->held[i].token, .job = m->held[i].job, .phase = m->held[i].phase};
		t->unstarted.items = arena_alloc(&arena, runs * sizeof(struct range));
		t->unstarted.count =
		    (uint32_t)shard_set_ranges(&m->held[i].left, &(uint64_t){0}, t->unstarted.items, runs);
	}
	while (m->held_count > list.count)
		forget(m, m->held_count - 1);
	for (uint32_t i = 0; i < m->unacked_count; i++) {
		struct held_token *t = NULL;

		for (uint32_t n = 0; n < m->held_count && t == NULL; n++)
			if (tokens[n].token.lease == m->unacked[i].token.lease &&
			    tokens[n].token.epoch == m->unacked[i].token.epoch)
				t = &tokens[n];
		if (t == NULL || t->unreported.count > 0)
			continue; /* of a lease that is through otherwise: told late */
		t->unreported = (struct range_list){&m->unacked[i].shards, 1};
	}
	m->up = true;
	k.workers[w].cpu_milli = 1000 + 1000 * w;
	k.workers[w].session = 0;
	kit_register_with(&k, w, list);
	kit_durable(&k);
	for (uint32_t i = list.count; i > 0; i--)
		if (k.workers[w].verdicts[i - 1].verdict != TOKEN_KEEP)
			forget(m, i - 1);
	for (uint32_t i = 0; i < resend; i++)
		again[i] = m->unacked[i];
	m->unacked_count = 0;
	for (uint32_t i = 0; i < resend; i++) {
		m->unacked[m->unacked_count++] = again[i];
		report_pieces(w, &m->unacked[m->unacked_count - 1], 1);
	}
	arena_fini(&arena);
	free(tokens);
}

static void die(uint32_t w)
{
	struct mill *m = &mills[w];

	while (m->held_count > 0)
		forget(m, m->held_count - 1);
	m->unacked_count = 0;
	m->up = false;
	k.workers[w].lease_count = m->taken = 0;
	k.workers[w].id.lo += 1000; /* another process */
	k.workers[w].serial = 0;
}

static uint64_t submit(void)
{
	struct kit_job job = {.shards = 1 + (uint32_t)rng_below(&rng, rng_chance(&rng, 300000) ? 3000 : 20),
			      .attempts = 2 + (uint32_t)rng_below(&rng, 3),
			      .tolerate_kind = rng_chance(&rng, 700000) ? TOLERATE_PPM : TOLERATE_COUNT,
			      .tolerate = rng_chance(&rng, 700000) ? 900000 : 2,
			      .gather = rng_chance(&rng, 400000),
			      .fanin = rng_chance(&rng, 500000) ? 8 : 0,
			      .priority = (int64_t)rng_below(&rng, 2),
			      .queue = rng_chance(&rng, 500000) ? "a" : "b",
			      .cpu_milli = rng_chance(&rng, 500000) ? 1000 : 2000,
			      .due_wall_us = rng_chance(&rng, 100000) ? k.wall_us + USEC_PER_SEC : 0,
			      .key = rng_chance(&rng, 500000) ? 1 + rng_below(&rng, 300) : 0,
			      .planner = rng_chance(&rng, 100000) ? PLANNER_LINES : 0};

	if (job.shards <= 20 && rng_chance(&rng, 300000)) /* which is leased shard by shard */
		job.named = (struct named_amount){BYTES_LIT("licence"), 1000};
	return kit_submit(&k, job);
}

static uint64_t some_job(void)
{
	struct view_counters c;

	dispatcher_view_counters(k.core, &c);
	return rng_below(&rng, c.next_job);
}

static void plan_on(uint64_t job)
{
	struct view_job v = kit_view(&k, job);
	struct input_piece piece = {.job = job, .count = 5, .blob = BYTES_LIT("b"), .cursor = BYTES_LIT("c")};
	struct input_sealed sealed = {.job = job};
	struct input_plan_failed failed = {.job = job, .kind = FAILURE_PLAN, .why = BYTES_LIT("w")};

	if (v.state != JOB_ACTIVE || v.sealed)
		return;
	if (rng_chance(&rng, 500000))
		kit_step(&k, INPUT_PIECE, &piece);
	else if (rng_chance(&rng, 800000))
		kit_step(&k, INPUT_SEALED, &sealed);
	else
		kit_step(&k, INPUT_PLAN_FAILED, &failed);
}

static void carry(void)
{
	uint64_t span = k.durable_lsn - k.first_lsn, oldest;
	bool done = false;

	if (span < 50)
		return;
	oldest = k.first_lsn + rng_below(&rng, span);
	for (uint32_t i = 0; i < 200 && !done; i++) {
		done = kit_carry(&k, oldest, 1 + (uint32_t)rng_below(&rng, 3000),
				 1 + (uint32_t)rng_below(&rng, 3));
		work((uint32_t)rng_below(&rng, WORKERS), false); /* life goes on in between */
	}
	kit_durable(&k);
	if (!done)
		return;
	kit_history(&k);
	kit_trim(&k, oldest);
	kit_compare_replay(&k);
}

static void restart(void)
{
	kit_restart(&k);
	kit_durable(&k);
	for (uint32_t w = 0; w < WORKERS; w++) {
		k.workers[w].lease_count = mills[w].taken = 0;
		if (mills[w].up && rng_chance(&rng, 700000))
			join(w);
	}
}

static void one_thing(void)
{
	uint32_t w = (uint32_t)rng_below(&rng, WORKERS), what = (uint32_t)rng_below(&rng, 1000);
	struct input_settled settled = {some_job()};
	struct input_retry retry = {.request = 1, .job = some_job()};
	struct input_pause pause = {.request = 1,
				    .job = some_job(),
				    .resume = rng_chance(&rng, 700000),
				    .why = BYTES_LIT("p"),
				    .by = {.kind = BY_UID, .number = 1000}};

	if (what < 600) {
		work(w, false);
	} else if (what < 700) {
		submit();
	} else if (what < 780) {
		kit_pass(&k, (usec_t)rng_below(&rng, 3000000), 0);
	} else if (what < 800) {
		kit_idle(&k, w);
	} else if (what < 830) {
		if (!mills[w].up || rng_chance(&rng, 200000))
			join(w);
	} else if (what < 840) {
		kit_gone(&k, w);
		die(w);
	} else if (what < 845) {
		die(w); /* nobody tells: it is silent */
	} else if (what < 860) {
		kit_cancel(&k, some_job());
	} else if (what < 870) {
		kit_step(&k, INPUT_PAUSE, &pause);
	} else if (what < 880) {
		kit_step(&k, INPUT_RETRY, &retry);
	} else if (what < 900) {
		kit_step(&k, INPUT_SETTLED, &settled);
	} else if (what < 940) {
		plan_on(some_job());
	} else if (what < 945) {
		restart();
	} else if (what < 955) {
		carry();
	} else if (what < 975) {
		kit_durable(&k);
		kit_history(&k);
	} else {
		k.auto_durable = !k.auto_durable;
	}
}

static void look_around(void)
{
	for (uint32_t w = 0; w < WORKERS; w++) {
		if (mills[w].up)
			take_new_leases(w);
		drop_dead_jobs(&mills[w]);
		drop_acked(w);
	}
}

static void run_to_the_end(void)
{
	struct view_counters c;

	k.auto_durable = k.auto_history = true;
	kit_durable(&k);
	for (uint32_t i = 0; i < 40000; i++) {
		struct input_pause resume = {.request = 1, .resume = true};

		dispatcher_view_counters(k.core, &c);
		if (c.live_jobs == 0)
			break;
		resume.job = some_job();
		kit_step(&k, INPUT_PAUSE, &resume);
		plan_on(some_job());
		for (uint32_t w = 0; w < WORKERS; w++) {
			if (!mills[w].up || k.workers[w].who > 0) {
				k.workers[w].who = 0;
				join(w);
			}
			work(w, true);
			look_around();
		}
		kit_pass(&k, 300 * USEC_PER_MSEC, 31);
	}
	dispatcher_view_counters(k.core, &c);
	cr_assert_eq(c.live_jobs, 0, "%d jobs never end", (int)c.live_jobs);
	for (uint64_t job = 1; job < c.next_job; job++)
		cr_assert_neq(ends[job], 0, "job %d did not end", (int)job);
}

static void one_day(uint64_t seed, uint32_t things)
{
	struct view_counters c = {0};

	fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	rng_seed(&rng, seed);
	for (uint32_t i = 0; i < JOBS_MAX; i++) {
		ends[i] = 0;
		for (uint32_t p = 0; p < PHASES; p++)
			shard_set_clear(&won[i][p]);
	}
	kit_prepare(&k);
	k.config.adopt_wait_us = 10 * USEC_PER_SEC;
	k.config.crashes_max = 3;
	k.config.shared[0] = (struct named_amount){BYTES_LIT("licence"), 2000};
	k.config.shared_count = 1;
	kit_start(&k);
	k.on_record = on_record;
	for (uint32_t i = 0; i < things && c.next_job < JOBS_MAX - 2; i++) {
		one_thing();
		look_around();
		dispatcher_view_counters(k.core, &c);
		if (i % 50 == 0)
			kit_compare_replay(&k);
	}
	run_to_the_end();
	for (uint32_t w = 0; w < WORKERS; w++)
		die(w);
	kit_close(&k);
}

Test(random, days)
{
	for (uint64_t seed = 1; seed <= effort(3, 8, 200); seed++)
		one_day(seed, 1500);
}
