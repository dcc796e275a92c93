/* shard: {items: [a, b] | {lines: …} | {json-lines: …}}: shard n has the n-th text of a list. Short lists
 * stand in the plan, others in a blob that a planner writes (jobs/plan_blob.h). */
#include <string.h>

#include "base/limits.h"
#include "jobs/plan.h"
#include "jobs/plan_kind.h"

struct plan plan_of_list(struct bytes blob)
{
	return (struct plan){.kind = PLAN_ITEMS, .blob = blob};
}

static void cut(const struct shard_section *s, struct plan *ret)
{
	ret->items = s->items;
	ret->shard_count = s->items.count;
}

static int validate(const struct plan *p, struct error *reterr)
{
	if (p->blob.size == 0 && p->items.count != p->shard_count)
		return error_set(reterr, ERR_INVALID, "%u shards are named, but %u items", p->shard_count,
				 p->items.count);
	return 0;
}

static void sentence(const struct plan *p, bool at_least, struct buf *out)
{
	if (p->shard_count == 0)
		buf_printf(out, "no shards, as the list has no items");
	else if (p->shard_count == 1)
		buf_printf(out, "one shard, as the list has one item");
	else
		buf_printf(out, "%s%u shards, one for each item", at_least ? "at least " : "",
			   p->shard_count);
}

static void describe(const struct plan *p, struct plan_facts *ret)
{
	if (p->url.size > 0)
		fact_text(ret, "url", p->url);
}

static void preview(const struct plan_shard *s, struct plan_facts *ret)
{
	fact_text(ret, "item", s->item);
}

static void expand(const struct plan_shard *s, struct plan_facts *ret)
{
	fact_text(ret, "shard.value", s->item);
	fact_text(ret, "shard.item", s->item);
}

/* A value with a NUL byte cannot stand in an environment; it is still there as input. */
static void environment(const struct plan_shard *s, struct plan_facts *ret)
{
	if (s->item.size < ARG_BYTES_MAX - 32 &&
	    (s->item.size == 0 || memchr(s->item.data, '\0', s->item.size) == NULL))
		fact_text(ret, "SHARDMILL_VALUE", s->item);
}

const struct plan_row plan_row_items = {
    .kind = PLAN_ITEMS,
    .input = PLAN_INPUT_ITEM,
    .planner = PLANNER_PURE,
    .planned = true,
    .column = "ITEM",
    .keys = {{.name = "items", .form = SHARD_ITEMS}},
    .cut = cut,
    .validate = validate,
    .sentence = sentence,
    .describe = describe,
    .preview = preview,
    .names = {"shard.value", "shard.item"},
    .expand = expand,
    .environment = environment,
};
