/* A plan blob gives back each item as it was frozen, and never a damaged one. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "jobs/plan_blob.h"

#define ITEMS 3000u

/* Items of all sizes up to the largest, so that blocks end in all ways. */
static struct bytes item_of(uint32_t number, uint8_t room[ITEM_BYTES_MAX])
{
	struct rng rng;
	size_t size;

	rng_seed(&rng, number + 1);
	size = number % 97 == 0 ? ITEM_BYTES_MAX - number % 3 : (size_t)rng_below(&rng, 300);
	for (size_t i = 0; i < size; i++)
		room[i] = (uint8_t)rng_u64(&rng);
	return BYTES(room, size);
}

static void freeze(struct buf *out)
{
	static uint8_t room[ITEM_BYTES_MAX];
	struct plan_blob_writer w = {0};

	for (uint32_t i = 0; i < ITEMS; i++) {
		struct bytes item = item_of(i, room);

		if (!plan_blob_add(&w, item)) {
			plan_blob_take(&w, out);
			buf_append_zeros(out, PLAN_BLOB_BLOCK_BYTES - out->size % PLAN_BLOB_BLOCK_BYTES);
			cr_assert(plan_blob_add(&w, item), "an empty block takes any item");
		}
	}
	plan_blob_take(&w, out);
	plan_blob_writer_fini(&w);
}

static struct bytes block_at(const struct buf *blob, size_t at)
{
	size_t left = blob->size - at;

	return BYTES(blob->data + at, left < PLAN_BLOB_BLOCK_BYTES ? left : PLAN_BLOB_BLOCK_BYTES);
}

Test(plan_blob, gives_back_every_item)
{
	static uint8_t room[ITEM_BYTES_MAX];
	struct buf blob = {0};
	uint32_t next = 0;

	freeze(&blob);
	for (size_t at = 0; at < blob.size; at += PLAN_BLOB_BLOCK_BYTES) {
		struct bytes block = block_at(&blob, at);
		struct plan_blob_block b;
		struct plan_blob_place forward = {0}, back = {0};
		struct error e = {0};

		cr_assert_eq(plan_blob_check(block, &b, &e), 0, "%s", e.what);
		cr_assert_eq(b.items.first, next, "blocks follow one another");
		for (uint32_t i = 0; i < b.items.count; i++) {
			uint32_t last = next + b.items.count - 1 - i;

			cr_assert(
			    bytes_equal(plan_blob_item(block, next + i, &forward), item_of(next + i, room)));
			cr_assert(bytes_equal(plan_blob_item(block, last, &back), item_of(last, room)));
		}
		cr_assert_eq(plan_blob_item(block, next + b.items.count, &forward).size, 0);
		next += b.items.count;
	}
	cr_assert_eq(next, ITEMS);
	buf_fini(&blob);
}

Test(plan_blob, refuses_any_changed_byte)
{
	struct plan_blob_writer w = {.first = 7};
	struct buf block = {0};
	struct plan_blob_block b;

	for (int i = 0; i < 20; i++)
		cr_assert(plan_blob_add(&w, BYTES_LIT("sample_R1.fastq.gz")));
	plan_blob_take(&w, &block);
	cr_assert_eq(plan_blob_check(buf_bytes(&block), &b, NULL), 0);
	for (size_t i = 0; i < block.size * 8; i++) {
		block.data[i / 8] ^= (uint8_t)(1u << i % 8);
		cr_assert_eq(plan_blob_check(buf_bytes(&block), &b, NULL), ERR_CORRUPT, "bit %zu", i);
		block.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t size = 0; size < block.size; size++)
		cr_assert_eq(plan_blob_check(BYTES(block.data, size), &b, NULL), ERR_CORRUPT, "cut at %zu",
			     size);
	buf_fini(&block);
	plan_blob_writer_fini(&w);
}

Test(plan_blob, an_empty_writer_writes_nothing)
{
	struct plan_blob_writer w = {0};
	struct buf out = {0};

	plan_blob_take(&w, &out);
	cr_assert_eq(out.size, 0);
	plan_blob_writer_fini(&w);
}
