/* Resource vectors in the order of the worker's capacity, and the shapes that slots are cut for. */
#include "worker/core/state.h"

#include <stdio.h>

enum { CPU, MEMORY, GPUS, NAMED };

static const char *const amount_names[] = {"thousandths of a core", "bytes of memory",
					   "thousandths of a gpu"};

void worker_amounts_of_capacity(struct amounts *a, const struct resources *r)
{
	memset(a, 0, sizeof(*a));
	CHECK(r->named.count <= NAMED_RESOURCES_MAX);
	a->v[CPU] = r->cpu_milli;
	a->v[MEMORY] = r->memory_bytes ? r->memory_bytes : UINT64_MAX; /* not said: no bound */
	a->v[GPUS] = r->gpu_milli;
	for (uint32_t i = 0; i < r->named.count; i++)
		a->v[NAMED + i] = r->named.items[i].amount;
}

bool worker_amounts_fit(const struct amounts *need, const struct amounts *used,
			const struct amounts *capacity)
{
	for (size_t i = 0; i < AMOUNTS; i++)
		if (need->v[i] > capacity->v[i] - used->v[i])
			return false;
	return true;
}

void worker_amounts_add(struct amounts *a, const struct amounts *b)
{
	for (size_t i = 0; i < AMOUNTS; i++)
		a->v[i] += b->v[i];
}

void worker_amounts_subtract(struct amounts *a, const struct amounts *b)
{
	for (size_t i = 0; i < AMOUNTS; i++)
		a->v[i] -= b->v[i];
}

/* False and words when the capacity has no such name. */
static bool of_shape(const struct worker_core *c, const struct resources *shape, struct amounts *a, char *why,
		     size_t why_size)
{
	const struct named_amount_list *have = &c->config.capacity.named;

	memset(a, 0, sizeof(*a));
	a->v[CPU] = shape->cpu_milli;
	a->v[MEMORY] = shape->memory_bytes;
	a->v[GPUS] = shape->gpu_milli;
	for (uint32_t i = 0; i < shape->named.count; i++) {
		const struct named_amount *n = &shape->named.items[i];
		uint32_t at = 0;

		while (at < have->count && !bytes_equal(have->items[at].name, n->name))
			at++;
		if (at == have->count && n->amount > 0) {
			snprintf(why, why_size, "the shape needs %.*s, which this worker does not have",
				 (int)(n->name.size < NAME_BYTES_MAX ? n->name.size : NAME_BYTES_MAX),
				 (const char *)n->name.data);
			return false;
		}
		if (at < have->count)
			a->v[NAMED + at] += n->amount;
	}
	return true;
}

static struct shape_class *class_create(struct worker_core *c, const struct amounts *a)
{
	const struct named_amount_list *have = &c->config.capacity.named;
	struct shape_class *k = check_calloc(1, sizeof(*k));

	k->amounts = *a;
	k->shape.cpu_milli = a->v[CPU];
	k->shape.memory_bytes = a->v[MEMORY];
	k->shape.gpu_milli = (uint32_t)a->v[GPUS];
	k->shape.named.items = k->named;
	for (uint32_t i = 0; i < have->count; i++)
		if (a->v[NAMED + i] > 0)
			k->named[k->shape.named.count++] =
			    (struct named_amount){.name = have->items[i].name, .amount = a->v[NAMED + i]};
	DL_APPEND(c->classes, k);
	return k;
}

struct shape_class *worker_class_of(struct worker_core *c, const struct resources *shape,
				    uint64_t memory_bytes, char *why, size_t why_size)
{
	static const struct amounts nothing;
	struct shape_class *k;
	struct amounts a;

	if (!of_shape(c, shape, &a, why, why_size))
		return NULL;
	if (memory_bytes > 0)
		a.v[MEMORY] = memory_bytes;
	if (!worker_amounts_fit(&a, &nothing, &c->capacity)) {
		for (size_t i = 0; i < AMOUNTS; i++)
			if (a.v[i] > c->capacity.v[i])
				snprintf(why, why_size, "the shape needs %llu %s, this worker has %llu",
					 (unsigned long long)a.v[i],
					 i < NAMED ? amount_names[i] : "of a named resource",
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
	struct amounts credit = c->capacity, *a = &credit;
	const struct resources *all = &c->config.capacity;

	memset(ret, 0, sizeof(*ret));
	for (uint32_t id = 0; id < c->slot_capacity; id++) {
		const struct slot *s = c->slots[id];
		bool unknown = false;

		for (int i = 0; s != NULL && s->open && i < SLOT_CELLS; i++)
			unknown |=
			    s->cells[i] != NULL && (s->cells[i]->lease->killed || s->cells[i]->lease->finish);
		if (unknown)
			worker_amounts_subtract(a, &s->class->amounts);
	}
	if (c->draining || worker_is_resting(c))
		memset(a, 0, sizeof(*a));
	ret->cpu_milli = a->v[CPU];
	ret->memory_bytes = all->memory_bytes ? a->v[MEMORY] : 0;
	ret->gpu_milli = (uint32_t)a->v[GPUS];
	ret->named.count = all->named.count;
	ret->named.items = worker_effect_alloc(c, all->named.count * sizeof(struct named_amount));
	for (uint32_t i = 0; i < all->named.count; i++)
		ret->named.items[i] = (struct named_amount){
		    .name = worker_effect_bytes(c, all->named.items[i].name), .amount = a->v[NAMED + i]};
}
