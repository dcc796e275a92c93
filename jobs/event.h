/* The canonical event: EventBridge's envelope. Patterns and templates see only this form. Pure.
 *
 *   {id, source, detail-type, time, resources: [text], detail: {}, account?, region?, extensions?: {}}
 *
 * id, source and detail-type are required and not empty; resources are text; detail is an object; extensions
 * are the attributes that have no other place (event_extensions.h). Other members of an envelope are dropped,
 * and its version.
 * Source of the format: EventBridge User Guide, "Events in Amazon EventBridge". */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#define EVENT_SOURCE_SHARDMILL "shardmill"
#define EVENT_SOURCE_BUCKET "shardmill.bucket"
#define EVENT_SOURCE_S3 "aws.s3"
#define EVENT_OBJECT_CREATED "Object Created"
#define EVENT_OBJECT_DELETED "Object Deleted"

/* An event has a tree, or its canonical text, from which event_dom makes the tree when somebody asks for a
 * member of it: most rules look at the source only. */
struct event {
	json_t *dom; /* owned, canonical; NULL: not made yet */
	struct bytes
	    text; /* owned, canonical; empty: not known. The fields below point into it or into dom */
	const char *id;
	const char *source;
	const char *detail_type;
	json_t *detail; /* of dom */
	uint32_t depth; /* how many jobs led to it, one behind the other; of source shardmill */
};

struct event_list {
	struct event *items;
	uint32_t count;
	uint32_t capacity;
};

/* All that comes in: an event, an array of them, CloudEvents (event_cloudevents.h), S3 notifications
 * and the SNS and SQS envelopes around them (event_s3.h), told apart by what they carry. now_wall_us
 * stands in for a missing time. Appended to list, all or none; a test notification appends none.
 * Bounds: HTTP_BODY_BYTES_MAX in all, EVENT_BYTES_MAX each, EVENT_DEPTH_MAX, EVENT_RESOURCES_MAX.
 * Errors name the member: "Records[2].s3.object.key". */
int events_read(struct bytes body, usec_t now_wall_us, struct event_list *list,
		struct error *reterr) MUST_CHECK;

/* Records of a body that are no events: the first of them, and how many they are. */
#define EVENT_PROBLEMS_MAX 100
struct event_problems {
	struct error *items; /* the caller frees them */
	uint32_t count;	     /* of items */
	uint32_t total;
};
/* The same, but a record among others that is not understood hinders none of them: it is told. An error when
 * nothing of the body is understood: then list is as it was. Plain events (event_plain.h) are read without a
 * tree. */
int events_read_each(struct bytes body, usec_t now_wall_us, struct event_list *list,
		     struct event_problems *problems, struct error *reterr) MUST_CHECK;
void events_fini(struct event_list *list);
/* Back to the first `count`. */
void events_cut(struct event_list *list, uint32_t count);

/* One envelope, read; dom is borrowed. */
int event_from_json(json_t *dom, usec_t now_wall_us, struct event *ret, struct error *reterr) MUST_CHECK;
void event_fini(struct event *e);
/* The tree, made now if need be; it is the event's. */
json_t *event_dom(const struct event *e);
const json_t *event_detail(const struct event *e);
/* Canonical text: keys sorted, compact. */
void event_write(const struct event *e, struct buf *out);
/* Takes over e. */
void event_list_add(struct event_list *list, struct event *e);

/* The value at "event.detail.object.key"; a number picks an element of an array. NULL when there is
 * none. */
const json_t *event_lookup(const struct event *e, struct bytes path);
/* Its bytes for a template: strings as they are, other values as canonical JSON. The member NAME-base64
 * beside NAME, if there is one, holds the exact bytes of a name that is not UTF-8, and is what counts.
 * `event.object` is the URL of the object that the event is about.
 * ERR_NOT_FOUND says how far the path went. */
int event_value(const struct event *e, struct bytes path, struct buf *out, struct error *reterr) MUST_CHECK;

/* Appends base64, as NAME-base64 has it. */
void event_base64(struct buf *out, struct bytes in);
/* The reverse. False, nothing appended, when it is not base64. */
bool event_base64_decode(struct buf *out, struct bytes in) MUST_CHECK;

/* Appends s3://bucket/key or file:///path, not percent-encoded. ERR_NOT_FOUND. */
int event_object_url(const struct event *e, struct buf *out, struct error *reterr) MUST_CHECK;

/* The object of an S3 or bucket event, in the arena. */
struct event_object {
	struct bytes url; /* s3://bucket/key or file:///path, not percent-encoded */
	struct bytes etag;
	uint64_t size_bytes;
	bool size_known;
};
int event_object(const struct event *e, struct arena *arena, struct event_object *ret,
		 struct error *reterr) MUST_CHECK;

/* Deduplication. A key is siphashx24-128 of length-prefixed parts: equal facts, equal keys, however
 * they came in. Never 0,0. */
#define DEDUP_SECRET_BYTES 16
struct dedup_key {
	uint64_t hi;
	uint64_t lo;
};
/* S3 and bucket events: (bucket, key, version or eTag, sequencer or time, kind); others: (source, id). */
struct dedup_key event_dedup_key(const struct event *e, const uint8_t secret[DEDUP_SECRET_BYTES]);
/* space keeps keys of different origin apart: "submit", "idempotency", "listing". */
struct dedup_key dedup_key_of(const char *space, const struct bytes parts[], size_t part_count,
			      const uint8_t secret[DEDUP_SECRET_BYTES]);

/* "2026-11-22T13:30:54.109000Z". */
#define EVENT_TIME_BYTES_MAX 40
const char *event_time(usec_t wall_us, char buf[EVENT_TIME_BYTES_MAX]);
/* RFC 3339, section 5.6: date, T, time, fraction, Z or an offset. */
bool event_time_is(const char *text) MUST_CHECK;
