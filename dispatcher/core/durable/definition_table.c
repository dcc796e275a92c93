#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/definition_table.h"

#include <string.h>

#include "base/array.h"

struct definition *definition_find(const struct definition_table *t, struct bytes sha256)
{
	struct definition *d = NULL;

	if (sha256.size != sizeof d->sha256)
		return NULL;
	HASH_FIND(hh, t->by_hash, sha256.data, sizeof d->sha256, d);
	return d;
}

struct definition *definition_intern(struct definition_table *t, struct bytes sha256)
{
	struct definition *d = definition_find(t, sha256);
	uint32_t index = 0;

	CHECK(sha256.size == sizeof d->sha256);
	if (d != NULL)
		return d;
	if (HASH_COUNT(t->by_hash) == t->capacity) {
		index = t->capacity;
		ARRAY_GROW(t->items, t->capacity, index);
		memset(&t->items[index], 0, (t->capacity - index) * sizeof(struct definition *));
	}
	for (uint32_t i = 0; t->items[index] != NULL; i++)
		index = (HASH_COUNT(t->by_hash) + i) % t->capacity;
	d = check_calloc(1, sizeof *d);
	memcpy(d->sha256, sha256.data, sizeof d->sha256);
	d->index = index;
	t->items[index] = d;
	HASH_ADD(hh, t->by_hash, sha256, sizeof d->sha256, d);
	return d;
}

void definition_fill(struct definition *d, const struct definition_body *body)
{
	bool ok;

	if (d->known)
		return;
	arena_init(&d->arena, 0);
	ok = codec_copy(codec_definition_body(), body, &d->body, &d->arena);
	CHECK(ok);
	d->known = true;
}

void definition_remove(struct definition_table *t, struct definition *d)
{
	CHECK(d->references == 0);
	HASH_DEL(t->by_hash, d);
	t->items[d->index] = NULL;
	arena_fini(&d->arena);
	free(d);
}

void definition_table_fini(struct definition_table *t)
{
	struct definition *d, *next;

	HASH_ITER (hh, t->by_hash, d, next) {
		d->references = 0;
		definition_remove(t, d);
	}
	free(t->items);
	*t = (struct definition_table){0};
}

uint32_t definition_phase(const struct definition *d, uint32_t phase)
{
	CHECK(d->known && d->body.phases.count > 0);
	return phase < d->body.phases.count ? phase : d->body.phases.count - 1;
}

const struct policy *definition_policy(const struct definition *d, uint32_t phase)
{
	return &d->body.phases.items[definition_phase(d, phase)].policy;
}
