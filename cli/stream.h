/* Events on their way to a dispatcher by frames (jobs/messages.def: PRODUCER_HELLO, EVENTS): what was taken
 * from the input and has no answer yet, so that all of it can be sent again after a reconnect. Pure.
 *
 * Each event has a number, from 1. It is kept until an answer covers it. Bound: STREAM_HELD_BYTES of bodies,
 * unless a single one is longer. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "jobs/schema.h"

#define STREAM_HELD_BYTES (8 * MIB)
#define STREAM_FRAME_BYTES (128 * KIB)			    /* bodies of one frame */
#define STREAM_BODY_BYTES_MAX (WIRE_FRAME_BYTES_MAX - 1024) /* with its frame it is still taken */

struct stream_event {
	uint64_t line; /* of the input, for people */
	size_t size;
};

struct stream {
	struct buf bytes; /* of the bodies, one behind the other */
	size_t at;	  /* of the first that is held */
	struct stream_event *events;
	size_t first, count,
	    capacity;		 /* those that are held are events[first] to events[first + count - 1] */
	uint64_t answered;	 /* numbers up to this one are not held any more */
	size_t sent, sent_bytes; /* of those that are held */
	uint64_t session;	 /* 0: none */
	uint32_t credit_events;
	uint64_t credit_bytes;
	struct event_body *bodies; /* of the frame in hand */
	size_t body_capacity;
	/* What answers said, over all sessions. */
	uint64_t known, unmatched, jobs, refused, failed;
	char why[200]; /* why there is no credit; "": there is, or nobody said */
};

void stream_fini(struct stream *s);
bool stream_has_room(const struct stream *s);
/* size 1 to STREAM_BODY_BYTES_MAX. */
void stream_add(struct stream *s, struct bytes body, uint64_t line);

/* What opens a session: appended to out. Until it is welcomed nothing is sent. */
void stream_hello(struct stream *s, struct buf *out);
/* The next frame that the credit allows, appended to out; false: none. */
bool stream_frame(struct stream *s, struct buf *out);
/* Sent and not answered. */
bool stream_waits(const struct stream *s);

/* An event that was refused, or whose job failed at once (taken). */
typedef void stream_note_fn(void *arg, uint64_t line, const struct event_note *note);

enum stream_news {
	STREAM_NOTHING,
	STREAM_ANSWERED, /* the session stands, events were answered, or the credit changed */
	STREAM_AGAIN,	 /* a session has to be opened anew */
};
/* What the dispatcher sent. ERR_DENIED: it refuses this producer, in words; ERR_INVALID: it is no
 * dispatcher's frame. *ret is set on success. */
int stream_take(struct stream *s, struct bytes frame, stream_note_fn *fn, void *arg, enum stream_news *ret,
		struct error *reterr) MUST_CHECK;
