/* The engine: what waits for the disk, who is told when, and leases whose slices are read elsewhere. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/kinds.h"
#include "tests/unit/engine/world.h"

static struct world w;

static void open_world(void)
{
	world_open(&w);
}

static void close_world(void)
{
	world_close(&w);
}

TestSuite(engine, .init = open_world, .fini = close_world, .timeout = 20);

/* ---- tickets, waits, the stream ---- */

static int called[8];
static int calls;

static void on_wait(void *arg)
{
	called[calls++] = (int)(intptr_t)arg;
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	cr_assert_neq(reply->code, ERR_OK);
	on_wait(arg);
}

Test(engine, an_answer_comes_at_the_end_of_the_turn_and_never_inside_the_call)
{
	struct input_cancel in = {.job = 99};

	port_submit(w.port, INPUT_CANCEL, &in, &(struct ticket){on_reply, (void *)1});
	cr_assert_eq(calls, 0);
	world_turn(&w);
	cr_assert_eq(calls, 1);
	world_turn(&w);
	cr_assert_eq(calls, 1);
}

Test(engine, an_answer_waits_for_its_commit)
{
	uint64_t before = port_view(w.port).last_lsn;
	uint64_t job = world_submit(&w, 3);
	struct port_view v = port_view(w.port);

	cr_assert_neq(job, 0);
	cr_assert_gt(v.last_lsn, before);
	cr_assert_eq(v.durable_lsn, v.last_lsn);
	cr_assert_eq(v.history_lsn, v.last_lsn);
}

Test(engine, waits_are_called_in_the_order_of_their_lsn)
{
	struct port_wait waits[4] = {{.fn = on_wait, .arg = (void *)0},
				     {.fn = on_wait, .arg = (void *)1},
				     {.fn = on_wait, .arg = (void *)2},
				     {.fn = on_wait, .arg = (void *)3}};
	uint64_t lsn = port_view(w.port).last_lsn;

	port_when_durable(w.port, lsn + 2, &waits[0]);
	port_when_durable(w.port, lsn, &waits[1]);
	port_when_durable(w.port, lsn + 1, &waits[2]);
	port_when_durable(w.port, lsn + 1, &waits[3]);
	port_wait_cancel(&waits[2]);
	cr_assert_eq(calls, 0);
	world_turn(&w);
	cr_assert_eq(calls, 1);
	cr_assert_eq(called[0], 1);
	world_submit(&w, 1);
	cr_assert_eq(calls, 3);
	cr_assert_eq(called[1], 3);
	cr_assert_eq(called[2], 0);
	port_wait_cancel(&waits[2]); /* fine */
}

struct counter {
	struct subscriber s;
	int jobs, ended, workers, pools;
	bool leaves;
};

static void on_item(void *arg, const struct stream_item *item)
{
	struct counter *c = arg;

	c->jobs += item->kind == STREAM_JOB;
	c->ended += item->kind == STREAM_JOB_ENDED;
	c->workers += item->kind == STREAM_WORKER;
	c->pools += item->kind == STREAM_POOL && bytes_equal(item->pool, BYTES_LIT("mine"));
	if (c->leaves)
		port_unsubscribe(w.port, &c->s);
}

static void subscribe(struct counter *c, uint32_t kinds)
{
	c->s = (struct subscriber){.fn = on_item, .arg = c, .kinds = kinds};
	port_subscribe(w.port, &c->s);
}

Test(engine, the_stream_tells_what_changes_when_it_is_durable)
{
	struct counter all = {0}, once = {.leaves = true}, pools = {0};
	uint64_t job = world_submit(&w, 3);
	struct input_cancel in = {.job = job, .why = BYTES_LIT("asked")};

	subscribe(&all, ~0u);
	subscribe(&once, ~0u);
	subscribe(&pools, 1u << STREAM_POOL);
	port_submit(w.port, INPUT_CANCEL, &in, NULL);
	world_turn(&w);
	cr_assert_eq(all.jobs + all.ended, 0, "told before it is durable");
	world_durable(&w);
	cr_assert_geq(all.jobs, 1);
	cr_assert_eq(all.ended, 0, "no rule hears of a job that was cancelled");
	cr_assert_eq(once.jobs, 1);
	world_register(&w, 1, (struct held_token_list){0});
	cr_assert_geq(all.workers, 1);
	port_tell_pool(w.port, BYTES_LIT("mine"));
	world_turn(&w);
	cr_assert_eq(all.pools, 1);
	cr_assert_eq(pools.pools, 1);
	cr_assert_eq(pools.jobs + pools.ended + pools.workers, 0);
}

/* ---- leases ---- */

static const struct lease *sent_lease(size_t n)
{
	const struct leases *m = world_frame(&w, MESSAGE_LEASES, n);

	return m != NULL ? &m->leases.items[0] : NULL;
}

static void read_all(void)
{
	for (size_t i = 0; i < w.read_count; i++)
		engine_read(w.engine, w.reads[i].number, BYTES_LIT("slice"), w.reads[i].request.shards.count,
			    NULL);
	world_turn(&w);
}

Test(engine, leases_come_behind_the_registration_that_was_waiting)
{
	world_submit(&w, 4);
	world_register(&w, 2, (struct held_token_list){0});
	cr_assert_geq(w.read_count, 1);
	cr_assert_null(sent_lease(0), "a lease goes out before its slice was read");
	read_all();
	cr_assert_eq(w.frames[0].type, MESSAGE_REGISTERED);
	cr_assert_eq(w.frames[1].type, MESSAGE_PARAMETERS);
	cr_assert_eq(w.frames[2].type, MESSAGE_LEASES);
	cr_assert(bytes_equal(sent_lease(0)->slice, BYTES_LIT("slice")));
	cr_assert_eq(((const struct parameters *)w.frames[1].body)->definitions.count, 1);
}

Test(engine, one_that_cannot_be_read_is_tried_again_and_then_fails_the_job)
{
	struct error e = {0};
	uint64_t job = world_submit(&w, 1);
	struct view_job v;

	error_set(&e, ERR_IO, "the disk has trouble");
	world_register(&w, 1, (struct held_token_list){0});
	for (int tries = 0; tries < 8; tries++) {
		cr_assert_eq(w.read_count, 1, "try %d", tries);
		w.read_count = 0;
		engine_read(w.engine, w.reads[0].number, (struct bytes){0}, 0, &e);
		world_turn(&w);
		w.mono_us += 64 * USEC_PER_SEC / 2;
		engine_tick(w.engine);
		world_durable(&w);
		if (!dispatcher_view_job(w.core, job, &w.arena, &v) || v.state == JOB_FAILED)
			break;
	}
	cr_assert(!dispatcher_view_job(w.core, job, &w.arena, &v) || v.state == JOB_FAILED);
	cr_assert_null(sent_lease(0));
}

Test(engine, damage_is_not_tried_again)
{
	struct error e = {0};
	uint64_t job = world_submit(&w, 1);
	struct view_job v;

	error_set(&e, ERR_CORRUPT, "a checksum is wrong");
	world_register(&w, 1, (struct held_token_list){0});
	engine_read(w.engine, w.reads[0].number, (struct bytes){0}, 0, &e);
	world_durable(&w);
	world_durable(&w);
	cr_assert(!dispatcher_view_job(w.core, job, &w.arena, &v) || v.state == JOB_FAILED);
}

Test(engine, one_whose_job_has_ended_meanwhile_does_not_go)
{
	uint64_t job = world_submit(&w, 1);
	struct input_cancel in = {.job = job};

	world_register(&w, 1, (struct held_token_list){0});
	cr_assert_eq(w.read_count, 1);
	port_submit(w.port, INPUT_CANCEL, &in, NULL);
	world_durable(&w);
	read_all();
	cr_assert_null(sent_lease(0));
	engine_read(w.engine, 12345, (struct bytes){0}, 0, NULL); /* nobody's */
}

Test(engine, what_a_slice_does_not_hold_is_asked_back_until_it_is)
{
	const struct revoke *m;
	const struct lease *l;
	struct range unstarted;
	struct held_token held = {0};
	size_t sent = 0;

	world_submit(&w, 1000);
	world_register(&w, 1, (struct held_token_list){0});
	while (w.reads[w.read_count - 1].request.shards.count == 1) { /* leases grow */
		read_all();
		w.read_count = 0;
		world_done(&w, sent_lease(sent++));
	}
	engine_read(w.engine, w.reads[w.read_count - 1].number, BYTES_LIT("short"), 1, NULL);
	world_turn(&w);
	while (sent_lease(sent + 1) != NULL)
		sent++;
	l = sent_lease(sent);
	m = world_frame(&w, MESSAGE_REVOKE, 0);
	cr_assert_not_null(m);
	cr_assert_eq(m->leases.items[0].keep_end, l->first + 1);
	unstarted = (struct range){l->first, l->count};
	held.token = l->token;
	held.job = l->job;
	held.unstarted = (struct range_list){&unstarted, 1};
	world_register(&w, 1, (struct held_token_list){&held, 1});
	m = world_frame(&w, MESSAGE_REVOKE, 1);
	cr_assert_not_null(m, "it may have been lost with the connection");
	cr_assert_eq(m->leases.items[0].token.lease, l->token.lease);
	cr_assert_eq(m->leases.items[0].keep_end, l->first + 1);
}
