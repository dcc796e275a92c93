#include "tests/unit/worker/rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/params.h"

struct worker_config rig_config(void)
{
	static struct named_amount licence = {.name = {(const uint8_t *)"licence", 7}, .amount = 1000};
	struct worker_config config;
	struct params params;

	params_init(&params, PARAM_SCOPE_WORKER);
	worker_config_init(&config, &params);
	params_fini(&params);
	config.worker = (struct uuid){1, 2};
	config.host = bytes_of("node1");
	config.pid = 42;
	config.pool = bytes_of("default");
	config.capacity =
	    (struct resources){.cpu_milli = 4000, .memory_bytes = 8ull << 30, .named = {&licence, 1}};
	config.seed = 1;
	config.report_delay_min_us = 2 * USEC_PER_MSEC; /* the stories count their milliseconds by it */
	return config;
}

void rig_init(struct rig *r, const struct worker_config *config)
{
	memset(r, 0, sizeof(*r));
	r->core = worker_core_create(config);
	worker_effects_init(&r->effects);
	arena_init(&r->arena, 0);
	r->now = 1000 * USEC_PER_SEC;
	r->epoch = 1;
}

void rig_fini(struct rig *r)
{
	worker_core_destroy(r->core);
	worker_effects_fini(&r->effects);
	arena_fini(&r->arena);
	for (uint32_t s = 0; s < RIG_SLOTS; s++)
		for (int i = 0; i < SLOT_CELLS; i++)
			shard_set_fini(&r->slots[s].cells[i].begun);
}

/* ---- effects ---- */

static void keep_sent(struct rig *r, const struct worker_send *send)
{
	struct buf frame = {0};
	struct error error;
	struct bytes in;
	uint32_t type;
	void *body;

	message_encode(send->wire, send->type, send->body, &frame);
	cr_assert_leq(frame.size, FRAME_BYTES_MAX);
	in = arena_copy(&r->arena, buf_bytes(&frame));
	buf_fini(&frame);
	cr_assert_eq(codec_union_decode(&message_union, &in, &type, &body, &r->arena, &error), 0, "%s",
		     error.what);
	cr_assert_lt(r->sent_count, ARRAY_LENGTH(r->sent));
	r->sent[r->sent_count++] = (struct rig_sent){type, body};
}

static void do_arm(struct rig *r, const struct worker_arm *arm)
{
	struct rig_slot *s = &r->slots[arm->slot];

	cr_assert(s->open);
	cell_arm(&s->cells[arm->cell].cell, arm->token, arm->range);
	s->cells[arm->cell].arm = *arm;
	s->cells[arm->cell].armed = ++r->armed;
	s->cells[arm->cell].stopped = false;
}

/* A slot's answers come as inputs after the step. */
static void do_effect(struct rig *r, const struct worker_effect *e)
{
	struct rig_slot *s;

	switch (e->kind) {
	case WORKER_SEND:
		keep_sent(r, &e->send);
		break;
	case WORKER_OPEN_SLOT:
		cr_assert(!r->slots[e->open.slot].open);
		r->slots[e->open.slot].open = true;
		r->slots[e->open.slot].gpus = e->open.gpus;
		break;
	case WORKER_CLOSE_SLOT:
		s = &r->slots[e->close.slot];
		cr_assert(s->open && rig_in_work(r, e->close.slot) == NULL);
		s->open = false;
		break;
	case WORKER_ARM:
		do_arm(r, &e->arm);
		break;
	case WORKER_LOWER_END:
		cell_lower_end(&r->slots[e->lower_end.slot].cells[e->lower_end.cell].cell, e->lower_end.end);
		break;
	case WORKER_STOP:
		cell_lower_end(&r->slots[e->stop.slot].cells[e->stop.cell].cell, 0);
		r->slots[e->stop.slot].cells[e->stop.cell].stopped = true;
		break;
	case WORKER_SYNC:
		cr_assert_eq(r->sync, 0);
		r->sync = e->sync.generation;
		r->sync_segments = e->sync.segment_count;
		break;
	case WORKER_FORGET_DEFINITION:
	case WORKER_FORGET_JOB:
		r->forgotten++;
		break;
	case WORKER_EXIT:
		r->exited = true;
		r->exit_code = e->exit.code;
		break;
	}
}

static void answer(struct rig *r, const struct worker_effect *e)
{
	struct rig_cell *cell;

	if (e->kind == WORKER_LOWER_END) {
		rig_progress(r, e->lower_end.slot, e->lower_end.cell, false);
	} else if (e->kind == WORKER_STOP) {
		cell = &r->slots[e->stop.slot].cells[e->stop.cell];
		shard_set_clear(&cell->begun);
		rig_progress(r, e->stop.slot, e->stop.cell, true);
	}
}

int rig_step(struct rig *r, struct worker_input in)
{
	struct worker_effect *todo;
	uint32_t count;
	int rc;

	in.mono_us = r->now;
	in.wall_us = r->now;
	rc = worker_core_step(r->core, &in, &r->effects, NULL);
	worker_core_check(r->core, CHECK_FULL);
	count = r->effects.count;
	todo = calloc(count + 1, sizeof(*todo));
	for (uint32_t i = 0; i < count; i++) {
		todo[i] = r->effects.items[i];
		do_effect(r, &todo[i]);
	}
	worker_effects_clear(&r->effects);
	for (uint32_t i = 0; i < count && !r->mute; i++)
		answer(r, &todo[i]);
	free(todo);
	return rc;
}

int rig_frame(struct rig *r, enum message_type type, const void *body)
{
	return rig_step(r, (struct worker_input){.kind = WORKER_FRAME, .frame = {type, body}});
}

void rig_tick(struct rig *r)
{
	rig_step(r, (struct worker_input){.kind = WORKER_TICK});
}

void rig_until(struct rig *r, usec_t us)
{
	uint32_t idle = 0;

	while (r->now < us && !r->exited) {
		usec_t at = worker_core_deadline(r->core);

		cr_assert_lt(idle, 10, "the deadline does not move");
		idle = at <= r->now ? idle + 1 : 0;
		r->now = at < r->now ? r->now : at < us ? at : us;
		rig_tick(r);
	}
}

/* ---- the dispatcher's side ---- */

void rig_registered(struct rig *r, uint8_t fate)
{
	const struct register_worker *m = rig_last(r, MESSAGE_REGISTER, 0);
	struct token_verdict verdicts[256];
	struct registered answer = {.wire = WIRE_VERSION,
				    .session = ++r->session,
				    .epoch = r->epoch,
				    .tokens = {verdicts, m->tokens.count},
				    .heartbeat_us = 2 * USEC_PER_SEC,
				    .timeout_us = 30 * USEC_PER_SEC,
				    .serial = m->serial};

	for (uint32_t i = 0; i < m->tokens.count; i++)
		verdicts[i] = (struct token_verdict){m->tokens.items[i].token, fate};
	cr_assert_eq(rig_frame(r, MESSAGE_REGISTERED, &answer), 0);
}

void rig_connect(struct rig *r)
{
	rig_step(r, (struct worker_input){.kind = WORKER_CONNECTED});
	rig_registered(r, TOKEN_KEEP);
}

void rig_parameters_of(struct rig *r, const char *sha, struct resources shape, uint64_t job)
{
	struct phase_run phase = {.run = {.kind = RUN_EXEC, .shape = shape, .durable_output = r->durable}};
	struct run_definition d = {.sha256 = BYTES(sha, 32), .phases = {&phase, 1}};
	struct job_parameters j = {.job = job,
				   .plan = {.kind = PLAN_COUNT, .shard_count = 1000000, .step = 1}};
	struct parameters m = {.session = r->session, .definitions = {&d, 1}, .jobs = {&j, 1}};

	cr_assert_eq(rig_frame(r, MESSAGE_PARAMETERS, &m), 0);
}

void rig_parameters(struct rig *r)
{
	rig_parameters_of(r, RIG_SHA, (struct resources){.cpu_milli = 1000}, 7);
}

struct lease rig_lease_of(struct rig *r, uint32_t first, uint32_t count)
{
	return (struct lease){.token = {.epoch = r->epoch, .lease = ++r->lease},
			      .job = 7,
			      .definition = BYTES(RIG_SHA, 32),
			      .first = first,
			      .count = count,
			      .attempt = 1};
}

struct token rig_lease(struct rig *r, uint32_t first, uint32_t count)
{
	struct lease l = rig_lease_of(r, first, count);
	struct leases m = {.session = r->session, .leases = {&l, 1}};

	cr_assert_eq(rig_frame(r, MESSAGE_LEASES, &m), 0);
	return l.token;
}

void rig_revoke(struct rig *r, struct token t, uint32_t keep_end)
{
	struct revoked l = {t, keep_end};
	struct revoke m = {.session = r->session, .leases = {&l, 1}};

	cr_assert_eq(rig_frame(r, MESSAGE_REVOKE, &m), 0);
}

void rig_kill(struct rig *r, struct token t)
{
	struct kill m = {.session = r->session, .tokens = {&t, 1}};

	cr_assert_eq(rig_frame(r, MESSAGE_KILL, &m), 0);
}

void rig_ack(struct rig *r, uint64_t seq)
{
	struct ack m = {.session = r->session, .seq = seq};

	cr_assert_eq(rig_frame(r, MESSAGE_ACK, &m), 0);
}

void rig_ready(struct rig *r, const struct worker_config *config, bool durable)
{
	rig_init(r, config);
	r->durable = durable;
	rig_connect(r);
	rig_parameters(r);
	rig_ack(r, 1);
}

/* ---- slots ---- */

struct rig_cell *rig_in_work(struct rig *r, uint32_t slot)
{
	struct rig_cell *best = NULL;

	for (int i = 0; i < SLOT_CELLS; i++) {
		struct rig_cell *cell = &r->slots[slot].cells[i];

		if (r->slots[slot].open && cell_is_armed(&cell->cell) &&
		    (best == NULL || cell->armed < best->armed))
			best = cell;
	}
	return best;
}

uint32_t rig_begin(struct rig *r, uint32_t slot, uint32_t n)
{
	struct rig_cell *cell = rig_in_work(r, slot);
	struct range got = cell ? cell_take(&cell->cell, n) : (struct range){0, 0};

	if (got.count > 0)
		shard_set_add(&cell->begun, got.first, got.count);
	return got.count;
}

static void progress(struct rig *r, uint32_t slot, uint32_t index, struct worker_slot_progress p)
{
	struct rig_cell *cell = &r->slots[slot].cells[index];
	struct cell_view v = cell_peek(&cell->cell);

	p.slot = slot;
	p.cell = index;
	p.token = cell->arm.token;
	p.next = v.next;
	p.end = v.end;
	p.segment = slot + 1;
	if (p.released) {
		cell_release(&cell->cell);
		shard_set_clear(&cell->begun);
	}
	cr_assert_eq(rig_step(r, (struct worker_input){.kind = WORKER_SLOT_PROGRESS, .progress = p}), 0);
}

void rig_progress(struct rig *r, uint32_t slot, uint32_t cell, bool released)
{
	progress(r, slot, cell, (struct worker_slot_progress){.released = released});
}

void rig_end(struct rig *r, uint32_t slot, uint8_t kind, uint64_t output_bytes)
{
	struct rig_cell *cell = rig_in_work(r, slot);
	uint32_t counts[RUN_BUCKETS] = {0};
	struct range ranges[64];
	struct failure failures[64];
	struct effort efforts[1024];
	struct worker_slot_progress p = {.run_counts = counts,
					 .totals.output_bytes = kind == 0 ? output_bytes : 0,
					 .totals.max_rss_bytes = 1000 + slot};
	struct cell_view v;
	uint64_t cursor = 0;
	uint32_t n;

	cr_assert_not_null(cell);
	v = cell_peek(&cell->cell);
	n = (uint32_t)shard_set_ranges(&cell->begun, &cursor, ranges, 64);
	for (uint32_t i = 0; i < n; i++) {
		failures[i] = (struct failure){.first = ranges[i].first,
					       .count = ranges[i].count,
					       .kind = kind,
					       .code = 1,
					       .why = BYTES_LIT("exit 1"),
					       .segment = output_bytes > 0 ? slot + 1 : 0};
		for (uint32_t j = 0; j < ranges[i].count && p.efforts.count < 1024; j++)
			efforts[p.efforts.count++] = (struct effort){.first = ranges[i].first + j,
								     .count = 1,
								     .kind = kind,
								     .code = kind == 0 ? 0 : 1,
								     .start_wall_us = 1ll << 50,
								     .totals.run_us = 1024,
								     .totals.cpu_us = 512,
								     .totals.max_rss_bytes = 1ull << 33};
		counts[10] += ranges[i].count;
		p.totals.run_us += 1024ull * ranges[i].count;
		p.totals.cpu_us += 512ull * ranges[i].count;
	}
	p.efforts.items = efforts;
	if (kind == 0)
		p.done = (struct range_list){ranges, n};
	else
		p.failed = (struct failure_list){failures, n};
	p.whole = r->whole;
	p.released = v.next == v.end;
	shard_set_clear(&cell->begun);
	progress(r, slot, (uint32_t)(cell - r->slots[slot].cells), p);
}

void rig_lost(struct rig *r, uint32_t slot, uint8_t kind)
{
	struct worker_slot_lost lost = {.slot = slot, .kind = kind, .code = 9};

	for (int i = 0; i < SLOT_CELLS; i++) {
		struct rig_cell *cell = &r->slots[slot].cells[i];

		lost.next[i] = cell_peek(&cell->cell).next;
		cell_init(&cell->cell);
		shard_set_clear(&cell->begun);
	}
	r->slots[slot].open = false;
	cr_assert_eq(rig_step(r, (struct worker_input){.kind = WORKER_SLOT_LOST, .lost = lost}), 0);
}

void rig_synced(struct rig *r)
{
	uint64_t generation = r->sync;

	cr_assert_neq(generation, 0);
	r->sync = 0;
	cr_assert_eq(rig_step(r, (struct worker_input){.kind = WORKER_SYNCED, .synced = generation}), 0);
}

/* ---- looking ---- */

const void *rig_last(const struct rig *r, enum message_type type, uint32_t n)
{
	for (uint32_t i = r->sent_count; i-- > 0;)
		if (r->sent[i].type == type && n-- == 0)
			return r->sent[i].body;
	return NULL;
}

uint32_t rig_count(const struct rig *r, enum message_type type)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < r->sent_count; i++)
		count += r->sent[i].type == type;
	return count;
}

struct worker_view rig_view(const struct rig *r)
{
	struct worker_view v;

	worker_core_view(r->core, &v);
	return v;
}

const char *rig_text(struct range_list list)
{
	static char texts[4][1024];
	static unsigned turn;
	char *text = texts[turn++ % 4];
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < list.count && n < 1000; i++)
		n += (size_t)snprintf(text + n, 1024 - n, "%s%u+%u", i ? " " : "", list.items[i].first,
				      list.items[i].count);
	return text;
}
