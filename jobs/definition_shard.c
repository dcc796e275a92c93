/* shard: count | bytes | items — how the first phase is cut. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/definition_read.h"
#include "jobs/json.h"
#include "jobs/plan.h"

#define WHOLE_OBJECT "{{event.object}}"

void shard_defaults(struct shard_section *s)
{
	*s = (struct shard_section){.kind = PLAN_COUNT, .planner = PLANNER_PURE, .step = 1, .count = 1};
}

unsigned shard_scope(const struct shard_section *s)
{
	switch (s->kind) {
	case PLAN_BYTES:
		return TEMPLATE_BYTES;
	case PLAN_ITEMS:
		return TEMPLATE_VALUE | TEMPLATE_ITEM;
	default:
		return TEMPLATE_VALUE;
	}
}

/* Digits at *at; moves it behind them. */
static bool take_digits(struct bytes text, size_t *at, int64_t *ret)
{
	size_t first = *at;
	int64_t value = 0;

	while (*at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9') {
		if (value > (INT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (text.data[(*at)++] - '0');
	}
	*ret = value;
	return *at > first;
}

/* "N", "A-B", "A-B:STEP" as arrays are written in batch systems; B is included. */
static bool parse_count(struct bytes text, int64_t *first, int64_t *last, int64_t *step)
{
	size_t at = 0;

	*step = 1;
	if (!take_digits(text, &at, first))
		return false;
	if (at == text.size) {
		*last = *first - 1;
		*first = 0;
		return true;
	}
	if (text.data[at++] != '-' || !take_digits(text, &at, last))
		return false;
	if (at < text.size && (text.data[at++] != ':' || !take_digits(text, &at, step)))
		return false;
	return at == text.size;
}

static bool read_count(struct definition_reader *r, const struct node *n, void *target)
{
	struct shard_section *s = target;
	int64_t first, last, step;
	char help[80], found[100];

	s->kind = PLAN_COUNT;
	if (n->kind != NODE_SCALAR || !parse_count(n->text, &first, &last, &step))
		return read_refuse(r, n, "0-based numbers come from 1000, others from a range",
				   "a number of shards, or a range such as 1-1000 or 1-1000:2");
	node_found(n, found, sizeof found);
	if (last < first && first > 0) {
		snprintf(help, sizeof help, "write %lld-%lld", (long long)last, (long long)first);
		(void)problems_add(r->problems, n->at, ERR_INVALID, help,
				   "the first is behind the last in %s", found);
		return false;
	}
	if (last < first || step == 0)
		return read_refuse(r, n, NULL, last < first ? "at least one shard" : "a step of at least 1");
	if ((last - first) / step >= (int64_t)SHARDS_MAX) {
		(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL,
				   "%lld shards; at most %llu are allowed",
				   (long long)((last - first) / step) + 1, SHARDS_MAX);
		return false;
	}
	s->start = first;
	s->count = (uint32_t)((last - first) / step + 1);
	s->step = s->count == 1 ? 1 : step; /* one shard takes no step: one spelling */
	return true;
}

static bool read_bytes(struct definition_reader *r, const struct node *n, void *target)
{
	struct shard_section *s = target;

	s->kind = PLAN_BYTES;
	s->align = ALIGN_LINE;
	s->of = BYTES_LIT(WHOLE_OBJECT);
	return read_size(r, n, &s->step_bytes);
}

static bool read_align(struct definition_reader *r, const struct node *n, void *target)
{
	struct shard_section *s = target;

	return read_kind(r, n, align_kind_of, align_kind_names(), &s->align);
}

/* What is known of a URL before the event: its scheme, unless the template begins with a value. */
static bool read_url(struct definition_reader *r, const struct node *n, struct bytes *ret)
{
	struct bytes text;

	if (!read_template(r, n, TEMPLATE_EVENT, false, &text))
		return false;
	if (text.size > URL_BYTES_MAX || (strncmp((const char *)text.data, "s3://", 5) != 0 &&
					  strncmp((const char *)text.data, "file:///", 8) != 0 &&
					  strncmp((const char *)text.data, "{{", 2) != 0))
		return read_refuse(r, n, NULL,
				   "s3://bucket/key, file:///path or a placeholder such as " WHOLE_OBJECT);
	*ret = text;
	return true;
}

static bool read_of(struct definition_reader *r, const struct node *n, void *target)
{
	struct shard_section *s = target;

	return read_url(r, n, &s->of);
}

/* Where items are written: a file, or what a command prints. */
static bool read_items_of(struct definition_reader *r, const struct node *n, struct shard_section *s)
{
	if (n->kind == NODE_MAP)
		return read_plan_run(r, n, &r->plan);
	return read_url(r, n, &s->of);
}

static bool read_lines(struct definition_reader *r, const struct node *n, void *target)
{
	struct shard_section *s = target;

	s->planner = PLANNER_LINES;
	return read_items_of(r, n, s);
}

static bool read_json_lines(struct definition_reader *r, const struct node *n, void *target)
{
	struct shard_section *s = target;

	s->planner = PLANNER_JSON_LINES;
	return read_items_of(r, n, s);
}

/* Text as it is; a list or a map as JSON. */
static bool read_item(struct definition_reader *r, const struct node *n, struct bytes *ret)
{
	struct buf text = {0};
	json_t *json;

	if (n->kind == NODE_SCALAR) {
		if (!read_text(r, n, ret))
			return false;
	} else {
		json = node_to_json(n, r->problems);
		if (json == NULL)
			return false;
		json_write(&text, json);
		json_decref(json);
		*ret = arena_copy(r->arena, buf_bytes(&text));
		CHECK(ret->data != NULL);
		buf_fini(&text);
	}
	if (ret->size <= ITEM_BYTES_MAX)
		return true;
	(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL,
			   "an item of %zu bytes; at most %llu are taken", ret->size, ITEM_BYTES_MAX);
	return false;
}

static bool read_items(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {
	    {"lines", false, read_lines},
	    {"json-lines", false, read_json_lines},
	};
	struct shard_section *s = target;
	bool fine = true;

	s->kind = PLAN_ITEMS;
	if (n->kind == NODE_MAP && n->child_count == 1)
		return read_map(r, n, "`items`", keys, ARRAY_LENGTH(keys), s);
	if (n->kind != NODE_LIST || n->child_count == 0)
		return read_refuse(r, n, NULL,
				   "a list of items, {lines: …} or {json-lines: …} with a URL or a command");
	if (n->child_count > DEFINITION_ITEMS_MAX) {
		(void)problems_add(r->problems, n->at, ERR_LIMIT, "put them into a file: items: {lines: URL}",
				   "%u items; at most %d are taken", n->child_count, DEFINITION_ITEMS_MAX);
		return false;
	}
	s->items.items = read_alloc(r, n->child_count, sizeof *s->items.items);
	for (const struct node *child = n->children; child != NULL; child = child->next)
		fine = read_item(r, child, &s->items.items[s->items.count++].text) && fine;
	return fine;
}

bool read_shard(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {
	    {"count", false, read_count}, {"bytes", false, read_bytes}, {"items", false, read_items},
	    {"align", false, read_align}, {"of", false, read_of},
	};
	bool count = node_get(n, "count") != NULL, bytes = node_get(n, "bytes") != NULL;
	bool items = node_get(n, "items") != NULL;
	const struct node *align = node_get(n, "align"), *of = node_get(n, "of");

	if (!read_map(r, n, "`shard`", keys, ARRAY_LENGTH(keys), target))
		return false;
	if (count + bytes + items != 1) {
		(void)problems_add(r->problems, n->at, ERR_INVALID, NULL,
				   "`shard` needs one of count, bytes and items, found %d",
				   count + bytes + items);
		return false;
	}
	if (!bytes && (align != NULL || of != NULL)) {
		(void)problems_add(r->problems, align != NULL ? align->key_at : of->key_at, ERR_INVALID, NULL,
				   "align and of go with bytes");
		return false;
	}
	return true;
}
