#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BLOCK_BYTES ((size_t)16384)
#define ALIGN ((size_t)16)

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	size_t pad; /* keeps data[] aligned to 16 */
	uint8_t data[];
};

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
	a->used_bytes = 0;
}

void arena_reset(struct arena *a)
{
	if (a->head == NULL)
		return;
	while (a->head->next != NULL) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	a->head->used = 0;
	a->used_bytes = 0;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->head;
	void *ptr;

	if (size > SIZE_MAX - ALIGN - sizeof *b)
		return NULL;
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (a->max_bytes != 0 && (size > a->max_bytes || a->used_bytes > a->max_bytes - size))
		return NULL;
	if (b == NULL || b->size - b->used < size) {
		size_t room = a->block_bytes != 0 ? a->block_bytes : BLOCK_BYTES;

		if (room < size)
			room = size;
		b = check_realloc(NULL, 1, sizeof *b + room);
		*b = (struct arena_block){.next = a->head, .size = room};
		a->head = b;
	}
	ptr = b->data + b->used;
	memset(ptr, 0, size);
	b->used += size;
	a->used_bytes += size;
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
