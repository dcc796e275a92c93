#include "dispatcher/producers.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/keys.h"
#include "base/log.h"
#include "dispatcher/intake/intake.h"
#include "dispatcher/intake/producer_batch.h"
#include "dispatcher/part.h"
#include "dispatcher/rules.h"
#include "jobs/ids.h"

#define RETRY_US (20 * USEC_PER_MSEC)
#define WAITS_TOLD_US (200 * USEC_PER_MSEC) /* who waits for credit hears as often why */
#define ARENA_BYTES_MAX (32 * MIB)

/* ---- out ---- */

static void say(struct producers *p, uint64_t peer, enum message_type type, const void *body)
{
	if (p->send == NULL)
		return;
	buf_clear(&p->out);
	codec_union_encode(&message_union, type, body, &p->out);
	p->send(p->send_arg, peer, buf_bytes(&p->out));
}

static void refuse(struct producers *p, uint64_t peer, const char *name, const char *why)
{
	uint64_t withheld;

	p->counters.strange++;
	if (log_quota_take(&p->tells, clock_mono_us(), &withheld))
		log_warn("a producer is refused", log_text("key", name), log_text("why", why));
	say(p, peer, MESSAGE_REFUSED, &(struct refused){.why = bytes_of(why)});
}

/* May something be taken now? Else why not. */
static bool may_take(const struct producers *p, struct error *reterr)
{
	struct services *s = p->services;

	if (port_has_room(s->port, reterr) < 0 || rules_are_ready(s->rules, reterr) < 0)
		return false;
	if (p->again_count == 0)
		return true;
	error_set(reterr, ERR_BUSY, "%s", p->again_why);
	return false;
}

static void answer(struct producer *pr)
{
	struct producers *p = pr->producers;
	struct error e = {0};
	bool room = may_take(p, &e);
	struct events_answer m = {.session = pr->session,
				  .durable = pr->durable,
				  .credit_events = room ? PRODUCER_EVENTS_MAX : 0,
				  .credit_bytes = room ? pr->credit_bytes : 0,
				  .notes = {pr->news.notes, pr->news.note_count},
				  .known = pr->news.known,
				  .unmatched = pr->news.unmatched,
				  .jobs = pr->news.jobs,
				  .why = bytes_of(room ? "" : e.what)};

	pr->starved = !room;
	pr->answer_due = false;
	pr->told_us = clock_mono_us();
	say(p, pr->peer, MESSAGE_EVENTS_ANSWER, &m);
	producer_news_clear(&pr->news);
}

static void on_answers(struct loop *loop, void *arg)
{
	struct producers *p = arg;
	struct producer *pr, *next;

	(void)loop;
	HASH_ITER (hh, p->sessions, pr, next) {
		if (pr->answer_due)
			answer(pr);
	}
}

static void retry_soon(struct producers *p)
{
	if (p->retry.place == 0)
		loop_timer_set(p->services->loop, &p->retry, clock_mono_us() + RETRY_US);
}

void producer_answer_soon(struct producer *pr)
{
	pr->answer_due = true;
	loop_defer(pr->producers->services->loop, &pr->producers->answers);
}

/* ---- sessions ---- */

static struct producer *find(const struct producers *p, uint64_t session, uint64_t peer)
{
	struct producer *pr = NULL;

	HASH_FIND(hh, p->sessions, &session, sizeof(session), pr);
	return pr != NULL && pr->peer == peer ? pr : NULL;
}

/* What it sent and has begun goes on, and is answered to nobody. */
static void end_session(struct producer *pr)
{
	struct producers *p = pr->producers;

	HASH_DELETE(hh, p->sessions, pr);
	pr->over = true;
	DL_APPEND2(p->over, pr, prev, next_over);
	producer_drop_waiting(pr);
	producer_destroy_if_over(pr);
}

static void end_sessions_of(struct producers *p, uint64_t peer)
{
	struct producer *pr, *next;

	HASH_ITER (hh, p->sessions, pr, next) {
		if (pr->peer == peer)
			end_session(pr);
	}
}

/* The one that was heard last longest ago, of those that wait for nothing. */
static bool make_place(struct producers *p)
{
	struct producer *pr, *next, *oldest = NULL;

	if (HASH_COUNT(p->sessions) < PRODUCERS_MAX)
		return true;
	HASH_ITER (hh, p->sessions, pr, next) {
		if (pr->batches == NULL && (oldest == NULL || pr->heard_us < oldest->heard_us))
			oldest = pr;
	}
	if (oldest != NULL)
		end_session(oldest);
	return oldest != NULL;
}

static uint64_t wide_sessions(const struct producers *p)
{
	const struct producer *pr;
	uint64_t n = 0;

	for (pr = p->sessions; pr != NULL; pr = pr->hh.next)
		n += pr->credit_bytes == PRODUCER_BYTES_MAX;
	return n;
}

static void take_hello(struct producers *p, uint64_t peer, const char *name, const struct producer_hello *m)
{
	struct producer *pr;
	bool room;
	char why[200];

	if (m->wire_min > WIRE_VERSION || m->wire_max < WIRE_VERSION_EVENTS || m->next == 0) {
		snprintf(
		    why, sizeof(why),
		    "the producer speaks wire versions %u to %u and begins with event %llu; expected version "
		    "%u to %u, and 1 or more",
		    m->wire_min, m->wire_max, (unsigned long long)m->next, WIRE_VERSION_EVENTS, WIRE_VERSION);
		refuse(p, peer, name, why);
		return;
	}
	end_sessions_of(p, peer);
	if (!make_place(p)) {
		refuse(p, peer, name,
		       "as many producers as may be are connected, and all of them wait for answers");
		return;
	}
	pr = check_calloc(1, sizeof(*pr));
	*pr = (struct producer){.producers = p,
				.session = ++p->last_session,
				.peer = peer,
				.next = m->next,
				.durable = m->next - 1,
				.credit_bytes = wide_sessions(p) < PRODUCERS_WIDE ? PRODUCER_BYTES_MAX
										  : PRODUCER_BYTES_LEAST,
				.heard_us = clock_mono_us()};
	snprintf(pr->name, sizeof(pr->name), "%s", name);
	HASH_ADD(hh, p->sessions, session, sizeof(pr->session), pr);
	room = may_take(p, NULL);
	pr->starved = !room;
	say(p, peer, MESSAGE_PRODUCER_WELCOME,
	    &(struct producer_welcome){.wire = m->wire_max < WIRE_VERSION ? m->wire_max : WIRE_VERSION,
				       .session = pr->session,
				       .credit_events = room ? PRODUCER_EVENTS_MAX : 0,
				       .credit_bytes = room ? pr->credit_bytes : 0,
				       .cluster = p->cluster});
	if (!room)
		producer_answer_soon(pr); /* which says why */
	retry_soon(p);
}

/* ---- events ---- */

void producer_go_on(struct producer *pr)
{
	struct batch *b, *behind;

	DL_FOREACH_SAFE(pr->batches, b, behind)
	{
		if (!b->begun && pr->looking == NULL && may_take(pr->producers, NULL))
			batch_begin(b, NULL);
	}
	if (pr->batches != NULL && !pr->batches->prev->begun)
		retry_soon(pr->producers);
}

/* What cannot be taken now is taken by the timer. */
static void take_batches(struct producers *p)
{
	struct producer *pr, *next;

	if (p->again_failed)
		p->again_step /= 2;
	else if (p->again_step <= PRODUCER_EVENTS_MAX)
		p->again_step *= 2;
	if (p->again_step == 0)
		p->again_step = 1;
	p->again_failed = false;
	p->again_left = p->again_count > 0 && port_has_room(p->services->port, NULL) == 0 ? p->again_step : 0;
	HASH_ITER (hh, p->sessions, pr, next) {
		producer_offer_again(pr);
	}
	HASH_ITER (hh, p->sessions, pr, next) {
		producer_go_on(pr);
	}
}

static void on_retry(struct loop *loop, void *arg)
{
	struct producers *p = arg;
	struct producer *pr, *next;
	bool room, waits = p->again_count > 0;
	usec_t now_us = clock_mono_us();

	take_batches(p);
	room = may_take(p, NULL);
	HASH_ITER (hh, p->sessions, pr, next) {
		if (pr->starved && (room || now_us - pr->told_us >= WAITS_TOLD_US))
			producer_answer_soon(pr);
		waits |= pr->starved || (pr->batches != NULL && !pr->batches->prev->begun);
	}
	if (waits)
		loop_timer_set(loop, &p->retry, clock_mono_us() + RETRY_US);
}

static size_t bytes_in(const struct events *m)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < m->bodies.count; i++)
		bytes += m->bodies.items[i].body.size;
	return bytes;
}

static void take_events(struct producers *p, uint64_t peer, const char *name, struct bytes frame,
			const struct events *m)
{
	struct producer *pr = find(p, m->session, peer);
	size_t bytes = bytes_in(m);
	struct batch *b;

	if (pr == NULL || m->first != pr->next) {
		say(p, peer, MESSAGE_WHO, &(struct who){.session = m->session});
		if (pr != NULL)
			end_session(pr);
		return;
	}
	if (m->bodies.count == 0 || m->bodies.count > PRODUCER_EVENTS_MAX - pr->open_events ||
	    bytes > pr->credit_bytes - pr->open_bytes) {
		end_session(pr);
		refuse(p, peer, name,
		       m->bodies.count == 0 ? "it sends frames without events"
					    : "it sends more than its credit");
		return;
	}
	pr->heard_us = clock_mono_us();
	pr->next += m->bodies.count;
	b = batch_create(pr, m->first, m->bodies.count, bytes, frame);
	if (pr->looking != NULL || (b != pr->batches && !b->prev->begun))
		return; /* behind others that wait */
	if (may_take(p, NULL)) {
		batch_begin(b, m);
		return;
	}
	if (!pr->starved)
		producer_answer_soon(pr);
	retry_soon(p);
}

void producers_frame(struct producers *p, uint64_t peer, const char *name, struct bytes frame)
{
	struct bytes in = frame;
	struct error e = {0};
	struct producer *pr;
	char why[ERROR_LINE_MAX];
	uint32_t type;
	void *body;
	int rc;

	arena_reset(&p->arena);
	rc = codec_union_decode(&message_union, &in, &type, &body, &p->arena, &e);
	if (rc < 0) {
		refuse(p, peer, name, error_text(&e, why, sizeof(why)));
	} else if (type == MESSAGE_PRODUCER_HELLO) {
		take_hello(p, peer, name, body);
	} else if (type == MESSAGE_EVENTS) {
		take_events(p, peer, name, frame, body);
	} else if (type == MESSAGE_BYE) {
		pr = find(p, ((struct bye *)body)->session, peer);
		if (pr != NULL)
			end_session(pr);
	} else {
		refuse(p, peer, name, "a producer's key may send events only");
	}
}

/* ---- open and close ---- */

void producers_speak_by(struct producers *p, producers_send_fn *send, void *arg)
{
	p->send = send;
	p->send_arg = arg;
}

void producers_counters(const struct producers *p, struct producers_counters *ret)
{
	*ret = p->counters;
	ret->sessions = HASH_COUNT(p->sessions);
}

static int producers_open(struct services *s, struct error *reterr)
{
	struct producers *p = s->producers = check_calloc(1, sizeof(*p));

	p->services = s;
	p->retry = (struct loop_timer){.fn = on_retry, .arg = p};
	p->answers = (struct loop_task){.fn = on_answers, .arg = p};
	arena_init(&p->arena, ARENA_BYTES_MAX);
	/* A session of an earlier dispatcher is none of this one. */
	randombytes_buf(&p->last_session, sizeof(p->last_session));
	return uuid_parse(bytes_of(s->state.cluster_id), &p->cluster, reterr);
}

/* The engine delivers nothing any more. */
static void producers_close(struct services *s)
{
	struct producers *p = s->producers;
	struct producer *pr, *next;

	if (p == NULL)
		return;
	loop_timer_unset(s->loop, &p->retry);
	loop_defer_cancel(s->loop, &p->answers);
	HASH_ITER (hh, p->sessions, pr, next) {
		HASH_DELETE(hh, p->sessions, pr);
		producer_destroy(pr);
	}
	while ((pr = p->over) != NULL) {
		DL_DELETE2(p->over, pr, prev, next_over);
		producer_destroy(pr);
	}
	arena_fini(&p->arena);
	buf_fini(&p->out);
	events_fini(&p->list);
	free(p);
	s->producers = NULL;
}

const struct part part_producers = {.name = "producers", .open = producers_open, .close = producers_close};
