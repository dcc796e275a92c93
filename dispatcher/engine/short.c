/* Leases whose slice did not hold all of their shards: the rest is asked back with them. The core has not
 * asked, and would not ask again should that be lost with the connection; so it is done here, whenever their
 * worker registers. */
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/engine/engine_private.h"

struct short_lease {
	struct token token;
	uint32_t keep_end;
	UT_hash_handle hh;
};

static bool is_same(struct token a, struct token b)
{
	return a.epoch == b.epoch && a.lease == b.lease;
}

static bool has_rest(const struct engine *e, const struct short_lease *s)
{
	struct view_lease ignored;

	return dispatcher_view_held(e->core, s->token, s->keep_end, &ignored);
}

static void sweep(struct engine *e)
{
	struct short_lease *s, *next;

	HASH_ITER (hh, e->shorts, s, next)
		if (!has_rest(e, s)) {
			HASH_DELETE(hh, e->shorts, s);
			free(s);
		}
	e->shorts_sweep_at = 2 * HASH_COUNT(e->shorts) + SWEEP_MIN;
}

void short_add(struct engine *e, struct token token, uint32_t keep_end)
{
	struct short_lease *s;

	if (HASH_COUNT(e->shorts) >= e->shorts_sweep_at)
		sweep(e);
	s = check_calloc(1, sizeof(*s));
	s->token = token;
	s->keep_end = keep_end;
	HASH_ADD(hh, e->shorts, token.lease, sizeof(s->token.lease), s);
}

void short_ask(struct engine *e, uint64_t peer, const struct registered *r)
{
	struct revoked *items;
	struct revoke revoke = {.session = r->session};

	if (e->shorts == NULL || r->tokens.count == 0)
		return;
	items = check_calloc(r->tokens.count, sizeof(*items));
	revoke.leases.items = items;
	for (uint32_t i = 0; i < r->tokens.count; i++) {
		struct token token = r->tokens.items[i].token;
		struct short_lease *s = NULL;

		HASH_FIND(hh, e->shorts, &token.lease, sizeof(token.lease), s);
		if (s != NULL && is_same(s->token, token) && r->tokens.items[i].verdict == TOKEN_KEEP &&
		    has_rest(e, s))
			items[revoke.leases.count++] = (struct revoked){token, s->keep_end};
	}
	if (revoke.leases.count > 0)
		engine_send(e, peer, 0, MESSAGE_REVOKE, &revoke);
	free(items);
}

void short_fini(struct engine *e)
{
	struct short_lease *s, *next;

	HASH_ITER (hh, e->shorts, s, next) {
		HASH_DELETE(hh, e->shorts, s);
		free(s);
	}
}
