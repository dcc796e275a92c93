/* For programs that hold small sets only: a set stays a vector, however many runs it has. */
#include "base/check.h"
#include "jobs/shard_set_forms.h"

bool shard_bitmap_available(void)
{
	return false;
}

struct shard_bitmap *shard_bitmap_create(const struct range runs[], uint32_t run_count)
{
	(void)runs;
	(void)run_count;
	CHECK(false);
	return NULL;
}

struct shard_bitmap *shard_bitmap_copy(const struct shard_bitmap *b)
{
	(void)b;
	CHECK(false);
	return NULL;
}

void shard_bitmap_destroy(struct shard_bitmap *b)
{
	CHECK(b == NULL);
}

uint32_t shard_bitmap_add(struct shard_bitmap *b, struct range r)
{
	(void)b;
	(void)r;
	CHECK(false);
	return 0;
}

uint32_t shard_bitmap_remove(struct shard_bitmap *b, struct range r)
{
	(void)b;
	(void)r;
	CHECK(false);
	return 0;
}

bool shard_bitmap_contains(const struct shard_bitmap *b, uint32_t shard)
{
	(void)b;
	(void)shard;
	CHECK(false);
	return false;
}

uint32_t shard_bitmap_first(const struct shard_bitmap *b)
{
	(void)b;
	CHECK(false);
	return 0;
}

bool shard_bitmap_next(const struct shard_bitmap *b, uint64_t from, uint64_t limit, struct range *ret)
{
	(void)b;
	(void)from;
	(void)limit;
	(void)ret;
	CHECK(false);
	return false;
}

bool shard_bitmap_equal(const struct shard_bitmap *a, const struct shard_bitmap *b)
{
	(void)a;
	(void)b;
	CHECK(false);
	return false;
}

void shard_bitmap_check(const struct shard_bitmap *b)
{
	(void)b;
	CHECK(false);
}
