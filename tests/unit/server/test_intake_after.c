/* An event whose jobs wait for others, and whose key may be in a file: while a reader looks, the others go
 * on. The core, the readers and history are fake ones: what is asked is answered when the test says. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/params.h"
#include "dispatcher/dedup/dedup_private.h"
#include "dispatcher/dedup/key_build.h"
#include "dispatcher/intake/intake_after.h"
#include "dispatcher/part.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/kinds.h"
#include "tests/support/scratch.h"

#define KEY_HI 77u
#define KEY_LO 78u
#define BUCKET_US (1750000000 * USEC_PER_SEC)

extern const struct part part_dedup;

static struct params params;
static struct services s;
static bool core_has[10];
static uint8_t ended_as[10]; /* in history; 0: it is not there */
static struct reading *asked;
static uint32_t looks, submitted;
static struct dedup_fact known;
static struct ended_fact facts[8];
static uint32_t fact_count, failed_count;
static struct dispatcher_reply reply;

/* ---- what is around it ---- */

struct port_view port_view(const struct port *p)
{
	(void)p;
	return (struct port_view){0};
}

void port_submit(struct port *p, enum input_type type, void *body, const struct ticket *ticket)
{
	const struct input_accept *in = body;

	(void)p;
	(void)ticket;
	cr_assert_eq(type, INPUT_ACCEPT);
	submitted++;
	known = in->known;
	fact_count = in->ended.count;
	failed_count = in->failed.count;
	for (uint32_t i = 0; i < fact_count; i++)
		facts[i] = in->ended.items[i];
}

bool dispatcher_view_has_job(const struct dispatcher_core *core, uint64_t job)
{
	(void)core;
	return core_has[job];
}

bool dispatcher_view_has_key(const struct dispatcher_core *core, uint64_t hi, uint64_t lo)
{
	(void)core;
	(void)hi;
	(void)lo;
	return false;
}

void dispatcher_view_counters(const struct dispatcher_core *core, struct view_counters *ret)
{
	(void)core;
	*ret = (struct view_counters){0};
}

uint32_t dispatcher_view_sealing(const struct dispatcher_core *core, usec_t up_to_wall_us,
				 struct view_sealing *at, uint32_t max, struct dedup_entry *ret)
{
	(void)core;
	(void)up_to_wall_us;
	(void)at;
	(void)max;
	(void)ret;
	return 0;
}

void readers_ask(struct readers *rs, struct reading *r)
{
	(void)rs;
	cr_assert_null(asked);
	asked = r;
}

int history_job(struct history_reader *r, uint64_t job, struct arena *arena, struct history_job *ret,
		struct error *reterr)
{
	(void)r;
	(void)arena;
	(void)reterr;
	*ret = (struct history_job){.job = job, .state = ended_as[job]};
	return ended_as[job] != 0 ? 0 : ERR_NOT_FOUND;
}

/* What was asked for is answered. */
static void answer(void)
{
	struct reading *r = asked;

	cr_assert_not_null(r);
	asked = NULL;
	looks += r->lane == READERS_LANE_KEYS;
	r->run(NULL, r);
	r->done(r);
}

static void on_reply(void *arg, const struct dispatcher_reply *told)
{
	(void)arg;
	reply = *told;
}

static void start(void)
{
	struct key_entry e = {.hi = KEY_HI, .lo = KEY_LO, .job = 3, .job_count = 1};
	struct key_file *f;

	scratch_make();
	params_init(&params, PARAM_SCOPE_DISPATCHER);
	s.params = &params;
	s.state.path = (char *)scratch_path("");
	cr_assert_eq(loop_create(&s.loop, NULL), 0);
	cr_assert_eq(part_dedup.open(&s, NULL), 0);
	e.bucket_s = key_bucket_s(BUCKET_US);
	cr_assert_eq(key_build(s.dedup->dir, 1, BUCKET_US, BUCKET_US, &e, 1, &f, NULL), 0);
	files_add(s.dedup, f);
}

static void stop(void)
{
	part_dedup.close(&s);
	loop_destroy(s.loop);
	params_fini(&params);
	scratch_remove();
}

TestSuite(intake_after, .init = start, .fini = stop);

/* One job that waits for these. */
static void submit(struct after_job *after, uint32_t count)
{
	struct new_job job = {.after = {after, count}};
	struct input_accept in = {.key_hi = KEY_HI, .key_lo = KEY_LO, .jobs = {&job, 1}};

	intake_after_submit(&s, &in, &(struct ticket){on_reply, NULL});
}

/* ---- the tests ---- */

Test(intake_after, a_job_that_ends_while_files_are_looked_into_is_still_known)
{
	core_has[7] = true;
	submit((struct after_job[]){{.job = 7, .condition = AFTER_SUCCEEDED}}, 1);
	cr_assert_eq(submitted, 0, "a file may have the key");
	core_has[7] = false;
	ended_as[7] = JOB_SUCCEEDED;
	answer(); /* the look */
	cr_assert_eq(submitted, 0);
	answer(); /* history */
	answer(); /* the look once more: a file may have come meanwhile */
	cr_assert_eq(submitted, 1);
	cr_assert_eq(fact_count, 1);
	cr_assert_eq(facts[0].job, 7);
	cr_assert_eq(facts[0].state, JOB_SUCCEEDED);
	cr_assert_eq(failed_count, 0);
	cr_assert_eq(known.job, 3);
	cr_assert_eq(known.bucket_wall_us, BUCKET_US);
	cr_assert_null(asked);
}

Test(intake_after, jobs_that_end_one_after_the_other_are_all_known)
{
	core_has[5] = core_has[6] = true;
	ended_as[4] = JOB_FAILED;
	submit((struct after_job[]){{.job = 6, .condition = AFTER_SUCCEEDED},
				    {.job = 4, .condition = AFTER_FAILED},
				    {.job = 5, .condition = AFTER_SUCCEEDED}},
	       3);
	answer(); /* history, of 4 */
	core_has[5] = false;
	ended_as[5] = JOB_SUCCEEDED;
	answer(); /* a look */
	answer(); /* history, of 5 */
	core_has[6] = false;
	ended_as[6] = JOB_CANCELLED;
	answer(); /* a look */
	answer(); /* history, of 6 */
	answer(); /* a look */
	cr_assert_eq(submitted, 1);
	cr_assert_eq(fact_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		cr_assert_eq(facts[i].job, 4 + i, "in order, each once");
	cr_assert_eq(facts[0].state, JOB_FAILED);
	cr_assert_eq(facts[2].state, JOB_CANCELLED);
	cr_assert_eq(looks, 3);
}

Test(intake_after, one_look_is_enough_when_nothing_ended)
{
	core_has[7] = true;
	submit((struct after_job[]){{.job = 7, .condition = AFTER_SUCCEEDED}}, 1);
	answer();
	cr_assert_eq(submitted, 1);
	cr_assert_eq(fact_count, 0);
	cr_assert_eq(looks, 1);
	cr_assert_null(asked);
}

Test(intake_after, a_job_that_never_was_fails_the_one_that_waits_for_it)
{
	submit((struct after_job[]){{.job = 9, .condition = AFTER_SUCCEEDED}}, 1);
	answer();
	answer();
	cr_assert_eq(submitted, 1);
	cr_assert_eq(failed_count, 1);
	cr_assert_null(asked);
}

Test(intake_after, shards_that_nobody_tells_of_are_asked_for_again)
{
	core_has[7] = true;
	submit((struct after_job[]){{.job = 7, .condition = AFTER_SUCCEEDED},
				    {.job = 7, .condition = AFTER_SHARD}},
	       2);
	core_has[7] = false;
	ended_as[7] = JOB_SUCCEEDED;
	answer();
	answer();
	cr_assert_eq(submitted, 0);
	cr_assert_eq(reply.code, ERR_BUSY);
	cr_assert_null(asked);
}
