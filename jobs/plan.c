#include "jobs/plan.h"

#include "base/check.h"
#include "base/limits.h"
#include "jobs/kinds.h"

int plan_bytes_count(uint64_t size_bytes, uint64_t step_bytes, uint32_t *count_ret, struct error *reterr)
{
	uint64_t count;

	if (step_bytes == 0)
		return error_set(reterr, ERR_INVALID, "a shard of 0 bytes cuts nothing");
	count = size_bytes / step_bytes + (size_bytes % step_bytes != 0);
	if (count > SHARDS_MAX) {
		error_set(reterr, ERR_LIMIT,
			  "%llu bytes in shards of %llu make %llu shards; at most %llu are allowed",
			  (unsigned long long)size_bytes, (unsigned long long)step_bytes,
			  (unsigned long long)count, SHARDS_MAX);
		error_help(reterr, "use shards of at least %llu bytes",
			   (unsigned long long)(size_bytes / SHARDS_MAX + 1));
		return ERR_LIMIT;
	}
	*count_ret = count == 0 ? 1 : (uint32_t)count;
	return 0;
}

int64_t plan_count_value(const struct plan *p, uint32_t shard)
{
	return p->start + p->step * (int64_t)shard;
}

void plan_bytes_range(const struct plan *p, uint32_t shard, uint64_t *first_ret, uint64_t *end_ret)
{
	CHECK(shard < p->shard_count);
	*first_ret = shard * p->step_bytes;
	*end_ret = shard + 1 == p->shard_count ? p->size_bytes : *first_ret + p->step_bytes;
}

struct range plan_gather_inputs(const struct plan *p, uint32_t node)
{
	uint32_t fanin = p->fanin == 0 ? p->inputs : p->fanin;
	uint64_t first = (uint64_t)node * fanin;

	CHECK(node < p->shard_count);
	if (first >= p->inputs)
		return (struct range){p->inputs, 0};
	return (struct range){(uint32_t)first,
			      p->inputs - (uint32_t)first < fanin ? p->inputs - (uint32_t)first : fanin};
}

static int validate_count(const struct plan *p, struct error *reterr)
{
	int64_t span, last;

	if (p->step == 0 && p->shard_count > 1)
		return error_set(reterr, ERR_INVALID,
				 "a count plan with step 0 gives every shard the same value");
	if (__builtin_mul_overflow(p->step, (int64_t)p->shard_count, &span) ||
	    __builtin_add_overflow(p->start, span, &last))
		return error_set(reterr, ERR_LIMIT, "values from %lld in steps of %lld pass 64 bits",
				 (long long)p->start, (long long)p->step);
	return 0;
}

static int validate_bytes(const struct plan *p, struct error *reterr)
{
	uint32_t count;
	int rc = plan_bytes_count(p->size_bytes, p->step_bytes, &count, reterr);

	if (rc < 0)
		return rc;
	if (count != p->shard_count)
		return error_set(reterr, ERR_INVALID, "%u shards are named, but size and step make %u",
				 p->shard_count, count);
	if (p->align < ALIGN_NONE || p->align > ALIGN_FASTQ)
		return error_set(reterr, ERR_INVALID, "expected align %s", align_kind_names());
	if (p->url.size == 0 || p->url.size > URL_BYTES_MAX)
		return error_set(reterr, ERR_INVALID, "expected a url of 1 to %d bytes, found %zu",
				 URL_BYTES_MAX, p->url.size);
	return 0;
}

int plan_validate(const struct plan *p, struct error *reterr)
{
	switch (p->kind) {
	case PLAN_COUNT:
		return validate_count(p, reterr);
	case PLAN_BYTES:
		return validate_bytes(p, reterr);
	case PLAN_ITEMS:
		if (p->blob.size == 0 && p->items.count != p->shard_count)
			return error_set(reterr, ERR_INVALID, "%u shards are named, but %u items",
					 p->shard_count, p->items.count);
		return 0;
	case PLAN_GATHER:
		return 0;
	default:
		return error_set(reterr, ERR_INVALID, "expected plan %s", plan_kind_names());
	}
}
