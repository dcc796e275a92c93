#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BLOCK_BYTES_MIN ((size_t)256)
#define BLOCK_BYTES_MAX ((size_t)16384)
#define ALIGN ((size_t)16)

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	size_t pad; /* keeps data[] aligned to 16 */
	uint8_t data[];
};

static size_t block_cost(size_t size)
{
	return heap_cost(sizeof(struct arena_block) + size);
}

void arena_init(struct arena *a, size_t max_bytes)
{
	*a = (struct arena){.max_bytes = max_bytes};
}

void arena_fini(struct arena *a)
{
	while (a->head != NULL) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	a->held_bytes = 0;
}

void arena_reset(struct arena *a)
{
	struct arena_block *kept = NULL, *b, *next;

	for (b = a->head; b != NULL; b = next) {
		next = b->next;
		if (b->size > BLOCK_BYTES_MAX || (kept != NULL && kept->size >= b->size)) {
			free(b);
			continue;
		}
		free(kept);
		kept = b;
	}
	a->head = kept;
	a->held_bytes = 0;
	if (kept == NULL)
		return;
	kept->next = NULL;
	kept->used = 0;
	a->held_bytes = block_cost(kept->size);
}

/* As much again as there is, within the bounds of a block; what would fill a good part of that has a block to
 * itself, behind the first, whose rest stays in use. NULL: max_bytes would be passed. */
static struct arena_block *add_block(struct arena *a, size_t size)
{
	size_t room = a->held_bytes < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : a->held_bytes;
	struct arena_block *b, **place = &a->head;

	if (room > BLOCK_BYTES_MAX)
		room = BLOCK_BYTES_MAX;
	if (size > room / 4 || (a->max_bytes != 0 && a->held_bytes + block_cost(room) > a->max_bytes)) {
		room = size;
		place = a->head != NULL ? &a->head->next : &a->head;
	}
	if (a->max_bytes != 0 && (size > a->max_bytes || a->held_bytes + block_cost(room) > a->max_bytes))
		return NULL;
	b = check_realloc(NULL, 1, sizeof *b + room);
	*b = (struct arena_block){.next = *place, .size = room};
	*place = b;
	a->held_bytes += block_cost(room);
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->head;
	void *ptr;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (b == NULL || b->size - b->used < size)
		b = add_block(a, size);
	if (b == NULL)
		return NULL;
	ptr = b->data + b->used;
	memset(ptr, 0, size);
	b->used += size;
	return ptr;
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
	uint8_t *data = b.size < SIZE_MAX ? arena_alloc(a, b.size + 1) : NULL;

	if (data == NULL)
		return BYTES(NULL, 0);
	if (b.size > 0)
		memcpy(data, b.data, b.size);
	return BYTES(data, b.size);
}
