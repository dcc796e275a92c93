#include "tests/unit/dispatcher/kit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/params.h"

#define START_WALL_US ((usec_t)1700000000 * USEC_PER_SEC)

static void start_core(struct kit *k)
{
	k->core = dispatcher_core_create(&k->config);
}

static void open_epoch(struct kit *k)
{
	struct input_open in = {.seed = 7, .history_lsn = k->history_lsn};

	cr_assert_eq(dispatcher_core_replay_end(k->core, NULL), 0);
	kit_step(k, INPUT_OPEN, &in);
}

struct dispatcher_config kit_config(void)
{
	struct dispatcher_config config;
	struct params params;

	params_init(&params, PARAM_SCOPE_DISPATCHER);
	dispatcher_config_init(&config, &params);
	params_fini(&params);
	return config;
}

void kit_prepare(struct kit *k)
{
	memset(k, 0, sizeof *k);
	k->config = kit_config();
	k->mono_us = 1000 * USEC_PER_SEC;
	k->wall_us = START_WALL_US;
	k->first_lsn = 1;
	k->auto_durable = k->auto_history = true;
	arena_init(&k->arena, 0);
	dispatcher_effects_init(&k->out);
	for (uint32_t i = 0; i < KIT_WORKERS; i++)
		k->workers[i].id = (struct uuid){0xabc, i + 1};
}

void kit_start(struct kit *k)
{
	start_core(k);
	open_epoch(k);
}

void kit_open(struct kit *k)
{
	kit_prepare(k);
	kit_start(k);
}

void kit_close(struct kit *k)
{
	kit_compare_replay(k);
	dispatcher_core_destroy(k->core);
	dispatcher_effects_fini(&k->out);
	buf_fini(&k->journal);
	buf_fini(&k->sizes);
	arena_fini(&k->arena);
	free(k->held);
}

static struct kit_worker *worker_of_peer(struct kit *k, uint64_t peer)
{
	for (uint32_t i = 0; i < KIT_WORKERS; i++)
		if (k->workers[i].peer == peer)
			return &k->workers[i];
	return NULL;
}

static void take_leases(struct kit_worker *w, const struct leases *m)
{
	cr_assert_eq(m->session, w->session);
	for (uint32_t i = 0; i < m->leases.count; i++) {
		const struct lease *l = &m->leases.items[i];

		cr_assert_lt(w->lease_count, KIT_LEASES);
		w->leases[w->lease_count++] = (struct kit_lease){
		    l->token, l->job, l->phase, l->first, l->count, l->attempt, l->memory_bytes, false};
	}
}

static void take_kill(struct kit_worker *w, const struct kill *m)
{
	w->kills += m->tokens.count;
	for (uint32_t i = 0; i < m->tokens.count; i++)
		for (uint32_t n = 0; n < w->lease_count; n++)
			if (w->leases[n].token.lease == m->tokens.items[i].lease &&
			    w->leases[n].token.epoch == m->tokens.items[i].epoch)
				w->leases[n].killed = true;
}

static void take_send(struct kit *k, const struct dispatcher_send *s)
{
	struct kit_worker *w = worker_of_peer(k, s->peer);

	if (w == NULL)
		return; /* to a connection that is gone */
	switch (s->type) {
	case MESSAGE_REGISTERED:
		w->registered = *(const struct registered *)s->body;
		w->session = w->registered.session;
		w->seq = w->acked = 0;
		for (uint32_t i = 0; i < w->registered.tokens.count; i++)
			w->verdicts[i] = w->registered.tokens.items[i];
		return;
	case MESSAGE_LEASES:
		take_leases(w, s->body);
		return;
	case MESSAGE_ACK:
		if (((const struct ack *)s->body)->session == w->session)
			w->acked = ((const struct ack *)s->body)->seq;
		return;
	case MESSAGE_KILL:
		take_kill(w, s->body);
		return;
	case MESSAGE_REVOKE:
		w->revokes += ((const struct revoke *)s->body)->leases.count;
		w->last_revoke = ((const struct revoke *)s->body)->leases.items[0];
		return;
	case MESSAGE_WHO:
		w->who++;
		return;
	case MESSAGE_DRAIN:
		w->drains++;
		return;
	case MESSAGE_REFUSED:
		w->refused++;
		return;
	default:
		cr_assert_fail("message %d goes to a worker", (int)s->type);
	}
}

static void let_out(struct kit *k, const struct dispatcher_effect *e)
{
	switch (e->kind) {
	case DISPATCHER_SEND:
		take_send(k, &e->send);
		return;
	case DISPATCHER_REPLY:
		k->reply = e->reply;
		k->replies++;
		return;
	case DISPATCHER_PLAN:
		k->plan = e->plan;
		k->plans++;
		return;
	case DISPATCHER_PLAN_STOP:
		k->plan_stops++;
		return;
	case DISPATCHER_JOB_ENDED:
		k->ended = *e->ended;
		k->ended_events++;
		return;
	case DISPATCHER_LOOKED:
		k->looked++;
		return;
	case DISPATCHER_WORKER:
		k->workers_changed++;
		return;
	case DISPATCHER_PARAMETERS:
		k->parameters++;
		return;
	case DISPATCHER_SEAL:
		k->seal_wall_us = e->seal_wall_us;
		k->seals++;
		return;
	case DISPATCHER_TELL:
		k->tells++;
		snprintf(k->told, sizeof k->told, "%s", e->tell.what);
		return;
	}
}

static const struct codec *codec_of_effect(const struct dispatcher_effect *e)
{
	if (e->kind == DISPATCHER_SEND)
		return codec_union_find(&message_union, e->send.type)->codec();
	if (e->kind == DISPATCHER_JOB_ENDED)
		return codec_job_ended();
	if (e->kind == DISPATCHER_PLAN)
		return codec_plan();
	return NULL;
}

static const char *keep_text(struct kit *k, const char *text)
{
	return (const char *)arena_copy(&k->arena, bytes_of(text)).data;
}

/* The effects' arena is the next step's: what waits is copied. */
static struct dispatcher_effect keep(struct kit *k, const struct dispatcher_effect *e)
{
	const struct codec *c = codec_of_effect(e);
	struct dispatcher_effect r = *e;
	const void *from = e->kind == DISPATCHER_SEND	? e->send.body
			   : e->kind == DISPATCHER_PLAN ? e->plan.plan
							: (const void *)e->ended;
	void *copy = c != NULL ? arena_alloc(&k->arena, c->size) : NULL;

	if (c != NULL)
		cr_assert(codec_copy(c, from, copy, &k->arena));
	if (e->kind == DISPATCHER_SEND) {
		r.send.body = copy;
	} else if (e->kind == DISPATCHER_PLAN) {
		r.plan.plan = copy;
		r.plan.cursor = arena_copy(&k->arena, e->plan.cursor);
	} else if (e->kind == DISPATCHER_JOB_ENDED) {
		r.ended = copy;
	} else if (e->kind == DISPATCHER_REPLY) {
		r.reply.why = keep_text(k, e->reply.why);
	} else if (e->kind == DISPATCHER_TELL) {
		r.tell.what = keep_text(k, e->tell.what);
	}
	return r;
}

static void show_record(struct kit *k, struct bytes record)
{
	struct arena arena;
	uint32_t type;
	void *body;

	if (k->on_record == NULL)
		return;
	arena_init(&arena, 0);
	cr_assert_eq(codec_union_decode(&record_union, &record, &type, &body, &arena, NULL), 0);
	k->on_record(type, body);
	arena_fini(&arena);
}

/* What is durable is a fact. */
static void show_durable(struct kit *k)
{
	while (k->shown_bytes < k->journal.size) {
		struct bytes rest = BYTES(k->journal.data + k->shown_bytes, k->journal.size - k->shown_bytes);
		size_t size = (size_t)codec_value_size(rest, NULL);

		show_record(k, BYTES(rest.data, size));
		k->shown_bytes += size;
	}
}

static void keep_records(struct kit *k)
{
	struct bytes in = buf_bytes(&k->out.records);

	buf_append_bytes(&k->journal, in);
	for (uint32_t i = 0; i < k->out.record_count; i++) {
		int64_t size = codec_value_size(in, NULL);
		uint32_t size32 = (uint32_t)size;

		cr_assert_gt(size, 0);
		buf_append(&k->sizes, &size32, sizeof size32);
		k->outcome_records += in.data[1] == RECORD_OUTCOMES;
		in = BYTES(in.data + size, in.size - (size_t)size);
	}
	cr_assert_eq(in.size, 0);
	k->last_lsn += k->out.record_count;
	cr_assert_eq(k->out.last_lsn, k->last_lsn);
}

static void raw_step(struct kit *k, uint32_t type, const void *body)
{
	struct dispatcher_input in = {k->mono_us, k->wall_us, type, body};

	cr_assert_eq(dispatcher_core_step(k->core, &in, &k->out), 0);
	dispatcher_core_check(k->core, CHECK_FULL);
	keep_records(k);
	for (size_t i = 0; i < k->out.count; i++) {
		struct dispatcher_effect e = keep(k, &k->out.items[i]);

		if (e.after_lsn <= k->durable_lsn) {
			let_out(k, &e);
			continue;
		}
		k->held = realloc(k->held, (k->held_count + 1) * sizeof e);
		k->held[k->held_count++] = e;
	}
}

void kit_durable(struct kit *k)
{
	while (k->durable_lsn < k->last_lsn) {
		struct input_durable in = {k->last_lsn};
		struct dispatcher_effect *held = k->held;
		size_t count = k->held_count;

		k->durable_lsn = k->last_lsn;
		show_durable(k);
		k->held = NULL;
		k->held_count = 0;
		for (size_t i = 0; i < count; i++)
			let_out(k, &held[i]);
		free(held);
		raw_step(k, INPUT_DURABLE, &in);
	}
}

void kit_history(struct kit *k)
{
	struct input_history in = {k->durable_lsn};

	k->history_lsn = k->durable_lsn;
	raw_step(k, INPUT_HISTORY, &in);
}

void kit_step(struct kit *k, uint32_t type, const void *body)
{
	k->outcome_records = 0;
	raw_step(k, type, body);
	while (k->auto_durable && k->durable_lsn < k->last_lsn) {
		kit_durable(k);
		if (k->auto_history)
			kit_history(k);
	}
}

bool kit_carry(struct kit *k, uint64_t oldest_lsn, uint32_t bytes_max, uint32_t max_steps)
{
	struct input_carry in = {oldest_lsn, bytes_max};

	for (uint32_t i = 0; i < max_steps; i++) {
		uint64_t before = dispatcher_core_digest(k->core);

		raw_step(k, INPUT_CARRY, &in);
		cr_assert_eq(dispatcher_core_digest(k->core), before, "carrying changes nothing");
		if (k->out.carry_done)
			return true;
	}
	return false;
}

void kit_trim(struct kit *k, uint64_t oldest_lsn)
{
	size_t bytes = 0, gone = (size_t)(oldest_lsn - k->first_lsn);

	cr_assert(oldest_lsn >= k->first_lsn && oldest_lsn <= k->durable_lsn);
	for (size_t i = 0; i < gone; i++)
		bytes += ((uint32_t *)(void *)k->sizes.data)[i];
	memmove(k->journal.data, k->journal.data + bytes, k->journal.size - bytes);
	k->journal.size -= bytes;
	k->shown_bytes -= bytes;
	memmove(k->sizes.data, k->sizes.data + gone * sizeof(uint32_t),
		k->sizes.size - gone * sizeof(uint32_t));
	k->sizes.size -= gone * sizeof(uint32_t);
	k->first_lsn = oldest_lsn;
}

void kit_tick(struct kit *k)
{
	struct input_tick in = {0};

	kit_step(k, INPUT_TICK, &in);
}

void kit_pass(struct kit *k, usec_t us, uint32_t alive)
{
	usec_t end = k->mono_us + us;

	while (k->mono_us < end) {
		usec_t at = dispatcher_core_deadline(k->core);

		at = at < k->mono_us + 1000 ? k->mono_us + 1000 : at;
		at = at > end ? end : at;
		k->wall_us += at - k->mono_us;
		k->mono_us = at;
		for (uint32_t i = 0; i < KIT_WORKERS; i++) {
			struct heartbeat m = {k->workers[i].session};

			if (alive & 1u << i)
				kit_message(k, i, MESSAGE_HEARTBEAT, &m);
		}
		kit_tick(k);
	}
}

static struct dispatcher_core *replay(struct kit *k, uint64_t last_lsn)
{
	struct dispatcher_core *core = dispatcher_core_create(&k->config);
	struct bytes in = buf_bytes(&k->journal);
	struct error err = {0};
	struct arena arena;

	arena_init(&arena, 0);
	for (uint64_t lsn = k->first_lsn; lsn <= last_lsn; lsn++) {
		uint32_t type;
		void *record;
		int rc = codec_union_decode(&record_union, &in, &type, &record, &arena, &err);

		cr_assert_eq(rc, 0, "%s", err.what);
		rc = dispatcher_core_apply(core, type, record, lsn, &err);
		cr_assert_eq(rc, 0, "record %d: %s: %s", (int)lsn, err.where, err.what);
		arena_reset(&arena);
	}
	arena_fini(&arena);
	dispatcher_core_check(core, CHECK_TOUCHED);
	return core;
}

void kit_compare_replay(struct kit *k)
{
	struct dispatcher_core *core = replay(k, k->last_lsn);
	struct error err = {0};

	cr_assert_eq(dispatcher_core_replay_end(core, &err), 0, "%s", err.what);
	dispatcher_core_check(core, CHECK_FULL);
	cr_assert_eq(dispatcher_core_digest(core), dispatcher_core_digest(k->core));
	dispatcher_core_destroy(core);
}

void kit_restart(struct kit *k)
{
	size_t bytes = 0;
	uint64_t count = k->durable_lsn - k->first_lsn + 1;

	for (uint64_t i = 0; i < count; i++)
		bytes += ((uint32_t *)(void *)k->sizes.data)[i];
	k->journal.size = bytes;
	k->sizes.size = count * sizeof(uint32_t);
	k->last_lsn = k->durable_lsn;
	k->held_count = 0;
	dispatcher_core_destroy(k->core);
	k->core = replay(k, k->last_lsn);
	k->mono_us += USEC_PER_SEC;
	k->wall_us += USEC_PER_SEC;
	open_epoch(k);
}

void kit_message(struct kit *k, uint32_t worker, enum message_type type, const void *body)
{
	struct buf frame = {0};
	struct input_message in;

	codec_union_encode(&message_union, type, body, &frame);
	in = (struct input_message){k->workers[worker].peer, buf_bytes(&frame)};
	kit_step(k, INPUT_MESSAGE, &in);
	buf_fini(&frame);
}

void kit_carry_all(struct kit *k)
{
	uint64_t oldest = k->last_lsn + 1;

	cr_assert(kit_carry(k, oldest, 100000, 1000));
	kit_durable(k);
	kit_history(k);
	kit_trim(k, oldest);
	kit_compare_replay(k);
}
