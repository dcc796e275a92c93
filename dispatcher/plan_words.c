#include "dispatcher/plan_words.h"

#include "base/units.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

static void add_size(struct buf *out, uint64_t bytes)
{
	char text[UNITS_TEXT_MAX];

	buf_printf(out, "%s", units_show_size(bytes, text, sizeof(text)));
}

static void count_sentence(const struct plan *p, struct buf *out)
{
	if (p->shard_count == 1) {
		buf_printf(out, "one shard, as nothing says how to cut it");
		return;
	}
	buf_printf(out, "%u shards, with the numbers %lld to %lld", p->shard_count, (long long)p->start,
		   (long long)plan_count_value(p, p->shard_count - 1));
	if (p->step > 1)
		buf_printf(out, " in steps of %lld", (long long)p->step);
}

static void bytes_sentence(const struct plan *p, struct buf *out)
{
	uint64_t first, end;

	if (p->size_bytes == 0) {
		buf_printf(out, "one shard, as the object is empty");
		return;
	}
	if (p->shard_count == 1) {
		buf_printf(out, "one shard, as the object has ");
		add_size(out, p->size_bytes);
		buf_printf(out, " and a shard takes ");
		add_size(out, p->step_bytes);
		return;
	}
	plan_bytes_range(p, p->shard_count - 1, &first, &end);
	buf_printf(out, "%u shards of ", p->shard_count);
	add_size(out, p->step_bytes);
	if (end - first != p->step_bytes) {
		buf_printf(out, ", the last one of ");
		add_size(out, end - first);
	}
	if (p->align == ALIGN_NONE)
		buf_printf(out, ", cut at exactly these bytes");
	else
		buf_printf(out, "; each begins at the first record (%s) that begins in its bytes",
			   align_kind_name(p->align));
}

void plan_sentence(const struct definition *d, const struct plan *plan, bool at_least, struct buf *out)
{
	bool listed = d->body.items_planner != 0;

	if (listed)
		buf_printf(out, "one shard makes the list of items; how many shards come of it is known "
				"when it has run");
	else if (plan->kind == PLAN_COUNT)
		count_sentence(plan, out);
	else if (plan->kind == PLAN_BYTES)
		bytes_sentence(plan, out);
	else if (plan->shard_count == 0)
		buf_printf(out, "no shards, as the list has no items");
	else if (plan->shard_count == 1)
		buf_printf(out, "one shard, as the list has one item");
	else
		buf_printf(out, "%s%u shards, one for each item", at_least ? "at least " : "",
			   plan->shard_count);
	if (d->body.phases.count > (listed ? 2u : 1u))
		buf_printf(out, "; what they write is gathered");
}
