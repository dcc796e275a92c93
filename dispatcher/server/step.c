#include "dispatcher/server/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "dispatcher/api/api.h"
#include "dispatcher/server/peers.h"

/* A batch that is larger is submitted before the turn ends. */
#define BATCH_BYTES (1 * MIB)
/* Records that nobody waits for (hints of grants) go with the next commit, or after this. */
#define LINGER_US (5 * USEC_PER_MSEC)
/* Inputs that inputs bring about in one turn, beyond which the turn ends for all that. */
#define ROUNDS_MAX 8
/* Effects that wait for the disk; beyond, requests are turned away. */
#define RELEASE_MAX ((size_t)200000)

static void submit(struct server *s, bool alone)
{
	struct steps *st = &s->steps;
	uint64_t lsn;

	if (st->batch_records == 0)
		return;
	lsn = journal_submit(s->journal, st->epoch, buf_bytes(&st->batch), st->batch_records, alone);
	CHECK(lsn == st->last_lsn);
	buf_clear(&st->batch);
	st->batch_records = 0;
	st->urgent = false;
	loop_timer_unset(s->loop, &st->linger);
}

/* Somebody out there wants its result, or a job's start hangs on it. */
static bool is_urgent(enum input_type type)
{
	return type != INPUT_TICK && type != INPUT_DURABLE && type != INPUT_MESSAGE &&
	       type != INPUT_HISTORY && type != INPUT_SETTLED && type != INPUT_CARRY;
}

void server_step(struct server *s, enum input_type type, const void *body)
{
	struct steps *st = &s->steps;
	struct dispatcher_input in = {
	    .mono_us = clock_mono_us(), .wall_us = clock_wall_us(), .type = type, .body = body};
	struct buf *records = &st->effects.records;

	CHECK(dispatcher_core_step(s->core, &in, &st->effects) == 0);
	if (st->effects.record_count > 0) {
		if (type == INPUT_OPEN) {
			struct view_counters counters;

			dispatcher_view_counters(s->core, &counters);
			st->epoch = counters.epoch;
		}
		if (st->batch.size + records->size > BATCH_BYTES) {
			st->last_lsn = st->effects.last_lsn - st->effects.record_count;
			submit(s, false);
		}
		buf_append_bytes(&st->batch, buf_bytes(records));
		st->batch_records += st->effects.record_count;
		st->last_lsn = st->effects.last_lsn;
		st->urgent |= is_urgent(type);
	}
	release_effects(s, &st->effects);
	loop_defer(s->loop, &st->turn_end);
}

void server_later(struct server *s, enum input_type type, const void *body)
{
	codec_union_encode(&input_union, type, body, &s->steps.later);
	loop_defer(s->loop, &s->steps.turn_end);
}

static void step_later(struct server *s)
{
	struct buf todo = s->steps.later;
	struct bytes in = buf_bytes(&todo);
	struct arena arena;

	s->steps.later = (struct buf){0};
	arena_init(&arena, 0);
	while (in.size > 0) {
		uint32_t type;
		void *body;

		CHECK(codec_union_decode(&input_union, &in, &type, &body, &arena, NULL) == 0);
		server_step(s, type, body);
		arena_reset(&arena);
	}
	arena_fini(&arena);
	buf_fini(&todo);
}

/* A write or sync that failed is final: what the kernel now holds may differ from the disk. */
static void die_if_failed(struct server *s)
{
	struct error e = {0};
	char line[ERROR_LINE_MAX];

	if (!journal_failed(s->journal, &e))
		return;
	log_error("the journal cannot be written: ending, start again when the disk is well",
		  log_error_field(&e, line, sizeof(line)));
	_Exit(1);
}

void server_progress(struct server *s)
{
	struct steps *st = &s->steps;
	uint64_t durable = journal_durable_lsn(s->journal);
	uint64_t in_history = history_lsn(s->history);

	die_if_failed(s);
	if (durable > st->durable_lsn) {
		st->durable_lsn = durable;
		server_step(s, INPUT_DURABLE, &(struct input_durable){.lsn = durable});
		release_durable(s, durable);
	}
	if (in_history > st->history_lsn) {
		st->history_lsn = in_history;
		server_step(s, INPUT_HISTORY, &(struct input_history){.lsn = in_history});
		peers_history_grew(s, in_history);
	}
}

static bool history_may_grow(const struct server *s)
{
	return history_lsn(s->history) > s->steps.history_lsn;
}

void server_commit(struct server *s)
{
	struct steps *st = &s->steps;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		bool alone;

		step_later(s);
		alone = st->later.size == 0 && !peers_more(s->peers);
		if (st->urgent)
			submit(s, alone);
		if (st->later.size == 0 && journal_durable_lsn(s->journal) <= st->durable_lsn &&
		    !history_may_grow(s))
			break;
		server_progress(s);
	}
	/* A wait for what was submitted long ago is let out here, too. */
	release_durable(s, st->durable_lsn);
	if (st->batch_records == 0)
		st->urgent = false;
	else if (st->linger.place == 0)
		loop_timer_set(s->loop, &st->linger, clock_mono_us() + LINGER_US);
	if (st->later.size > 0 || st->urgent)
		loop_defer(s->loop, &st->turn_end);
}

static void turn_end(struct loop *loop, void *arg)
{
	struct server *s = arg;

	server_commit(s);
	carry_turn(s);
	api_turn(s->api);
	loop_timer_set(loop, &s->steps.tick, dispatcher_core_deadline(s->core));
}

/* Time in which frames waited here must not count against workers: drain the socket, then expire. */
static void on_tick(struct loop *loop, void *arg)
{
	struct server *s = arg;

	peers_drain(s);
	if (peers_more(s->peers))
		loop_timer_set(loop, &s->steps.tick, loop_now_us(loop) + USEC_PER_MSEC);
	else
		server_step(s, INPUT_TICK, &(struct input_tick){0});
}

static void on_linger(struct loop *loop, void *arg)
{
	struct server *s = arg;

	s->steps.urgent = true;
	loop_defer(loop, &s->steps.turn_end);
}

int server_has_room(struct server *s, struct error *reterr)
{
	if (s->stopping || !s->open)
		return error_set(reterr, ERR_BUSY, "the dispatcher is %s",
				 s->stopping ? "stopping" : "starting");
	if (s->release.count > RELEASE_MAX)
		return error_set(reterr, ERR_BUSY, "%zu answers wait for the disk", s->release.count);
	return journal_has_room(s->journal, reterr);
}

void steps_init(struct server *s)
{
	struct steps *st = &s->steps;

	dispatcher_effects_init(&st->effects);
	st->turn_end = (struct loop_task){.fn = turn_end, .arg = s};
	st->tick = (struct loop_timer){.fn = on_tick, .arg = s};
	st->linger = (struct loop_timer){.fn = on_linger, .arg = s};
}

void steps_fini(struct server *s)
{
	dispatcher_effects_fini(&s->steps.effects);
	buf_fini(&s->steps.batch);
	buf_fini(&s->steps.later);
}
