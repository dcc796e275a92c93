/* Who is connected to a listener, and what each connection is there for: a bound for each kind, so that no
 * kind takes the places of another, and a bound for each peer within them. Knows no socket and no clock.
 *
 *   FRESH -> CALL, FIRST, LONG, WAIT, STREAM -> SENDING -> IDLE -> CALL, …        LEAVING from anywhere
 *        \-> BODY -/                      (a stream sends as it is)
 *
 * FRESH, BODY, SENDING and IDLE wait for the peer: there is always room for one more, since the oldest of the
 * kind that has most leaves for it. In all others the dispatcher works, or was asked to wait: whoever comes
 * when they are full is told so, and comes again. */
#pragma once

#include <uthash.h>

#include "base/types.h"

enum place_kind {
	PLACE_FRESH,   /* nothing is known of it yet: its first head has not come */
	PLACE_IDLE,    /* between two requests */
	PLACE_BODY,    /* its head was right; the body is on its way */
	PLACE_SENDING, /* its answer is on its way */
	PLACE_LOOSE,   /* how many the kinds above are */
	PLACE_CALL = PLACE_LOOSE,
	PLACE_FIRST, /* short questions, and what ends work: they never stand behind a crowd of other calls */
	PLACE_LONG,  /* reads outputs, asks workers, goes through many jobs */
	PLACE_WAIT,  /* was asked to wait */
	PLACE_STREAM, /* outputs */
	PLACE_LEAVING,
	PLACE_KINDS,
};

/* Who it is: an address, or a process. */
struct place_key {
	uint64_t hi, lo;
};

struct place_peer {
	struct place_key key;
	uint32_t counts[PLACE_KINDS];
	uint32_t count;
	UT_hash_handle hh;
};

struct http_place {
	enum place_kind kind;
	struct place_peer *peer;
	int fd;
	void *request; /* in work; the caller's */
	usec_t deadline_us;
	struct http_place *prev, *next; /* of its kind, the oldest first */
};

struct places {
	struct http_place *lists[PLACE_KINDS];
	uint32_t counts[PLACE_KINDS];
	uint32_t loose_max, max[PLACE_KINDS]; /* of the kinds from PLACE_LOOSE on */
	struct place_peer *peers;
};

/* Cuts `total` places into kinds. */
void places_init(struct places *p, uint32_t total);
/* All have left. */
void places_fini(struct places *p);

/* The one that has to leave before another of this peer comes; NULL: there is room. One that came a moment
 * ago (places_is_new) has had no time to say anything: whoever comes next waits for it. */
struct http_place *places_surplus(const struct places *p, const struct place_key *key);
bool places_is_new(const struct http_place *place, usec_t now_us);
struct http_place *places_enter(struct places *p, const struct place_key *key, int fd,
				usec_t now_us) MUST_CHECK;
/* false: that kind is full, or this peer has its share of it; nothing has changed. */
bool places_move(struct places *p, struct http_place *place, enum place_kind kind, usec_t now_us);
void places_leave(struct places *p, struct http_place *place);

/* The one that has taken too long for its head, its body or its answer; NULL: none has. */
struct http_place *places_late(const struct places *p, usec_t now_us);
/* When the next will have; USEC_NEVER. */
usec_t places_deadline(const struct places *p);
