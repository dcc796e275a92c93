#include "jobs/library/genomics/sample.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Eight letters at a time; clearing bit 5 makes a letter upper case. */
#define UPPER_MASK UINT64_C(0xdfdfdfdfdfdfdfdf)
#define WORD_FACTOR UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd */

static uint64_t hash_word(uint64_t hash, uint64_t word)
{
	hash = (hash ^ (le64toh(word) & UPPER_MASK)) * WORD_FACTOR;
	return hash ^ (hash >> 29);
}

/* The finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): every bit of the input moves
 * every bit of the output, which sampling by the leading bits relies on. */
static uint64_t hash_finish(uint64_t hash)
{
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
	return hash ^ (hash >> 31);
}

uint64_t sample_hash(const uint8_t *sequence, size_t length)
{
	size_t used = length > SAMPLE_WHOLE_MAX ? SAMPLE_PREFIX : length;
	uint64_t hash = used * WORD_FACTOR, word;
	size_t i = 0;

	for (; i + 8 <= used; i += 8) {
		memcpy(&word, sequence + i, 8);
		hash = hash_word(hash, word);
	}
	if (i < used) {
		word = 0;
		memcpy(&word, sequence + i, used - i);
		hash = hash_word(hash, word);
	}
	return hash_finish(hash);
}

void sample_clear(struct sample *s)
{
	memset(s, 0, sizeof *s);
}

/* The slot of the hash, or the free one where it belongs. */
static struct sample_entry *slot_of(struct sample *s, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & (SAMPLE_SLOTS - 1);

	while (s->slots[at].count != 0 && s->slots[at].hash != hash)
		at = (at + 1) & (SAMPLE_SLOTS - 1);
	return &s->slots[at];
}

void sample_raise(struct sample *s, uint32_t level)
{
	struct sample_entry kept[SAMPLE_MAX + 1];
	uint32_t kept_count = 0;

	CHECK(level <= SAMPLE_LEVEL_MAX);
	if (level <= s->level)
		return;
	for (uint32_t i = 0; i < SAMPLE_SLOTS; i++)
		if (s->slots[i].count != 0 && sample_keeps(level, s->slots[i].hash))
			kept[kept_count++] = s->slots[i];
	memset(s->slots, 0, sizeof s->slots);
	s->level = level;
	s->size = kept_count;
	for (uint32_t i = 0; i < kept_count; i++)
		*slot_of(s, kept[i].hash) = kept[i];
}

void sample_add(struct sample *s, uint64_t hash, uint64_t count)
{
	struct sample_entry *slot;

	if (!sample_keeps(s->level, hash))
		return;
	slot = slot_of(s, hash);
	if (slot->count == 0) {
		slot->hash = hash;
		s->size++;
	}
	slot->count += count;
	while (s->size > SAMPLE_MAX)
		sample_raise(s, s->level + 1);
}

void sample_merge(struct sample *into, const struct sample *from)
{
	sample_raise(into, from->level);
	for (uint32_t i = 0; i < SAMPLE_SLOTS; i++)
		if (from->slots[i].count != 0)
			sample_add(into, from->slots[i].hash, from->slots[i].count);
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = ((const struct sample_entry *)a)->hash;
	uint64_t y = ((const struct sample_entry *)b)->hash;

	return x < y ? -1 : x > y;
}

uint32_t sample_sorted(const struct sample *s, struct sample_entry *ret_entries)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < SAMPLE_SLOTS; i++)
		if (s->slots[i].count != 0)
			ret_entries[count++] = s->slots[i];
	CHECK(count == s->size && count <= SAMPLE_MAX);
	qsort(ret_entries, count, sizeof *ret_entries, compare_hashes);
	return count;
}
