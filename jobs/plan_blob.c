#include "jobs/plan_blob.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"

static const uint8_t magic[4] = {'s', 'm', 'P', 'B'};

static void put_u32(uint8_t *at, uint32_t value)
{
	uint32_t le = htole32(value);

	memcpy(at, &le, sizeof(le));
}

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t le;

	memcpy(&le, at, sizeof(le));
	return le32toh(le);
}

bool plan_blob_add(struct plan_blob_writer *w, struct bytes item)
{
	uint8_t length[4];

	CHECK(item.size <= ITEM_BYTES_MAX);
	if (PLAN_BLOB_HEADER_BYTES + w->payload.size + sizeof(length) + item.size > PLAN_BLOB_BLOCK_BYTES)
		return false;
	put_u32(length, (uint32_t)item.size);
	buf_append(&w->payload, length, sizeof(length));
	buf_append_bytes(&w->payload, item);
	w->count++;
	return true;
}

void plan_blob_take(struct plan_blob_writer *w, struct buf *out)
{
	uint8_t head[PLAN_BLOB_HEADER_BYTES] = {0};
	size_t at = out->size;

	if (w->count == 0)
		return;
	memcpy(head, magic, sizeof(magic));
	put_u32(head + 8, w->first);
	put_u32(head + 12, w->count);
	put_u32(head + 16, (uint32_t)w->payload.size);
	buf_append(out, head, sizeof(head));
	buf_append_bytes(out, buf_bytes(&w->payload));
	put_u32(out->data + at + 4, crc32c(0, out->data + at + 8, out->size - at - 8));
	w->first += w->count;
	w->count = 0;
	buf_clear(&w->payload);
}

void plan_blob_writer_fini(struct plan_blob_writer *w)
{
	buf_fini(&w->payload);
}

int plan_blob_header(struct bytes head, struct plan_blob_block *ret, struct error *reterr)
{
	struct plan_blob_block b;

	if (head.size < PLAN_BLOB_HEADER_BYTES)
		return error_set(reterr, ERR_CORRUPT, "expected a block of items, found the end of the file");
	if (memcmp(head.data, magic, sizeof(magic)) != 0)
		return error_set(reterr, ERR_CORRUPT, "expected a block of items, found something else");
	b.items = (struct range){.first = get_u32(head.data + 8), .count = get_u32(head.data + 12)};
	b.payload_bytes = get_u32(head.data + 16);
	if (!range_is_valid(b.items, SHARDS_MAX) ||
	    b.payload_bytes > PLAN_BLOB_BLOCK_BYTES - PLAN_BLOB_HEADER_BYTES)
		return error_set(reterr, ERR_CORRUPT, "a block of items has a header that cannot be");
	*ret = b;
	return 0;
}

int plan_blob_check(struct bytes block, struct plan_blob_block *ret, struct error *reterr)
{
	struct plan_blob_block b;
	const uint8_t *at;
	uint32_t left, count = 0;
	int r = plan_blob_header(block, &b, reterr);

	if (r < 0)
		return r;
	if (block.size - PLAN_BLOB_HEADER_BYTES < b.payload_bytes)
		return error_set(reterr, ERR_CORRUPT, "a block of items is cut off");
	if (crc32c(0, block.data + 8, PLAN_BLOB_HEADER_BYTES - 8 + b.payload_bytes) !=
	    get_u32(block.data + 4))
		return error_set(reterr, ERR_CORRUPT, "a block of items is not as it was written");
	at = block.data + PLAN_BLOB_HEADER_BYTES;
	for (left = b.payload_bytes; left >= 4 && get_u32(at) <= left - 4; count++) {
		uint32_t step = 4 + get_u32(at);

		at += step;
		left -= step;
	}
	if (left != 0 || count != b.items.count)
		return error_set(reterr, ERR_CORRUPT, "a block of items has lengths that cannot be");
	*ret = b;
	return 0;
}

struct bytes plan_blob_item(struct bytes block, uint32_t item, struct plan_blob_place *place)
{
	struct plan_blob_block b;
	const uint8_t *payload = block.data + PLAN_BLOB_HEADER_BYTES;

	if (plan_blob_header(block, &b, NULL) < 0 || !range_contains(b.items, item))
		return (struct bytes){0};
	if (place->offset == 0 || place->item > item)
		*place = (struct plan_blob_place){.item = b.items.first};
	for (; place->item < item; place->item++)
		place->offset += 4 + get_u32(payload + place->offset);
	return BYTES(payload + place->offset + 4, get_u32(payload + place->offset));
}
