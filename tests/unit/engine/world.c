#include "tests/unit/engine/world.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/params.h"
#include "jobs/kinds.h"

#define START_WALL_US ((usec_t)1700000000 * USEC_PER_SEC)

static usec_t op_mono_us(void *arg)
{
	return ((struct world *)arg)->mono_us;
}

static usec_t op_wall_us(void *arg)
{
	return START_WALL_US + ((struct world *)arg)->mono_us;
}

static uint64_t op_submit(void *arg, uint32_t epoch, struct bytes records, uint32_t count, bool alone)
{
	struct world *w = arg;

	(void)alone;
	cr_assert_gt(epoch, 0);
	cr_assert_gt(records.size, 0);
	w->commits++;
	w->submitted_lsn += count;
	return w->submitted_lsn;
}

static int op_has_room(void *arg, struct error *reterr)
{
	(void)arg, (void)reterr;
	return 0;
}

static void op_progress(void *arg, uint64_t *ret_durable_lsn, uint64_t *ret_history_lsn)
{
	const struct world *w = arg;

	*ret_durable_lsn = w->durable_lsn;
	*ret_history_lsn = w->history_lsn;
}

static void op_journal(void *arg, struct engine_journal *ret)
{
	(void)arg;
	*ret = (struct engine_journal){.segments = 1};
}

static int op_trim(void *arg, uint64_t lsn, struct error *reterr)
{
	(void)arg, (void)lsn, (void)reterr;
	return 0;
}

static void op_send(void *arg, uint64_t peer, enum message_type type, struct bytes frame)
{
	struct world *w = arg;
	uint32_t as;

	cr_assert_eq(peer, 1);
	cr_assert_lt(w->frame_count, WORLD_FRAMES_MAX);
	w->frames[w->frame_count].type = type;
	cr_assert_eq(
	    codec_union_decode(&message_union, &frame, &as, &w->frames[w->frame_count].body, &w->arena, NULL),
	    0);
	w->frame_count++;
}

static void op_plan(void *arg, const struct dispatcher_plan *plan)
{
	(void)plan;
	((struct world *)arg)->plans++;
}

static void op_plan_stop(void *arg, uint64_t job)
{
	(void)job;
	((struct world *)arg)->plan_stops++;
}

static void op_tell(void *arg, const struct dispatcher_tell *tell)
{
	(void)tell;
	((struct world *)arg)->tells++;
}

static void op_read(void *arg, uint64_t read, const struct slice_request *rq)
{
	struct world *w = arg;

	cr_assert_lt(w->read_count, ARRAY_LENGTH(w->reads));
	w->reads[w->read_count++] = (struct world_read){read, *rq};
}

static void op_wake(void *arg)
{
	(void)arg;
}

static const struct engine_ops ops = {
    .mono_us = op_mono_us,
    .wall_us = op_wall_us,
    .submit = op_submit,
    .has_room = op_has_room,
    .progress = op_progress,
    .journal = op_journal,
    .trim = op_trim,
    .send = op_send,
    .plan = op_plan,
    .plan_stop = op_plan_stop,
    .tell = op_tell,
    .read = op_read,
    .wake = op_wake,
};

void world_open(struct world *w)
{
	struct dispatcher_config config;
	struct engine_bounds bounds;
	struct params params;

	*w = (struct world){.mono_us = 1000 * USEC_PER_SEC};
	arena_init(&w->arena, 0);
	params_init(&params, PARAM_SCOPE_DISPATCHER);
	dispatcher_config_init(&config, &params);
	params_fini(&params);
	config.default_shard_us = 1; /* so that the first lease has many shards */
	w->core = dispatcher_core_create(&config);
	cr_assert_eq(dispatcher_core_replay_end(w->core, NULL), 0);
	engine_bounds_init(&bounds);
	w->engine = engine_create(&ops, w, &bounds, w->core, 0, 0);
	w->port = engine_port(w->engine);
	engine_open(w->engine, 7);
	world_durable(w);
}

void world_close(struct world *w)
{
	dispatcher_core_check(w->core, CHECK_FULL);
	engine_destroy(w->engine);
	dispatcher_core_destroy(w->core);
	arena_fini(&w->arena);
}

void world_turn(struct world *w)
{
	engine_turn(w->engine, false);
}

void world_durable(struct world *w)
{
	engine_flush(w->engine);
	w->durable_lsn = w->history_lsn = w->submitted_lsn;
	world_turn(w);
}

static void on_accepted(void *arg, const struct dispatcher_reply *reply)
{
	cr_assert_eq(reply->code, ERR_OK, "%s", reply->why);
	*(uint64_t *)arg = reply->job;
}

uint64_t world_submit(struct world *w, uint32_t shards)
{
	static uint8_t sha256[32] = {1};
	struct phase_def phase = {
	    .name = BYTES_LIT("shards"),
	    .policy = {.shape = {.cpu_milli = 1000, .memory_bytes = 1},
		       .attempts_max = 3,
		       .backoff_us = 1000,
		       .backoff_max_us = 1000},
	    .run = {.kind = RUN_RUNNER, .shape = {.cpu_milli = 1000, .memory_bytes = 1}}};
	struct definition_body d = {.sha256 = BYTES(sha256, 32),
				    .name = BYTES_LIT("x"),
				    .text = BYTES_LIT("version: 1"),
				    .queue = BYTES_LIT("default"),
				    .phases = {&phase, 1}};
	struct new_job job = {.definition = d.sha256,
			      .name = d.name,
			      .planner = PLANNER_LINES,
			      .plan = {.kind = PLAN_ITEMS, .blob = BYTES_LIT("1-0.items")}};
	struct input_accept in = {
	    .definitions = {&d, 1}, .jobs = {&job, 1}, .event = BYTES_LIT("{}"), .key_lo = 0};
	uint64_t id = 0;

	port_submit(w->port, INPUT_ACCEPT, &in, &(struct ticket){on_accepted, &id});
	world_durable(w);
	cr_assert_neq(id, 0);
	cr_assert_eq(w->plans, 1);
	port_submit(w->port, INPUT_PIECE,
		    &(struct input_piece){
			.job = id, .count = shards, .blob = BYTES_LIT("1-0.items"), .cursor = BYTES_LIT("c")},
		    NULL);
	port_submit(w->port, INPUT_SEALED, &(struct input_sealed){.job = id}, NULL);
	world_durable(w);
	return id;
}

void world_register(struct world *w, uint32_t cpus, struct held_token_list tokens)
{
	static uint64_t serial;
	struct register_worker m = {.wire_min = 2,
				    .wire_max = 3,
				    .worker = {1, 2},
				    .host = BYTES_LIT("host"),
				    .pool = BYTES_LIT("pool"),
				    .capacity = {.cpu_milli = 1000 * cpus, .memory_bytes = 1 << 30},
				    .tokens = tokens,
				    .serial = ++serial};
	struct buf frame = {0};

	codec_union_encode(&message_union, MESSAGE_REGISTER, &m, &frame);
	engine_frame(w->engine, 1, buf_bytes(&frame));
	buf_fini(&frame);
	world_durable(w);
}

void world_done(struct world *w, const struct lease *l)
{
	const struct registered *to = world_frame(w, MESSAGE_REGISTERED, 0);
	struct range r = {l->first, l->count};
	struct outcome o = {.token = l->token,
			    .job = l->job,
			    .phase = l->phase,
			    .done = {&r, 1},
			    .totals.run_us = 10ull * l->count};
	struct report m = {.session = to->session,
			   .seq = ++w->reports,
			   .outcomes = {&o, 1},
			   .credit = {.cpu_milli = 1000, .memory_bytes = 1 << 30},
			   .credit_bytes = MIB};
	struct buf frame = {0};

	codec_union_encode(&message_union, MESSAGE_REPORT, &m, &frame);
	engine_frame(w->engine, 1, buf_bytes(&frame));
	buf_fini(&frame);
	world_durable(w);
}

const void *world_frame(const struct world *w, enum message_type type, size_t n)
{
	for (size_t i = 0; i < w->frame_count; i++)
		if (w->frames[i].type == type && n-- == 0)
			return w->frames[i].body;
	return NULL;
}
