/* The shapes that slots are cut for, and what the dispatcher may count on. */
#include "worker/core/state.h"

#include <stdio.h>

static const char *const units[AMOUNT_NAMED] = {"thousandths of a core", "bytes of memory",
						"thousandths of a gpu"};

static struct shape_class *class_create(struct worker_core *c, const struct amounts *a)
{
	struct shape_class *k = check_calloc(1, sizeof(*k));

	k->amounts = *a;
	amounts_write(a, &c->names, &k->shape, k->named);
	DL_APPEND(c->classes, k);
	return k;
}

struct shape_class *worker_class_of(struct worker_core *c, const struct resources *shape,
				    uint64_t memory_bytes, char *why, size_t why_size)
{
	static const struct amounts nothing;
	struct shape_class *k;
	struct bytes unknown;
	struct amounts a;

	if (!amounts_needed(shape, &c->names, &a, &unknown)) {
		snprintf(why, why_size, "the shape needs %.*s, which this worker does not have",
			 (int)(unknown.size < NAME_BYTES_MAX ? unknown.size : NAME_BYTES_MAX),
			 (const char *)unknown.data);
		return NULL;
	}
	if (memory_bytes > 0)
		a.v[AMOUNT_MEMORY] = memory_bytes;
	if (!amounts_fit(&nothing, &a, &c->capacity)) {
		for (size_t i = 0; i < AMOUNTS; i++)
			if (a.v[i] > c->capacity.v[i])
				snprintf(why, why_size, "the shape needs %llu %s, this worker has %llu",
					 (unsigned long long)a.v[i],
					 i < AMOUNT_NAMED ? units[i] : "of a named resource",
					 (unsigned long long)c->capacity.v[i]);
		return NULL;
	}
	DL_FOREACH (c->classes, k)
		if (memcmp(&k->amounts, &a, sizeof(a)) == 0)
			return k;
	return class_create(c, &a);
}

void worker_classes_drop_unused(struct worker_core *c)
{
	struct shape_class *k, *tmp;

	DL_FOREACH_SAFE(c->classes, k, tmp)
	{
		if (k->slots_open > 0 || k->line.count > 0)
			continue;
		DL_DELETE(c->classes, k);
		worker_line_fini(&k->line);
		free(k);
	}
}

/* What the dispatcher may count on: all, but for what runs on without being in its sums. */
void worker_credit_fill(struct worker_core *c, struct resources *ret)
{
	struct amounts credit = c->capacity;

	for (uint32_t id = 0; c->strays > 0 && id < c->slot_capacity; id++) {
		const struct slot *s = c->slots[id];
		bool unknown = false;

		for (int i = 0; s != NULL && s->open && i < SLOT_CELLS; i++)
			unknown |=
			    s->cells[i] != NULL && (s->cells[i]->lease->killed || s->cells[i]->lease->finish);
		if (unknown)
			amounts_subtract(&credit, s->class->amounts);
	}
	if (c->draining || worker_is_resting(c))
		memset(&credit, 0, sizeof(credit));
	amounts_write(&credit, &c->names, ret,
		      worker_effect_alloc(c, NAMED_RESOURCES_MAX * sizeof(struct named_amount)));
	if (c->config.capacity.memory_bytes == 0) /* not said, not bounded */
		ret->memory_bytes = 0;
	for (uint32_t i = 0; i < ret->named.count; i++)
		ret->named.items[i].name = worker_effect_bytes(c, ret->named.items[i].name);
}
