#include "dispatcher/server/peer_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void recount(struct peers *p, const struct peer *peer, bool was_waiting)
{
	bool is = peer->first != NULL && peer->first->raw;

	p->waiting += is;
	p->waiting -= was_waiting;
}

static bool waits(const struct peer *peer)
{
	return peer->first != NULL && peer->first->raw;
}

struct peer *peer_find(struct peers *p, uint64_t number, bool create)
{
	struct peer *peer = NULL;

	HASH_FIND(hh, p->by_number, &number, sizeof(number), peer);
	if (peer == NULL && create) {
		peer = check_calloc(1, sizeof(*peer));
		peer->number = number;
		HASH_ADD(hh, p->by_number, number, sizeof(peer->number), peer);
	}
	return peer;
}

static void clear_queue(struct peers *p, struct peer *peer)
{
	bool was = waits(peer);

	while (peer->first != NULL) {
		struct peer_item *item = peer->first;

		peer->first = item->next;
		free(item);
		p->counters.dropped++;
	}
	p->counters.queued_bytes -= peer->bytes;
	peer->last = NULL;
	peer->bytes = 0;
	recount(p, peer, was);
}

void peer_forget_sent(struct peer *peer)
{
	free(peer->sent);
	peer->sent = NULL;
}

void peer_remove(struct peers *p, struct peer *peer)
{
	clear_queue(p, peer);
	peer_forget_sent(peer);
	HASH_DELETE(hh, p->by_number, peer);
	free(peer);
}

static size_t item_cost(const struct peer_item *item)
{
	return heap_cost(sizeof(*item) + item->size);
}

static void append(struct peers *p, struct peer *peer, struct peer_item *item)
{
	bool was = waits(peer);

	item->next = NULL;
	if (peer->last != NULL)
		peer->last->next = item;
	else
		peer->first = item;
	peer->last = item;
	peer->bytes += item_cost(item);
	p->counters.queued_bytes += item_cost(item);
	recount(p, peer, was);
}

static struct peer_item *item_create(struct bytes bytes)
{
	struct peer_item *item = check_calloc(1, sizeof(*item) + bytes.size);

	item->size = bytes.size;
	if (bytes.size > 0)
		memcpy(item->bytes, bytes.data, bytes.size);
	return item;
}

/* It lost frames: whatever it believes, it registers anew, and all is told again. */
static void overflow(struct peers *p, struct peer *peer)
{
	struct buf out = {0};

	clear_queue(p, peer);
	peer_forget_sent(peer);
	codec_union_encode(&message_union, MESSAGE_WHO, &(struct who){0}, &out);
	append(p, peer, item_create(buf_bytes(&out)));
	buf_fini(&out);
	log_warn("a worker takes its frames too slowly: it is told to register anew",
		 log_u64("peer", peer->number));
}

static void append_bounded(struct peers *p, struct peer *peer, struct peer_item *item)
{
	if (peer->bytes + item_cost(item) > PEER_QUEUE_BYTES_MAX && peer->first != NULL) {
		free(item);
		overflow(p, peer);
		return;
	}
	append(p, peer, item);
}

/* 0 sent, ERR_BUSY, or ERR_CLOSED. */
static int try_send(struct server *s, struct peer *peer, struct bytes frame)
{
	int r = endpoint_send(s->peers->endpoint, peer->number, frame);

	if (r == 0) {
		s->peers->counters.frames_out++;
		peer->used_us = loop_now_us(s->loop);
	}
	return r;
}

void peer_transmit(struct server *s, struct peer *peer, struct bytes frame)
{
	int r = peer->first != NULL ? ERR_BUSY : try_send(s, peer, frame);

	if (r == ERR_BUSY) {
		append_bounded(s->peers, peer, item_create(frame));
		peers_retry_soon(s);
	} else if (r < 0) {
		s->peers->counters.dropped++;
		clear_queue(s->peers, peer);
		peer_forget_sent(peer); /* swept later: callers still hold it */
	}
}

void peer_queue_leases(struct peers *p, struct peer *peer, const struct leases *leases, uint64_t wait_lsn)
{
	struct buf out = {0};
	struct peer_item *item;

	codec_union_encode(&message_union, MESSAGE_LEASES, leases, &out);
	item = item_create(buf_bytes(&out));
	item->raw = true;
	item->wait_lsn = wait_lsn;
	append_bounded(p, peer, item);
	buf_fini(&out);
}

static struct peer_item *take_first(struct peers *p, struct peer *peer)
{
	bool was = waits(peer);
	struct peer_item *item = peer->first;

	peer->first = item->next;
	if (peer->first == NULL)
		peer->last = NULL;
	peer->bytes -= item_cost(item);
	p->counters.queued_bytes -= item_cost(item);
	recount(p, peer, was);
	return item;
}

static void put_first(struct peers *p, struct peer *peer, struct peer_item *item)
{
	bool was = waits(peer);

	item->next = peer->first;
	peer->first = item;
	if (peer->last == NULL)
		peer->last = item;
	peer->bytes += item_cost(item);
	p->counters.queued_bytes += item_cost(item);
	recount(p, peer, was);
}

/* Its frames have to go before what waits behind it: that is set aside meanwhile. */
static int flush_raw(struct server *s, struct peer *peer, struct peer_item *item)
{
	struct peer_item *rest = peer->first;
	struct arena arena;
	struct bytes in = BYTES(item->bytes, item->size);
	void *body;
	uint32_t type;
	int r;
	bool was = waits(peer);

	arena_init(&arena, 0);
	CHECK(codec_union_decode(&message_union, &in, &type, &body, &arena, NULL) == 0);
	s->peers->counters.queued_bytes -= peer->bytes;
	peer->first = peer->last = NULL;
	peer->bytes = 0;
	recount(s->peers, peer, was);
	r = leases_send(s, peer->number, body, &item->wait_lsn);
	while (rest != NULL) {
		struct peer_item *next = rest->next;

		append(s->peers, peer, rest);
		rest = next;
	}
	arena_fini(&arena);
	return r;
}

void peer_flush(struct server *s, struct peer *peer)
{
	while (peer->first != NULL) {
		struct peer_item *item = take_first(s->peers, peer);
		int r =
		    item->raw ? flush_raw(s, peer, item) : try_send(s, peer, BYTES(item->bytes, item->size));

		if (r == ERR_BUSY) {
			put_first(s->peers, peer, item);
			if (!item->raw)
				peers_retry_soon(s);
			return;
		}
		free(item);
		if (r < 0) {
			s->peers->counters.dropped++;
			clear_queue(s->peers, peer);
			return;
		}
	}
}

/* ---- what it was sent ---- */

static struct peer_sent *sent_of(struct peers *p, uint64_t number)
{
	struct peer *peer = peer_find(p, number, true);

	if (peer->sent == NULL)
		peer->sent = check_calloc(1, sizeof(*peer->sent));
	return peer->sent;
}

bool peers_remember_definition(struct peers *p, uint64_t number, struct bytes sha256)
{
	uint8_t *place;

	if (sha256.size != 32)
		return false;
	place = sent_of(p, number)->definitions[sha256.data[0] % PEER_DEFINITIONS_MAX];
	if (memcmp(place, sha256.data, 32) == 0)
		return true;
	memcpy(place, sha256.data, 32);
	return false;
}

bool peers_remember_job(struct peers *p, uint64_t number, uint64_t job, uint32_t phase, uint32_t shard_count)
{
	struct peer_job *place;

	if (shard_count <= 1) /* leased once: not worth a place */
		return false;
	place = &sent_of(p, number)->jobs[(job * 31 + phase) % PEER_JOBS_MAX];
	if (place->job == job && place->phase == phase && place->shard_count == shard_count)
		return true;
	*place = (struct peer_job){.job = job, .phase = phase, .shard_count = shard_count};
	return false;
}
