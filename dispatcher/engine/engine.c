#include "dispatcher/engine/engine.h"

#include <stdlib.h>

#include "base/units.h"
#include "dispatcher/engine/engine_private.h"

/* Inputs that inputs bring about in one turn, beyond which the turn ends for all that. */
#define ROUNDS_MAX 8

/* ---- a step ---- */

static void submit(struct engine *e, bool alone)
{
	uint64_t lsn;

	if (e->batch_records == 0)
		return;
	lsn = e->ops->submit(e->arg, e->epoch, buf_bytes(&e->batch), e->batch_records, alone);
	CHECK(lsn == e->last_lsn);
	buf_clear(&e->batch);
	e->batch_records = 0;
	e->urgent = false;
	e->linger_until_us = USEC_NEVER;
}

/* Somebody out there wants its result, or a job's start hangs on it. */
static bool is_urgent(enum input_type type)
{
	return type != INPUT_TICK && type != INPUT_DURABLE && type != INPUT_MESSAGE &&
	       type != INPUT_HISTORY && type != INPUT_SETTLED && type != INPUT_CARRY;
}

static void take_records(struct engine *e, enum input_type type)
{
	const struct dispatcher_effects *out = &e->effects;

	if (out->record_count == 0)
		return;
	if (type == INPUT_OPEN) {
		struct view_counters counters;

		dispatcher_view_counters(e->core, &counters);
		e->epoch = counters.epoch;
	}
	if (e->batch.size + out->records.size > e->bounds.batch_bytes) {
		e->last_lsn = out->last_lsn - out->record_count;
		submit(e, false);
	}
	buf_append_bytes(&e->batch, buf_bytes(&out->records));
	e->batch_records += out->record_count;
	e->last_lsn = out->last_lsn;
	e->urgent |= is_urgent(type);
}

void engine_step(struct engine *e, enum input_type type, const void *body)
{
	struct dispatcher_input in = {.mono_us = e->ops->mono_us(e->arg),
				      .wall_us = e->ops->wall_us(e->arg),
				      .type = type,
				      .body = body};

	CHECK(!e->stepping);
	e->stepping = true;
	if (e->ops->observe != NULL)
		e->ops->observe(e->arg, &in, NULL);
	CHECK(dispatcher_core_step(e->core, &in, &e->effects) == 0);
	if (e->ops->observe != NULL)
		e->ops->observe(e->arg, &in, &e->effects);
	take_records(e, type);
	release_effects(e);
	if (type == INPUT_SETTLED && stream_wants(e, STREAM_JOB))
		stream_job(e, ((const struct input_settled *)body)->job);
	e->stepping = false;
	e->ops->wake(e->arg);
}

void engine_later(struct engine *e, enum input_type type, const void *body)
{
	codec_union_encode(&input_union, type, body, &e->later);
	e->ops->wake(e->arg);
}

static void step_later(struct engine *e)
{
	struct buf todo = e->later;
	struct bytes in = buf_bytes(&todo);
	struct arena arena;

	if (todo.size == 0)
		return;
	e->later = (struct buf){0};
	arena_init(&arena, 0);
	while (in.size > 0) {
		uint32_t type;
		void *body;

		CHECK(codec_union_decode(&input_union, &in, &type, &body, &arena, NULL) == 0);
		engine_step(e, type, body);
		arena_reset(&arena);
	}
	arena_fini(&arena);
	buf_fini(&todo);
}

void engine_send(struct engine *e, uint64_t peer, uint32_t wire, enum message_type type, const void *body)
{
	buf_clear(&e->frame);
	message_encode(wire, type, body, &e->frame);
	e->ops->send(e->arg, peer, type, buf_bytes(&e->frame));
}

void engine_say(struct engine *e, bool warning, uint64_t job, const char *what)
{
	e->ops->tell(e->arg, &(struct dispatcher_tell){.warning = warning, .job = job, .what = what});
}

/* ---- a turn ---- */

static bool deliver(struct engine *e)
{
	bool any = release_due(e);

	any |= waits_deliver(&e->durable_waits, e->durable_lsn);
	any |= waits_deliver(&e->history_waits, e->history_lsn);
	return any;
}

/* What is durable or in history has grown. What waited for it goes out before the core hears of it: what the
 * core then sends at once comes behind. */
static bool take_progress(struct engine *e)
{
	uint64_t durable, in_history;
	bool grew = false;

	if (!e->open) /* what opened the engine failed */
		return false;
	e->ops->progress(e->arg, &durable, &in_history);
	if (durable > e->durable_lsn) {
		e->durable_lsn = durable;
		(void)deliver(e);
		engine_step(e, INPUT_DURABLE, &(struct input_durable){.lsn = durable});
		grew = true;
	}
	if (in_history > e->history_lsn) {
		e->history_lsn = in_history;
		engine_step(e, INPUT_HISTORY, &(struct input_history){.lsn = in_history});
		grew = true;
	}
	return grew;
}

static void linger(struct engine *e)
{
	if (e->batch_records == 0) {
		e->urgent = false;
		e->linger_until_us = USEC_NEVER;
	} else if (e->linger_until_us == USEC_NEVER) {
		e->linger_until_us = engine_now_us(e) + e->bounds.linger_us;
	}
}

void engine_turn(struct engine *e, bool more)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		bool grew;

		step_later(e);
		stream_turn(e);
		if (e->urgent)
			submit(e, e->later.size == 0 && !more);
		grew = take_progress(e);
		if (!deliver(e) && !grew && e->later.size == 0 && !e->urgent)
			break;
	}
	if (e->open && !e->stopping)
		carry_turn(e);
	linger(e);
	if (e->later.size > 0 || e->urgent || release_is_due(e))
		e->ops->wake(e->arg);
}

void engine_flush(struct engine *e)
{
	e->urgent = e->batch_records > 0;
	engine_turn(e, false);
}

usec_t engine_deadline(const struct engine *e)
{
	usec_t due_us = dispatcher_core_deadline(e->core), late_us = late_deadline(e);

	if (late_us < due_us)
		due_us = late_us;
	return e->linger_until_us < due_us ? e->linger_until_us : due_us;
}

void engine_tick(struct engine *e)
{
	usec_t now_us = engine_now_us(e);

	if (now_us >= e->linger_until_us)
		e->urgent = true;
	if (now_us >= late_deadline(e))
		late_tick(e);
	if (now_us >= dispatcher_core_deadline(e->core))
		engine_step(e, INPUT_TICK, &(struct input_tick){0});
	e->ops->wake(e->arg);
}

/* ---- from without ---- */

void engine_open(struct engine *e, uint64_t seed)
{
	struct input_open in = {.seed = seed, .history_lsn = e->history_lsn};

	e->open = true;
	engine_step(e, INPUT_OPEN, &in);
}

void engine_frame(struct engine *e, uint64_t peer, struct bytes frame)
{
	engine_step(e, INPUT_MESSAGE, &(struct input_message){.peer = peer, .frame = frame});
}

void engine_stop(struct engine *e)
{
	e->stopping = true;
}

void engine_bounds_init(struct engine_bounds *b)
{
	*b = (struct engine_bounds){.batch_bytes = 1 * MIB,
				    .linger_us = 5 * USEC_PER_MSEC,
				    .waiting_max = 200000,
				    .segments_min = 4,
				    .carry_bytes = 256 * KIB,
				    .carry_look_records = 256};
}

struct engine *engine_create(const struct engine_ops *ops, void *arg, const struct engine_bounds *bounds,
			     struct dispatcher_core *core, uint64_t last_lsn, uint64_t history_lsn)
{
	struct engine *e = check_calloc(1, sizeof(*e));

	e->port.engine = e;
	e->ops = ops;
	e->arg = arg;
	e->bounds = *bounds;
	e->core = core;
	e->last_lsn = e->durable_lsn = last_lsn;
	e->history_lsn = history_lsn;
	e->linger_until_us = USEC_NEVER;
	dispatcher_effects_init(&e->effects);
	return e;
}

void engine_destroy(struct engine *e)
{
	if (e == NULL)
		return;
	late_fini(e);
	release_fini(e);
	port_fini(e);
	sent_fini(e);
	short_fini(e);
	buf_fini(&e->stream.changed);
	dispatcher_effects_fini(&e->effects);
	buf_fini(&e->batch);
	buf_fini(&e->later);
	buf_fini(&e->frame);
	free(e);
}

struct port *engine_port(struct engine *e)
{
	return &e->port;
}
