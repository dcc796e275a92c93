#include "outputs/stretches.h"

#include <stdlib.h>

#include "base/array.h"

void stretches_fini(struct stretches *s)
{
	free(s->items);
	*s = (struct stretches){0};
}

static int by_token(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;

	if (x->token.epoch != y->token.epoch)
		return x->token.epoch < y->token.epoch ? -1 : 1;
	return x->token.lease < y->token.lease ? -1 : x->token.lease > y->token.lease;
}

void stretches_settle(struct stretches *s)
{
	size_t count = 0;

	if (s->count > 0)
		qsort(s->items, s->count, sizeof(*s->items), by_token);
	for (size_t i = 0; i < s->count; i++) {
		const struct stretch *t = &s->items[i];
		struct stretch *last = count > 0 ? &s->items[count - 1] : NULL;

		if (last == NULL || by_token(last, t) != 0) {
			s->items[count++] = *t;
			continue;
		}
		last->first = t->first < last->first ? t->first : last->first;
		last->end = t->end > last->end ? t->end : last->end;
	}
	s->count = count;
}

void stretches_add(struct stretches *s, struct token token, uint64_t at)
{
	const struct stretch t = {.token = token, .first = at, .end = at + OUTPUT_ENTRY_BYTES};

	if (s->count > 0 && by_token(&s->items[s->count - 1], &t) == 0) {
		s->items[s->count - 1].end = t.end;
		return;
	}
	if (s->count == s->room) {
		stretches_settle(s);
		if (s->count >= s->room / 2)
			ARRAY_GROW(s->items, s->room, s->room);
	}
	s->items[s->count++] = t;
}

const struct stretch *stretches_find(const struct stretches *s, struct token token)
{
	const struct stretch key = {.token = token};

	if (s->count == 0)
		return NULL;
	return bsearch(&key, s->items, s->count, sizeof(key), by_token);
}
