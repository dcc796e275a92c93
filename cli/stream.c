#include "cli/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define ARENA_BYTES_MAX (64 * MIB)

void stream_fini(struct stream *s)
{
	buf_fini(&s->bytes);
	free(s->events);
	free(s->bodies);
	*s = (struct stream){0};
}

/* ---- what is held ---- */

static size_t held_bytes(const struct stream *s)
{
	return s->bytes.size - s->at;
}

bool stream_has_room(const struct stream *s)
{
	return held_bytes(s) < STREAM_HELD_BYTES;
}

/* What was answered leaves the front when it is more than what is held: so each byte moves once. */
static void compact(struct stream *s)
{
	if (s->at >= held_bytes(s)) {
		memmove(s->bytes.data, s->bytes.data + s->at, held_bytes(s));
		s->bytes.size -= s->at;
		s->at = 0;
	}
	if (s->first >= s->count) {
		memmove(s->events, s->events + s->first, s->count * sizeof(*s->events));
		s->first = 0;
	}
}

void stream_add(struct stream *s, struct bytes body, uint64_t line)
{
	CHECK(body.size > 0 && body.size <= STREAM_BODY_BYTES_MAX);
	ARRAY_GROW(s->events, s->capacity, s->first + s->count);
	s->events[s->first + s->count++] = (struct stream_event){.line = line, .size = body.size};
	buf_append_bytes(&s->bytes, body);
}

static void let_go(struct stream *s, uint64_t number)
{
	size_t n = (size_t)(number - s->answered), bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += s->events[s->first + i].size;
	s->first += n;
	s->count -= n;
	s->sent -= n;
	s->at += bytes;
	s->sent_bytes -= bytes;
	s->answered = number;
	if (s->count > 0)
		compact(s);
	else
		s->first = s->at = s->bytes.size = 0;
}

bool stream_waits(const struct stream *s)
{
	return s->sent > 0;
}

/* ---- out ---- */

void stream_hello(struct stream *s, struct buf *out)
{
	const struct producer_hello m = {
	    .wire_min = WIRE_VERSION_EVENTS, .wire_max = WIRE_VERSION, .next = s->answered + 1};

	s->session = 0;
	s->sent = s->sent_bytes = 0;
	codec_union_encode(&message_union, MESSAGE_PRODUCER_HELLO, &m, out);
}

bool stream_frame(struct stream *s, struct buf *out)
{
	struct events m = {.session = s->session, .first = s->answered + s->sent + 1};
	size_t bytes = 0;

	if (s->session == 0)
		return false;
	while (s->sent + m.bodies.count < s->count && s->sent + m.bodies.count < s->credit_events) {
		size_t size = s->events[s->first + s->sent + m.bodies.count].size;
		size_t from = s->at + s->sent_bytes + bytes;

		if (s->sent_bytes + bytes + size > s->credit_bytes ||
		    (bytes > 0 && bytes + size > STREAM_FRAME_BYTES))
			break;
		ARRAY_GROW(s->bodies, s->body_capacity, m.bodies.count);
		s->bodies[m.bodies.count++] = (struct event_body){BYTES(s->bytes.data + from, size)};
		bytes += size;
	}
	if (m.bodies.count == 0)
		return false;
	m.bodies.items = s->bodies;
	s->sent += m.bodies.count;
	s->sent_bytes += bytes;
	codec_union_encode(&message_union, MESSAGE_EVENTS, &m, out);
	return true;
}

/* ---- in ---- */

static int strange(struct error *reterr, const char *what)
{
	return error_set(reterr, ERR_INVALID, "what answers there is no dispatcher that takes events: %s",
			 what);
}

static int take_welcome(struct stream *s, const struct producer_welcome *m, enum stream_news *ret,
			struct error *reterr)
{
	if (m->wire < WIRE_VERSION_EVENTS || m->wire > WIRE_VERSION || m->session == 0)
		return strange(reterr, "its welcome is of another version");
	*ret = STREAM_ANSWERED;
	s->session = m->session;
	s->credit_events = m->credit_events;
	s->credit_bytes = m->credit_bytes;
	s->sent = s->sent_bytes = 0;
	s->why[0] = '\0';
	return 0;
}

static int take_answer(struct stream *s, const struct events_answer *m, stream_note_fn *fn, void *arg,
		       enum stream_news *ret, struct error *reterr)
{
	if (m->session != s->session)
		return 0; /* of a session that is over */
	if (m->durable < s->answered || m->durable - s->answered > s->sent)
		return strange(reterr, "it answers what was not sent");
	for (uint32_t i = 0; i < m->notes.count; i++) {
		const struct event_note *note = &m->notes.items[i];

		if (note->number <= s->answered || note->number - s->answered > s->sent)
			return strange(reterr, "it speaks of what was not sent");
		if (note->taken)
			s->failed++;
		else
			s->refused++;
		fn(arg, s->events[s->first + (size_t)(note->number - s->answered) - 1].line, note);
	}
	s->known += m->known;
	s->unmatched += m->unmatched;
	s->jobs += m->jobs;
	s->credit_events = m->credit_events;
	s->credit_bytes = m->credit_bytes;
	snprintf(s->why, sizeof(s->why), "%.*s", (int)(m->why.size < 190 ? m->why.size : 190),
		 (const char *)m->why.data);
	let_go(s, m->durable);
	*ret = STREAM_ANSWERED;
	return 0;
}

int stream_take(struct stream *s, struct bytes frame, stream_note_fn *fn, void *arg, enum stream_news *ret,
		struct error *reterr)
{
	struct arena arena;
	uint32_t type;
	void *body;
	int rc;

	arena_init(&arena, ARENA_BYTES_MAX);
	*ret = STREAM_NOTHING;
	rc = codec_union_decode(&message_union, &frame, &type, &body, &arena, reterr);
	if (rc == 0 && type == MESSAGE_PRODUCER_WELCOME) {
		rc = take_welcome(s, body, ret, reterr);
	} else if (rc == 0 && type == MESSAGE_EVENTS_ANSWER) {
		rc = take_answer(s, body, fn, arg, ret, reterr);
	} else if (rc == 0 && type == MESSAGE_WHO) {
		if (s->session == 0 || ((struct who *)body)->session == s->session ||
		    ((struct who *)body)->session == 0)
			*ret = STREAM_AGAIN;
	} else if (rc == 0 && type == MESSAGE_REFUSED) {
		struct bytes why = ((struct refused *)body)->why;

		rc = error_set(reterr, ERR_DENIED, "the dispatcher takes no events from here: %.*s",
			       (int)why.size, (const char *)why.data);
	} else if (rc == 0) {
		rc = strange(reterr, "it speaks as to a worker");
	}
	arena_fini(&arena);
	return rc;
}
