/* The list of effects that a step fills. */
#include "base/array.h"
#include "worker/core/state.h"

void worker_effects_init(struct worker_effects *e)
{
	memset(e, 0, sizeof(*e));
	arena_init(&e->arena, 0);
}

void worker_effects_fini(struct worker_effects *e)
{
	arena_fini(&e->arena);
	free(e->items);
	memset(e, 0, sizeof(*e));
}

void worker_effects_clear(struct worker_effects *e)
{
	e->count = 0;
	arena_reset(&e->arena);
}

struct worker_effect *worker_effect_push(struct worker_core *c, enum worker_effect_kind kind)
{
	struct worker_effects *e = c->out;

	ARRAY_GROW(e->items, e->capacity, e->count);
	e->items[e->count] = (struct worker_effect){.kind = kind};
	return &e->items[e->count++];
}

void *worker_effect_alloc(struct worker_core *c, size_t size)
{
	void *p = arena_alloc(&c->out->arena, size ? size : 1);

	CHECK(p != NULL); /* the arena has no bound */
	return p;
}

struct bytes worker_effect_bytes(struct worker_core *c, struct bytes b)
{
	struct bytes copy = arena_copy(&c->out->arena, b);

	CHECK(copy.data != NULL);
	return copy;
}

void *worker_effect_send(struct worker_core *c, enum message_type type, size_t size)
{
	void *body = worker_effect_alloc(c, size);

	worker_effect_push(c, WORKER_SEND)->send =
	    (struct worker_send){.type = type, .body = body, .wire = type == MESSAGE_REGISTER ? 0 : c->wire};
	c->sent_us = c->now_us;
	return body;
}
