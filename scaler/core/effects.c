/* The list of effects that a step fills. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "scaler/core/state.h"

void scaler_effects_init(struct scaler_effects *e)
{
	memset(e, 0, sizeof(*e));
	arena_init(&e->arena, 0);
}

void scaler_effects_fini(struct scaler_effects *e)
{
	arena_fini(&e->arena);
	free(e->items);
	memset(e, 0, sizeof(*e));
}

void scaler_effects_clear(struct scaler_effects *e)
{
	e->count = 0;
	arena_reset(&e->arena);
}

struct scaler_effect *scaler_effect_push(struct scaler_core *c, const struct pool *p,
					 enum scaler_effect_kind kind)
{
	struct scaler_effects *e = c->out;

	ARRAY_GROW(e->items, e->capacity, e->count);
	e->items[e->count] = (struct scaler_effect){.kind = kind, .pool = (uint32_t)(p - c->pools)};
	return &e->items[e->count++];
}

struct bytes scaler_effect_bytes(struct scaler_core *c, struct bytes b)
{
	struct bytes copy = arena_copy(&c->out->arena, b);

	CHECK(copy.data != NULL); /* the arena has no bound */
	return copy;
}
