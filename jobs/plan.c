#include "jobs/plan.h"

#include <string.h>

#define WORDS_BYTES 60 /* of numbers; more are shortened */

int plan_validate(const struct plan *p, struct error *reterr)
{
	const struct plan_row *row = plan_row(p->kind);

	if (row->kind == 0)
		return error_set(reterr, ERR_INVALID, "expected plan %s", plan_kind_names());
	return row->validate != NULL ? row->validate(p, reterr) : 0;
}

int plan_size(struct plan *p, struct error *reterr)
{
	const struct plan_row *row = plan_row(p->kind);

	if (row->size == NULL)
		return error_set(reterr, ERR_INVALID, "a plan by %s cuts no object", plan_kind_name(p->kind));
	return row->size(p, reterr);
}

bool plan_gathers(const struct plan *p)
{
	return plan_row(p->kind)->input == PLAN_INPUT_OUTPUTS;
}

bool plan_may_be_first(const struct plan *p)
{
	return plan_row(p->kind)->keys[0].name != NULL;
}

/* ---- what people call shards ---- */

int64_t plan_number(const struct plan *p, uint32_t shard)
{
	const struct plan_row *row = plan_row(p->kind);

	return row->number != NULL ? row->number(p, shard) : shard;
}

bool plan_find(const struct plan *p, int64_t number, uint32_t *ret)
{
	const struct plan_row *row = plan_row(p->kind);

	if (row->find != NULL)
		return row->find(p, number, ret);
	if (number < 0 || number >= (int64_t)p->shard_count)
		return false;
	*ret = (uint32_t)number;
	return true;
}

static void add_run(struct range shards, struct buf *out)
{
	buf_printf(out, "%u", shards.first);
	if (shards.count > 1)
		buf_printf(out, "-%u", (uint32_t)(range_end(shards) - 1));
}

void plan_numbers(const struct plan *p, struct range shards, struct buf *out)
{
	const struct plan_row *row = plan_row(p->kind);

	if (row->numbers != NULL)
		row->numbers(p, shards, out);
	else
		add_run(shards, out);
}

bool plan_is_numbered(const struct plan *p)
{
	const struct range all = {0, p->shard_count};
	struct buf own = {0}, plain = {0};
	bool same = true;

	if (plan_row(p->kind)->numbers != NULL && p->shard_count > 0) {
		plan_numbers(p, all, &own);
		add_run(all, &plain);
		same = bytes_equal(buf_bytes(&own), buf_bytes(&plain));
	}
	buf_fini(&own);
	buf_fini(&plain);
	return !same;
}

void plan_numbers_words(const struct plan *p, struct range shards, struct buf *out)
{
	int64_t first = plan_number(p, shards.first),
		last = plan_number(p, (uint32_t)(range_end(shards) - 1));
	struct buf all = {0};

	plan_numbers(p, shards, &all);
	if (shards.count == 1)
		buf_printf(out, "%lld", (long long)first);
	else if (last - first == (int64_t)shards.count - 1 && memchr(all.data, ',', all.size) == NULL)
		buf_printf(out, "%lld to %lld", (long long)first, (long long)last);
	else if (all.size <= WORDS_BYTES)
		buf_append_bytes(out, buf_bytes(&all));
	else
		buf_printf(out, "%lld … %lld", (long long)first, (long long)last);
	buf_fini(&all);
}

void plan_number_preview(const struct plan_shard *s, struct plan_facts *ret)
{
	fact_number(ret, "value", plan_row(s->plan->kind)->number(s->plan, s->shard));
}

void plan_number_expand(const struct plan_shard *s, struct plan_facts *ret)
{
	fact_number(ret, "shard.value", plan_row(s->plan->kind)->number(s->plan, s->shard));
}

void plan_number_environment(const struct plan_shard *s, struct plan_facts *ret)
{
	fact_number(ret, "SHARDMILL_VALUE", plan_row(s->plan->kind)->number(s->plan, s->shard));
}
