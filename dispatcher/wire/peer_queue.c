#include "dispatcher/wire/peer_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"

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
	while (peer->first != NULL) {
		struct peer_item *item = peer->first;

		peer->first = item->next;
		free(item);
		p->counters.dropped++;
	}
	p->counters.queued_bytes -= peer->bytes;
	peer->last = NULL;
	peer->bytes = 0;
}

void peer_remove(struct peers *p, struct peer *peer)
{
	clear_queue(p, peer);
	HASH_DELETE(hh, p->by_number, peer);
	free(peer);
}

static size_t item_cost(const struct peer_item *item)
{
	return heap_cost(sizeof(*item) + item->size);
}

static void append(struct peers *p, struct peer *peer, struct peer_item *item)
{
	item->next = NULL;
	if (peer->last != NULL)
		peer->last->next = item;
	else
		peer->first = item;
	peer->last = item;
	peer->bytes += item_cost(item);
	p->counters.queued_bytes += item_cost(item);
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
	codec_union_encode(&message_union, MESSAGE_WHO, &(struct who){0}, &out);
	append(p, peer, item_create(buf_bytes(&out)));
	buf_fini(&out);
	log_warn("a worker takes its frames too slowly: it is told to register anew",
		 log_u64("peer", peer->number));
}

void peer_queue(struct peers *p, struct peer *peer, struct bytes frame)
{
	struct peer_item *item = item_create(frame);

	if (peer->bytes + item_cost(item) > PEER_QUEUE_BYTES_MAX && peer->first != NULL) {
		free(item);
		overflow(p, peer);
		return;
	}
	append(p, peer, item);
}

/* 0 sent, ERR_BUSY, or ERR_CLOSED. */
static int try_send(struct peers *p, struct peer *peer, struct bytes frame)
{
	int r = endpoint_send(p->endpoint, peer->number, frame);

	if (r == 0) {
		p->counters.frames_out++;
		peer->used_us = loop_now_us(p->services->loop);
	}
	return r;
}

void peer_transmit(struct peers *p, struct peer *peer, struct bytes frame)
{
	int r = peer->first != NULL ? ERR_BUSY : try_send(p, peer, frame);

	if (r == ERR_BUSY) {
		peer_queue(p, peer, frame);
		peers_retry_soon(p);
	} else if (r < 0) {
		p->counters.dropped++;
		clear_queue(p, peer); /* swept later: callers still hold it */
	}
}

static struct peer_item *take_first(struct peers *p, struct peer *peer)
{
	struct peer_item *item = peer->first;

	peer->first = item->next;
	if (peer->first == NULL)
		peer->last = NULL;
	peer->bytes -= item_cost(item);
	p->counters.queued_bytes -= item_cost(item);
	return item;
}

static void put_first(struct peers *p, struct peer *peer, struct peer_item *item)
{
	item->next = peer->first;
	peer->first = item;
	if (peer->last == NULL)
		peer->last = item;
	peer->bytes += item_cost(item);
	p->counters.queued_bytes += item_cost(item);
}

void peer_flush(struct peers *p, struct peer *peer)
{
	while (peer->first != NULL) {
		struct peer_item *item = take_first(p, peer);
		int r = try_send(p, peer, BYTES(item->bytes, item->size));

		if (r == ERR_BUSY) {
			put_first(p, peer, item);
			peers_retry_soon(p);
			return;
		}
		free(item);
		if (r < 0) {
			p->counters.dropped++;
			clear_queue(p, peer);
			return;
		}
	}
}
