/* shard: how the first phase is cut. Which keys it has is said by the plan kinds (jobs/plan_kind.h); this
 * file reads them. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/url.h"
#include "jobs/definition_read.h"
#include "jobs/json.h"
#include "jobs/plan.h"

#define KEYS_MAX 16 /* of all kinds */

/* ---- a URL ---- */

/* What is known of a URL before the event: its scheme, unless the template begins with a value. */
static bool read_url(struct definition_reader *r, const struct node *n, struct bytes *ret)
{
	struct bytes text;

	if (!read_template(r, n, TEMPLATE_EVENT, false, &text))
		return false;
	if (text.size > URL_BYTES_MAX || (url_scheme(text) != URL_S3 && url_scheme(text) != URL_FILE &&
					  strncmp((const char *)text.data, "{{", 2) != 0))
		return read_refuse(r, n, NULL,
				   "s3://bucket/key, file:///path or a placeholder such as " EVENT_OBJECT);
	*ret = text;
	return true;
}

/* ---- a list of items ---- */

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

static bool read_items(struct definition_reader *r, const struct node *n, struct shard_section *s)
{
	static const struct definition_key keys[] = {
	    {"lines", false, read_lines},
	    {"json-lines", false, read_json_lines},
	};
	bool fine = true;

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

/* ---- a text, or a map of texts, which the kind parses ---- */

static bool is_text(const struct node *n)
{
	return n->kind == NODE_SCALAR && (n->text.size > 0 || n->quoted);
}

static bool read_member(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	return is_text(n) || read_refuse(r, n, NULL, "a text");
}

static bool read_members(struct definition_reader *r, const struct node *n, const struct shard_key *key,
			 struct bytes texts[SHARD_MEMBERS_MAX])
{
	struct definition_key members[SHARD_MEMBERS_MAX];
	size_t count = 0;
	char what[40];

	for (; count < SHARD_MEMBERS_MAX && key->members[count] != NULL; count++)
		members[count] = (struct definition_key){key->members[count], true, read_member};
	snprintf(what, sizeof what, "`%s`", key->name);
	if (!read_map(r, n, what, members, count, NULL))
		return false;
	for (size_t i = 0; i < count; i++)
		texts[i] = node_get(n, members[i].name)->text;
	return true;
}

static bool read_parsed(struct definition_reader *r, const struct node *n, const struct shard_key *key,
			struct shard_section *s)
{
	struct bytes texts[SHARD_MEMBERS_MAX];
	struct error e = {0};

	if (key->members[0] != NULL) {
		if (!read_members(r, n, key, texts))
			return false;
	} else if (is_text(n)) {
		texts[0] = n->text;
	} else {
		return read_refuse(r, n, key->help, key->expected);
	}
	if (key->parse(texts, r->arena, s, &e) == 0)
		return true;
	return e.code == ERR_OK ? read_refuse(r, n, key->help, key->expected)
				: read_refuse_error(r, n->at, &e);
}

/* ---- names with their values ---- */

static bool add_axis(struct definition_reader *r, const struct node *n, const struct shard_axis *axis,
		     const struct shard_key *key, struct shard_section *s)
{
	struct error e = {0};

	if (key->add(axis, r->arena, s, &e) == 0)
		return true;
	return e.code == ERR_OK ? read_refuse(r, n, key->help, key->expected)
				: read_refuse_error(r, n->at, &e);
}

static bool read_axis(struct definition_reader *r, const struct node *n, const struct shard_key *key,
		      struct shard_section *s)
{
	struct shard_axis axis = {.name = n->key};
	struct bytes *values;

	if (is_text(n)) {
		axis.text = n->text;
		return add_axis(r, n, &axis, key, s);
	}
	if (n->kind != NODE_LIST || n->child_count == 0)
		return read_refuse(r, n, key->help, key->expected);
	values = read_alloc(r, n->child_count, sizeof *values);
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		if (!is_text(child))
			return read_refuse(r, child, NULL, "a text");
		values[axis.value_count++] = child->text;
	}
	axis.values = values;
	return add_axis(r, n, &axis, key, s);
}

/* NAME=TEXT */
static bool read_named(struct definition_reader *r, const struct node *n, const struct shard_key *key,
		       struct shard_section *s)
{
	const uint8_t *equals = is_text(n) ? memchr(n->text.data, '=', n->text.size) : NULL;
	struct shard_axis axis;

	if (equals == NULL)
		return read_refuse(r, n, key->help, "NAME=VALUES");
	axis = (struct shard_axis){.name = BYTES(n->text.data, (size_t)(equals - n->text.data))};
	axis.text = BYTES(equals + 1, n->text.size - axis.name.size - 1);
	return add_axis(r, n, &axis, key, s);
}

static bool read_axes(struct definition_reader *r, const struct node *n, const struct shard_key *key,
		      struct shard_section *s)
{
	bool fine = true;

	if ((n->kind != NODE_MAP && n->kind != NODE_LIST) || n->child_count == 0)
		return read_refuse(r, n, key->help, key->expected);
	for (const struct node *child = n->children; child != NULL; child = child->next)
		fine = (n->kind == NODE_MAP ? read_axis(r, child, key, s) : read_named(r, child, key, s)) &&
		       fine;
	return fine;
}

/* ---- any key ---- */

/* The kind whose row has a key of that name. */
static const struct shard_key *key_of(struct bytes name, const struct plan_row **ret_row)
{
	for (size_t i = 0; (*ret_row = plan_row_at(i)) != NULL; i++)
		for (const struct shard_key *key = (*ret_row)->keys; key->name != NULL; key++)
			if (bytes_equal(bytes_of(key->name), name))
				return key;
	return NULL;
}

static bool read_key(struct definition_reader *r, const struct node *n, void *target)
{
	struct shard_section *s = target;
	const struct plan_row *row;
	const struct shard_key *key = key_of(n->key, &row);

	CHECK(key != NULL);
	if (key == row->keys) {
		s->kind = row->kind;
		s->planner = row->planner;
		if (row->defaults != NULL)
			row->defaults(s);
	}
	switch (key->form) {
	case SHARD_TEXT:
		return read_parsed(r, n, key, s);
	case SHARD_AXES:
		return read_axes(r, n, key, s);
	case SHARD_SIZE:
		return read_size(r, n, &s->step_bytes);
	case SHARD_ALIGN:
		return read_kind(r, n, align_kind_of, align_kind_names(), &s->align);
	case SHARD_URL:
		return read_url(r, n, &s->of);
	case SHARD_ITEMS:
		return read_items(r, n, s);
	}
	return false;
}

/* ---- the section ---- */

/* The n-th of the texts, of `count` that are joined by commas and "and". */
static void join(char *buf, size_t size, size_t n, size_t count, const char *text)
{
	size_t used = strlen(buf);

	snprintf(buf + used, size - used, "%s%s", n == 0 ? "" : n + 1 == count ? " and " : ", ", text);
}

/* One key that chooses a kind. */
static bool check_kind(struct definition_reader *r, const struct node *n)
{
	const struct plan_row *row;
	size_t count = 0, known = 0, told = 0;
	char names[200] = "";

	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++)
		if (row->keys[0].name != NULL) {
			count += node_get(n, row->keys[0].name) != NULL;
			known++;
		}
	if (count == 1)
		return true;
	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++)
		if (row->keys[0].name != NULL)
			join(names, sizeof names, told++, known, row->keys[0].name);
	(void)problems_add(r->problems, n->at, ERR_INVALID, NULL, "`shard` needs one of %s, found %zu", names,
			   count);
	return false;
}

/* No key of a kind that was not chosen. */
static bool check_keys(struct definition_reader *r, const struct node *n, const struct plan_row *row)
{
	const struct node *wrong = NULL;
	size_t known = 0;
	char names[200] = "";

	if (row->keys[0].name == NULL || node_get(n, row->keys[0].name) != NULL)
		return true;
	for (size_t i = 1; row->keys[i].name != NULL; i++, known++)
		if (wrong == NULL)
			wrong = node_get(n, row->keys[i].name);
	if (wrong == NULL)
		return true;
	for (size_t i = 0; i < known; i++)
		join(names, sizeof names, i, known, row->keys[i + 1].name);
	(void)problems_add(r->problems, wrong->key_at, ERR_INVALID, NULL, "%s %s with %s", names,
			   known == 1 ? "goes" : "go", row->keys[0].name);
	return false;
}

/* First the keys that choose a kind, which set what the others say more of. */
static size_t list_keys(struct definition_key keys[KEYS_MAX])
{
	const struct plan_row *row;
	size_t count = 0;

	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++)
		if (row->keys[0].name != NULL)
			keys[count++] = (struct definition_key){row->keys[0].name, false, read_key};
	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++)
		for (size_t k = 1; row->keys[0].name != NULL && row->keys[k].name != NULL; k++) {
			CHECK(count < KEYS_MAX);
			keys[count++] = (struct definition_key){row->keys[k].name, false, read_key};
		}
	return count;
}

bool read_shard(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition_key keys[KEYS_MAX];
	size_t count = list_keys(keys);
	const struct plan_row *row;

	if (!read_map(r, n, "`shard`", keys, count, target) || !check_kind(r, n))
		return false;
	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++)
		if (!check_keys(r, n, row))
			return false;
	return true;
}
