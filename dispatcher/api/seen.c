#include "dispatcher/api/seen.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/check.h"

struct key {
	uint64_t epoch_shard, lease;
};

struct place {
	struct key key;
	struct seen_attempt attempt;
	UT_hash_handle hh;
};

struct seen {
	struct place places[SEEN_MAX]; /* a ring */
	uint32_t count, next;
	struct place *by_key;
};

static struct key key_of(struct token token, uint32_t shard)
{
	return (struct key){(uint64_t)token.epoch << 32 | shard, token.lease};
}

struct seen *seen_create(void)
{
	return check_calloc(1, sizeof(struct seen));
}

void seen_destroy(struct seen *s)
{
	if (s == NULL)
		return;
	HASH_CLEAR(hh, s->by_key);
	free(s);
}

static struct place *find(const struct seen *s, struct key key)
{
	struct place *p = NULL;

	HASH_FIND(hh, s->by_key, &key, sizeof(key), p);
	return p;
}

void seen_remember(struct seen *s, const struct seen_attempt *a)
{
	struct key key = key_of(a->token, a->shard);
	struct place *p = find(s, key);

	if (p == NULL) {
		p = &s->places[s->next];
		s->next = (s->next + 1) % SEEN_MAX;
		if (s->count == SEEN_MAX)
			HASH_DEL(s->by_key, p);
		else
			s->count++;
		p->key = key;
		HASH_ADD(hh, s->by_key, key, sizeof(key), p);
	}
	p->attempt = *a;
}

const struct seen_attempt *seen_find(const struct seen *s, struct token token, uint32_t shard)
{
	const struct place *p = find(s, key_of(token, shard));

	return p != NULL ? &p->attempt : NULL;
}
