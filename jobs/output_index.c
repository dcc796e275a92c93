#include "jobs/output_index.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "jobs/ids.h"

#define CHECKED_BYTES (OUTPUT_ENTRY_BYTES - 4)

static uint8_t *put(uint8_t *at, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
	return at + size;
}

static uint64_t get(const uint8_t **at, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)(*at)[i] << 8 * i;
	*at += size;
	return value;
}

void output_entry_encode(const struct output_entry *e, uint8_t ret[OUTPUT_ENTRY_BYTES])
{
	uint8_t *at = ret;

	at = put(at, e->token.epoch, 4);
	at = put(at, e->shard, 4);
	at = put(at, e->token.lease, 8);
	at = put(at, e->out_offset, 8);
	at = put(at, e->out_length, 8);
	at = put(at, e->err_offset, 8);
	at = put(at, e->err_length, 8);
	at = put(at, e->out_crc, 4);
	put(at, crc32c(0, ret, CHECKED_BYTES), 4);
}

static bool lies_within(uint64_t offset, uint64_t length, uint64_t size)
{
	return length == 0 || (length <= size && offset <= size - length);
}

bool output_entry_fits(const struct output_entry *e, uint64_t out_size, uint64_t err_size)
{
	return lies_within(e->out_offset, e->out_length, out_size) &&
	       lies_within(e->err_offset, e->err_length, err_size);
}

int output_entry_decode(const uint8_t in[OUTPUT_ENTRY_BYTES], struct output_entry *ret)
{
	const uint8_t *at = in;
	struct output_entry e;

	e.token.epoch = (uint32_t)get(&at, 4);
	e.shard = (uint32_t)get(&at, 4);
	e.token.lease = get(&at, 8);
	e.out_offset = get(&at, 8);
	e.out_length = get(&at, 8);
	e.err_offset = get(&at, 8);
	e.err_length = get(&at, 8);
	e.out_crc = (uint32_t)get(&at, 4);
	if (get(&at, 4) != crc32c(0, in, CHECKED_BYTES) || !output_entry_fits(&e, INT64_MAX, INT64_MAX))
		return ERR_CORRUPT;
	*ret = e;
	return 0;
}

void output_path(const struct uuid *worker, uint32_t segment, const char *kind, char *ret, size_t size)
{
	char id[UUID_TEXT_BYTES];

	uuid_text(worker, id);
	snprintf(ret, size, "%s/%08u.%s", id, segment, kind);
}

size_t output_index_size(struct bytes index)
{
	static const uint8_t zeros[OUTPUT_ENTRY_BYTES];
	size_t size = index.size - index.size % OUTPUT_ENTRY_BYTES;

	while (size > 0 && memcmp(index.data + size - OUTPUT_ENTRY_BYTES, zeros, sizeof zeros) == 0)
		size -= OUTPUT_ENTRY_BYTES;
	return size;
}

uint32_t output_index_next(struct bytes index, struct token token, struct range range)
{
	uint32_t next = (uint32_t)(range_end(range) - 1);

	for (size_t at = 0; at + OUTPUT_ENTRY_BYTES <= index.size; at += OUTPUT_ENTRY_BYTES) {
		struct output_entry e;

		if (output_entry_decode(index.data + at, &e) == 0 && e.token.epoch == token.epoch &&
		    e.token.lease == token.lease && e.shard >= range.first && e.shard < next)
			next = e.shard;
	}
	return next;
}

void output_index_collect(struct bytes index, struct token token, struct range range,
			  struct output_entry *ret, uint32_t *damaged_ret)
{
	uint32_t damaged = index.size % OUTPUT_ENTRY_BYTES != 0;

	for (size_t at = 0; at + OUTPUT_ENTRY_BYTES <= index.size; at += OUTPUT_ENTRY_BYTES) {
		struct output_entry e;

		if (output_entry_decode(index.data + at, &e) < 0)
			damaged++;
		else if (e.token.epoch == token.epoch && e.token.lease == token.lease &&
			 range_contains(range, e.shard))
			ret[e.shard - range.first] = e;
	}
	*damaged_ret = damaged;
}
