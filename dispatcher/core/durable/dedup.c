#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/dedup.h"

#include <string.h>

const struct dedup_item *dedup_item_at(const struct dedup_bucket *b, uint32_t i)
{
	return &b->chunks[i / DEDUP_CHUNK][i % DEDUP_CHUNK];
}

/* The slot of a key, or the free one where it would go. Keys are hashes: their low half is the place. */
static uint32_t slot_of(const struct dedup_bucket *b, uint64_t hi, uint64_t lo)
{
	uint32_t mask = b->slot_count - 1;
	uint32_t at = (uint32_t)lo & mask;

	while (b->slots[at] != 0) {
		const struct dedup_item *item = dedup_item_at(b, b->slots[at] - 1);

		if (item->hi == hi && item->lo == lo)
			break;
		at = (at + 1) & mask;
	}
	return at;
}

static const struct dedup_item *bucket_get(const struct dedup_bucket *b, uint64_t hi, uint64_t lo)
{
	uint32_t at;

	if (b->slot_count == 0)
		return NULL;
	at = slot_of(b, hi, lo);
	return b->slots[at] == 0 ? NULL : dedup_item_at(b, b->slots[at] - 1);
}

const struct dedup_item *dedup_find(const struct dedup *t, uint64_t hi, uint64_t lo)
{
	for (uint32_t i = t->bucket_count; i > 0; i--) {
		const struct dedup_item *item = bucket_get(t->buckets[i - 1], hi, lo);

		if (item != NULL)
			return item;
	}
	return NULL;
}

/* The place of the first bucket that did not begin before. */
static uint32_t bucket_place(const struct dedup *t, usec_t start_us)
{
	uint32_t at = t->bucket_count;

	while (at > 0 && t->buckets[at - 1]->start_wall_us >= start_us)
		at--;
	return at;
}

struct dedup_bucket *dedup_bucket_find(const struct dedup *t, usec_t start_us)
{
	uint32_t at = bucket_place(t, start_us);

	return at < t->bucket_count && t->buckets[at]->start_wall_us == start_us ? t->buckets[at] : NULL;
}

struct dedup_bucket *dedup_bucket_from(const struct dedup *t, usec_t start_us)
{
	uint32_t at = bucket_place(t, start_us);

	return at < t->bucket_count ? t->buckets[at] : NULL;
}

static struct dedup_bucket *bucket_intern(struct dedup *t, usec_t start_us, uint64_t lsn)
{
	struct dedup_bucket *b = dedup_bucket_find(t, start_us);
	uint32_t at = bucket_place(t, start_us);

	if (b != NULL)
		return b;
	b = check_calloc(1, sizeof *b);
	b->start_wall_us = start_us;
	b->lsn = lsn;
	t->buckets = check_realloc(t->buckets, t->bucket_count + 1, sizeof(struct dedup_bucket *));
	memmove(&t->buckets[at + 1], &t->buckets[at], (t->bucket_count - at) * sizeof(struct dedup_bucket *));
	t->buckets[at] = b;
	t->bucket_count++;
	return b;
}

static void grow_slots(struct dedup_bucket *b)
{
	if (b->slot_count > 0 && (uint64_t)b->count * 4 < (uint64_t)b->slot_count * 3)
		return;
	free(b->slots);
	b->slot_count = b->slot_count == 0 ? 64 : 2 * b->slot_count;
	b->slots = check_calloc(b->slot_count, sizeof(uint32_t));
	for (uint32_t i = 0; i < b->count; i++) {
		const struct dedup_item *item = dedup_item_at(b, i);

		b->slots[slot_of(b, item->hi, item->lo)] = i + 1;
	}
}

bool dedup_add(struct dedup *t, usec_t start_us, struct dedup_item item, uint64_t lsn)
{
	struct dedup_bucket *b;

	if (dedup_find(t, item.hi, item.lo) != NULL)
		return false;
	b = bucket_intern(t, start_us, lsn);
	grow_slots(b);
	if (b->count % DEDUP_CHUNK == 0) {
		b->chunks = check_realloc(b->chunks, b->count / DEDUP_CHUNK + 1, sizeof(struct dedup_item *));
		b->chunks[b->count / DEDUP_CHUNK] = check_calloc(DEDUP_CHUNK, sizeof(struct dedup_item));
	}
	b->chunks[b->count / DEDUP_CHUNK][b->count % DEDUP_CHUNK] = item;
	b->slots[slot_of(b, item.hi, item.lo)] = ++b->count;
	t->count++;
	return true;
}

static void bucket_free(struct dedup_bucket *b)
{
	for (uint32_t i = 0; i * DEDUP_CHUNK < b->count; i++)
		free(b->chunks[i]);
	free(b->chunks);
	free(b->slots);
	free(b);
}

void dedup_forget(struct dedup *t, usec_t before_us)
{
	uint32_t gone = bucket_place(t, before_us);

	for (uint32_t i = 0; i < gone; i++) {
		t->count -= t->buckets[i]->count;
		bucket_free(t->buckets[i]);
	}
	if (gone == 0)
		return;
	t->bucket_count -= gone;
	memmove(t->buckets, t->buckets + gone, t->bucket_count * sizeof(struct dedup_bucket *));
}

void dedup_seal(struct dedup *t, usec_t up_to_us, uint64_t lsn)
{
	dedup_forget(t, up_to_us + 1);
	if (up_to_us > t->sealed_wall_us)
		t->sealed_wall_us = up_to_us;
	t->sealed_lsn = lsn;
}

void dedup_fini(struct dedup *t)
{
	dedup_forget(t, USEC_NEVER);
	free(t->buckets);
	*t = (struct dedup){0};
}

static usec_t width_of(usec_t window_us)
{
	return window_us / DEDUP_BUCKETS > 0 ? window_us / DEDUP_BUCKETS : 1;
}

/* The newest key of a bucket may be one width younger than its start. */
usec_t dedup_window_begin(usec_t wall_us, usec_t window_us)
{
	usec_t width_us = width_of(window_us);

	return wall_us - wall_us % width_us - window_us - width_us;
}

void dedup_place(const struct dedup *t, usec_t wall_us, usec_t window_us, uint32_t max, uint32_t bucket_max,
		 usec_t *bucket_us, usec_t *forget_before_us, usec_t *shortened_us)
{
	usec_t width_us = width_of(window_us);
	const struct dedup_bucket *last = t->bucket_count > 0 ? t->buckets[t->bucket_count - 1] : NULL;
	usec_t start_us = wall_us - wall_us % width_us;
	uint32_t count = t->count, first = 0;

	if (bucket_max == 0)
		bucket_max = 2 * (max / DEDUP_BUCKETS) + 1;
	if (start_us <= t->sealed_wall_us) /* its key would go with what is sealed */
		start_us = t->sealed_wall_us + 1;
	if (last != NULL && start_us <= last->start_wall_us)
		start_us = last->start_wall_us;
	/* A full bucket is followed by one that begins a little later, so that the bound drops little. */
	if (last != NULL && start_us == last->start_wall_us && last->count >= bucket_max)
		start_us = wall_us > last->start_wall_us ? wall_us : last->start_wall_us + 1;
	*bucket_us = start_us;
	*shortened_us = 0;
	*forget_before_us = start_us - window_us - width_us;
	while (first < t->bucket_count && t->buckets[first]->start_wall_us < *forget_before_us)
		count -= t->buckets[first++]->count;
	while (first + 1 < t->bucket_count && count >= max) {
		count -= t->buckets[first++]->count;
		*forget_before_us = t->buckets[first]->start_wall_us;
		*shortened_us = wall_us > *forget_before_us ? wall_us - *forget_before_us : 1;
	}
}
