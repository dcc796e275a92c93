#include "dispatcher/server/release.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/intake/ended.h"
#include "dispatcher/planners/planners.h"
#include "dispatcher/server/peers.h"
#include "dispatcher/server/server.h"

/* What an effect borrows from the step is copied behind the entry, encoded. */
struct release_entry {
	struct release_entry *next;
	uint64_t lsn;
	enum dispatcher_effect_kind kind; /* 0: a call */
	union {
		struct {
			uint64_t peer;
			enum message_type type;
		} send;
		struct dispatcher_reply reply;
		struct dispatcher_plan plan;
		struct {
			release_fn *fn;
			void *arg;
		} call;
	};
	size_t size;
	uint8_t bytes[];
};

static struct release_entry *entry_create(uint64_t lsn, enum dispatcher_effect_kind kind, struct bytes bytes)
{
	struct release_entry *e = check_calloc(1, sizeof(*e) + bytes.size + 1);

	e->lsn = lsn;
	e->kind = kind;
	e->size = bytes.size;
	if (bytes.size > 0)
		memcpy(e->bytes, bytes.data, bytes.size);
	return e;
}

static void entry_queue(struct server *s, struct release_entry *e)
{
	struct release *r = &s->release;

	/* The queue goes out in the order in which it came. What needs less than the one before it (a call,
	 * the answer to a repeat of an event that waits still) waits for that one's lsn too. */
	if (r->last != NULL && e->lsn < r->last->lsn)
		e->lsn = r->last->lsn;
	if (r->last != NULL)
		r->last->next = e;
	else
		r->first = e;
	r->last = e;
	r->count++;
	r->bytes += e->size;
	s->steps.urgent = true;
}

/* A broken worker, or a house that is full, could have a line written for each frame. */
static void tell(struct server *s, const struct dispatcher_tell *t)
{
	uint64_t withheld = 0;

	if (t->job == 0 && !log_quota_take(&s->release.tells, clock_mono_us(), &withheld))
		return;
	if (withheld > 0)
		log_warn("lines like the next were too many: some were not written",
			 log_u64("count", withheld));
	log_at(t->warning ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "dispatcher", log_text("what", t->what),
	       log_u64("job", t->job));
}

static void effect_now(struct server *s, const struct dispatcher_effect *e)
{
	switch (e->kind) {
	case DISPATCHER_SEND:
		peers_send(s, &e->send);
		break;
	case DISPATCHER_REPLY:
		replies_deliver(s, &e->reply);
		break;
	case DISPATCHER_PLAN:
		planners_run(s->planners, &e->plan);
		break;
	case DISPATCHER_PLAN_STOP:
		planners_forget(s->planners, e->plan.job);
		break;
	case DISPATCHER_JOB_ENDED: /* steps the core: never from here */
		break;
	case DISPATCHER_PARAMETERS:
		leases_answer_need(s, &e->parameters);
		break;
	case DISPATCHER_LOOKED:
		looks_deliver(s, &e->looked);
		break;
	case DISPATCHER_TELL:
		tell(s, &e->tell);
		break;
	}
}

/* A plan that waits: its cursor, then its header. */
static struct release_entry *entry_of_plan(const struct dispatcher_effect *e)
{
	struct buf out = {0};
	struct release_entry *entry;

	buf_append_bytes(&out, e->plan.cursor);
	if (e->plan.plan != NULL)
		codec_encode(codec_plan(), e->plan.plan, &out);
	entry = entry_create(e->after_lsn, e->kind, buf_bytes(&out));
	entry->plan = e->plan;
	buf_fini(&out);
	return entry;
}

static void effect_later(struct server *s, const struct dispatcher_effect *e)
{
	struct buf out = {0};
	struct release_entry *entry = NULL;

	switch (e->kind) {
	case DISPATCHER_SEND:
		codec_union_encode(&message_union, e->send.type, e->send.body, &out);
		entry = entry_create(e->after_lsn, e->kind, buf_bytes(&out));
		entry->send.peer = e->send.peer;
		entry->send.type = e->send.type;
		break;
	case DISPATCHER_REPLY:
		entry = entry_create(e->after_lsn, e->kind, bytes_of(e->reply.why ? e->reply.why : ""));
		entry->reply = e->reply;
		break;
	case DISPATCHER_PLAN:
	case DISPATCHER_PLAN_STOP:
		entry = entry_of_plan(e);
		break;
	case DISPATCHER_JOB_ENDED:
		codec_encode(codec_job_ended(), e->ended, &out);
		entry = entry_create(e->after_lsn, e->kind, buf_bytes(&out));
		break;
	case DISPATCHER_PARAMETERS:
	case DISPATCHER_LOOKED:
	case DISPATCHER_TELL: /* nobody has to wait for these */
		effect_now(s, e);
		break;
	}
	if (entry != NULL)
		entry_queue(s, entry);
	buf_fini(&out);
}

void release_effects(struct server *s, const struct dispatcher_effects *effects)
{
	for (size_t i = 0; i < effects->count; i++) {
		const struct dispatcher_effect *e = &effects->items[i];

		if (e->after_lsn == 0 && e->kind != DISPATCHER_JOB_ENDED)
			effect_now(s, e);
		else
			effect_later(s, e);
	}
}

void release_call(struct server *s, uint64_t lsn, release_fn *fn, void *arg)
{
	struct release_entry *e;

	if (s->release.last != NULL && s->release.last->lsn > lsn)
		lsn = s->release.last->lsn;
	e = entry_create(lsn, 0, (struct bytes){0});
	e->call.fn = fn;
	e->call.arg = arg;
	entry_queue(s, e);
	loop_defer(s->loop, &s->steps.turn_end);
}

static void let_out_plan(struct server *s, struct release_entry *e)
{
	struct arena arena;
	struct plan plan = {0};

	arena_init(&arena, 0);
	e->plan.cursor.data = e->bytes;
	if (e->plan.plan != NULL)
		CHECK(codec_decode(codec_plan(),
				   BYTES(e->bytes + e->plan.cursor.size, e->size - e->plan.cursor.size),
				   &plan, &arena, NULL) == 0);
	e->plan.plan = &plan;
	if (e->kind == DISPATCHER_PLAN)
		planners_run(s->planners, &e->plan);
	else
		planners_forget(s->planners, e->plan.job);
	arena_fini(&arena);
}

static void let_out_ended(struct server *s, struct release_entry *e)
{
	struct arena arena;
	struct job_ended ended;

	arena_init(&arena, 0);
	CHECK(codec_decode(codec_job_ended(), BYTES(e->bytes, e->size), &ended, &arena, NULL) == 0);
	ended_offer(s, &ended);
	arena_fini(&arena);
}

static void let_out(struct server *s, struct release_entry *e)
{
	switch ((unsigned)e->kind) {
	case DISPATCHER_SEND:
		peers_send_frame(s, e->send.peer, e->send.type, BYTES(e->bytes, e->size));
		break;
	case DISPATCHER_REPLY:
		e->reply.why = (const char *)e->bytes;
		replies_deliver(s, &e->reply);
		break;
	case DISPATCHER_PLAN:
	case DISPATCHER_PLAN_STOP:
		let_out_plan(s, e);
		break;
	case DISPATCHER_JOB_ENDED:
		let_out_ended(s, e);
		break;
	default:
		e->call.fn(s, e->call.arg);
		break;
	}
}

void release_durable(struct server *s, uint64_t lsn)
{
	struct release *r = &s->release;

	while (r->first != NULL && r->first->lsn <= lsn) {
		struct release_entry *e = r->first;

		r->first = e->next;
		if (r->first == NULL)
			r->last = NULL;
		r->count--;
		r->bytes -= e->size;
		let_out(s, e);
		free(e);
	}
}

void release_fini(struct release *r)
{
	while (r->first != NULL) {
		struct release_entry *e = r->first;

		r->first = e->next;
		free(e);
	}
	*r = (struct release){0};
}
