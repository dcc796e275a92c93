#include "dispatcher/retention/candidates.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/check.h"
#include "base/constants.h"

struct key {
	struct uuid worker;
	uint64_t segment;
};

struct candidate {
	struct key key;
	bool closed, here; /* as it was found since since_us */
	usec_t since_us, found_us;
	struct token last; /* the leases that were out then */
	UT_hash_handle hh;
};

struct candidates {
	usec_t timeout_us;
	struct candidate *items;
};

struct candidates *candidates_create(usec_t worker_timeout_us)
{
	struct candidates *c = check_calloc(1, sizeof(*c));

	c->timeout_us = worker_timeout_us;
	return c;
}

static void drop(struct candidates *c, struct candidate *item)
{
	HASH_DELETE(hh, c->items, item);
	free(item);
}

void candidates_destroy(struct candidates *c)
{
	struct candidate *item, *next;

	if (c == NULL)
		return;
	HASH_ITER (hh, c->items, item, next)
		drop(c, item);
	free(c);
}

static bool is_above(struct token a, struct token b)
{
	return a.epoch > b.epoch || (a.epoch == b.epoch && a.lease > b.lease);
}

static bool is_settled(const struct candidates *c, const struct candidate *item,
		       const struct view_presence *worker, usec_t now_us)
{
	usec_t timeouts = item->closed ? SEGMENT_CLOSED_TIMEOUTS : SEGMENT_LEFT_TIMEOUTS;

	if (item->here && !item->closed)
		return false;
	if (worker->leased && !is_above(worker->oldest, item->last))
		return false;
	return now_us - item->since_us >= timeouts * c->timeout_us;
}

bool candidates_see(struct candidates *c, const struct candidate_found *found,
		    const struct view_presence *worker, struct token last, usec_t now_us)
{
	struct key key = {found->worker, found->segment};
	bool here = worker->registered || worker->leased;
	struct candidate *item;

	HASH_FIND(hh, c->items, &key, sizeof(key), item);
	if (item == NULL) {
		if ((here && !found->closed) || candidates_count(c) >= CANDIDATES_MAX)
			return false; /* its worker goes on writing */
		item = check_calloc(1, sizeof(*item));
		item->key = key;
		item->since_us = -1;
		HASH_ADD(hh, c->items, key, sizeof(key), item);
	}
	item->found_us = now_us;
	if (item->since_us < 0 || item->closed != found->closed || (here && !item->here)) {
		item->since_us = now_us;
		item->last = last;
	}
	item->closed = found->closed;
	item->here = here;
	if (!is_settled(c, item, worker, now_us))
		return false;
	drop(c, item);
	return true;
}

void candidates_sweep(struct candidates *c, usec_t now_us)
{
	struct candidate *item, *next;

	HASH_ITER (hh, c->items, item, next) {
		if (now_us - item->found_us > 2 * RETENTION_WALK_US)
			drop(c, item);
	}
}

uint32_t candidates_count(const struct candidates *c)
{
	return HASH_COUNT(c->items);
}
