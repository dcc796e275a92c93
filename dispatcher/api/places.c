#include "dispatcher/api/places.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/check.h"
#include "base/constants.h"

/* What a peer may have of it at most: one quarter is always left to others. */
static uint32_t share(uint32_t max)
{
	return max - max / 4;
}

static const usec_t patience_us[PLACE_LOOSE] = {
    [PLACE_FRESH] = HTTP_HEAD_US,
    [PLACE_IDLE] = HTTP_IDLE_US,
    [PLACE_BODY] = HTTP_BODY_US,
    [PLACE_SENDING] = HTTP_SEND_US,
};

static uint32_t part(uint32_t total, uint32_t divisor, uint32_t min, uint32_t max)
{
	uint32_t n = total / divisor;

	return n < min ? min : n > max ? max : n;
}

void places_init(struct places *p, uint32_t total)
{
	uint32_t used;

	*p = (struct places){.loose_max = part(total, 4, 12, HTTP_LOOSE_MAX)};
	p->max[PLACE_CALL] = part(total, 8, 4, HTTP_CALLS_MAX);
	p->max[PLACE_FIRST] = part(total, 8, 4, HTTP_FIRST_MAX);
	p->max[PLACE_LONG] = part(total, 16, 2, HTTP_LONG_MAX);
	p->max[PLACE_STREAM] = part(total, 16, 2, HTTP_STREAMS_MAX);
	used = p->loose_max;
	for (int kind = PLACE_LOOSE; kind < PLACE_KINDS; kind++)
		used += p->max[kind];
	p->max[PLACE_WAIT] = total > used ? part(total - used, 1, 2, HTTP_WAITS_MAX) : 2;
}

void places_fini(struct places *p)
{
	struct place_peer *peer, *next;

	HASH_ITER (hh, p->peers, peer, next) {
		HASH_DEL(p->peers, peer);
		free(peer);
	}
	for (int kind = 0; kind < PLACE_KINDS; kind++)
		CHECK(p->lists[kind] == NULL);
}

/* ---- lists ---- */

static void insert(struct places *p, struct http_place *place, enum place_kind kind, usec_t now_us)
{
	place->kind = kind;
	place->deadline_us = kind < PLACE_LOOSE ? now_us + patience_us[kind] : USEC_NEVER;
	DL_APPEND(p->lists[kind], place);
	p->counts[kind]++;
	place->peer->counts[kind]++;
}

static void take_out(struct places *p, struct http_place *place)
{
	DL_DELETE(p->lists[place->kind], place);
	p->counts[place->kind]--;
	place->peer->counts[place->kind]--;
}

static uint32_t loose(const uint32_t counts[PLACE_KINDS])
{
	uint32_t n = 0;

	for (int kind = 0; kind < PLACE_LOOSE; kind++)
		n += counts[kind];
	return n;
}

/* The oldest of the kind that has most; of one peer, unless it is NULL. */
static struct http_place *oldest(const struct places *p, const struct place_peer *peer)
{
	const uint32_t *counts = peer != NULL ? peer->counts : p->counts;
	struct http_place *place;
	int most = 0;

	for (int kind = 1; kind < PLACE_LOOSE; kind++)
		if (counts[kind] > counts[most])
			most = kind;
	place = p->lists[most];
	while (peer != NULL && place != NULL && place->peer != peer)
		place = place->next;
	return place;
}

struct http_place *places_surplus(const struct places *p, const struct place_key *key)
{
	const struct place_peer *peer;

	HASH_FIND(hh, p->peers, key, sizeof(*key), peer);
	if (peer != NULL && loose(peer->counts) >= share(p->loose_max))
		return oldest(p, peer);
	return loose(p->counts) >= p->loose_max ? oldest(p, NULL) : NULL;
}

bool places_is_new(const struct http_place *place, usec_t now_us)
{
	return place->kind == PLACE_FRESH && now_us < place->deadline_us - HTTP_HEAD_US + HTTP_NEW_US;
}

/* ---- one place ---- */

struct http_place *places_enter(struct places *p, const struct place_key *key, int fd, usec_t now_us)
{
	struct http_place *place = check_calloc(1, sizeof(*place));
	struct place_peer *peer;

	HASH_FIND(hh, p->peers, key, sizeof(*key), peer);
	if (peer == NULL) {
		peer = check_calloc(1, sizeof(*peer));
		peer->key = *key;
		HASH_ADD(hh, p->peers, key, sizeof(peer->key), peer);
	}
	peer->count++;
	place->peer = peer;
	place->fd = fd;
	insert(p, place, PLACE_FRESH, now_us);
	return place;
}

/* Calls are short, and many of them come from one peer where it stands for many. */
static bool has_share(enum place_kind kind)
{
	return kind == PLACE_LONG || kind == PLACE_WAIT || kind == PLACE_STREAM;
}

bool places_move(struct places *p, struct http_place *place, enum place_kind kind, usec_t now_us)
{
	if (place->kind == PLACE_LEAVING)
		return true; /* it has none any more */
	if (kind >= PLACE_LOOSE && kind != PLACE_LEAVING) {
		if (p->counts[kind] >= p->max[kind])
			return false;
		if (has_share(kind) && place->peer->counts[kind] >= share(p->max[kind]))
			return false;
	}
	take_out(p, place);
	insert(p, place, kind, now_us);
	return true;
}

void places_leave(struct places *p, struct http_place *place)
{
	struct place_peer *peer = place->peer;

	take_out(p, place);
	free(place);
	if (--peer->count > 0)
		return;
	HASH_DEL(p->peers, peer);
	free(peer);
}

/* ---- time ---- */

static struct http_place *first_due(const struct places *p)
{
	struct http_place *first = NULL;

	for (int kind = 0; kind < PLACE_LOOSE; kind++)
		if (p->lists[kind] != NULL &&
		    (first == NULL || p->lists[kind]->deadline_us < first->deadline_us))
			first = p->lists[kind];
	return first;
}

struct http_place *places_late(const struct places *p, usec_t now_us)
{
	struct http_place *first = first_due(p);

	return first != NULL && first->deadline_us <= now_us ? first : NULL;
}

usec_t places_deadline(const struct places *p)
{
	const struct http_place *first = first_due(p);

	return first != NULL ? first->deadline_us : USEC_NEVER;
}
