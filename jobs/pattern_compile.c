#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/pattern_tree.h"

/* The fields of one rule, the newest first. Rules that part at an $or share what stands before it. */
struct link {
	const struct pattern_field *field;
	const struct link *before;
	uint32_t count; /* of fields, this one among them */
};

/* The ways through the pattern so far. */
struct ways {
	const struct link **items;
	uint32_t count;
};

static int compile_object(struct pattern_compiler *c, const struct node *n, struct ways *ways, bool in_or);

static void *alloc(struct pattern_compiler *c, size_t size)
{
	void *memory = arena_alloc(c->arena, size);

	CHECK(memory != NULL);
	return memory;
}

static struct ways copy_ways(struct pattern_compiler *c, const struct ways *a, const struct ways *b)
{
	struct ways both = {.count = a->count + b->count};

	both.items = alloc(c, both.count * sizeof(void *) + 1);
	if (a->count > 0)
		memcpy(both.items, a->items, a->count * sizeof(void *));
	if (b->count > 0)
		memcpy(both.items + a->count, b->items, b->count * sizeof(void *));
	return both;
}

static int compile_field(struct pattern_compiler *c, const struct node *n, struct ways *ways)
{
	struct pattern_field *f = alloc(c, sizeof *f);
	int rc;

	f->at = n->key_at;
	f->path = arena_copy(c->arena, c->path);
	CHECK(f->path.data != NULL);
	rc = pattern_compile_values(c, n, f);
	for (uint32_t i = 0; rc == 0 && i < ways->count; i++) {
		struct link *link = alloc(c, sizeof *link);

		*link = (struct link){f, ways->items[i],
				      1 + (ways->items[i] != NULL ? ways->items[i]->count : 0)};
		ways->items[i] = link;
		if (link->count > PATTERN_FIELDS_MAX)
			rc = problems_add(c->problems, n->key_at, ERR_LIMIT, NULL,
					  "a pattern of over %d fields", PATTERN_FIELDS_MAX);
	}
	return rc;
}

/* Each branch goes on with the ways so far. */
static int compile_or(struct pattern_compiler *c, const struct node *n, struct ways *ways)
{
	struct ways all = {NULL, 0}, none = {NULL, 0};
	char found[60];
	int first = 0;

	if (n->kind != NODE_LIST || n->child_count < 2)
		return problems_add(c->problems, n->at, ERR_INVALID, "write $or: [{…}, {…}]",
				    "%s: expected a list of two or more maps, found %s", c->shown,
				    n->kind == NODE_LIST ? "a shorter one"
							 : node_found(n, found, sizeof found));
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		struct ways branch = copy_ways(c, ways, &none);
		int rc;

		if (child->kind == NODE_MAP)
			rc = compile_object(c, child, &branch, true);
		else
			rc = problems_add(c->problems, child->at, ERR_INVALID, NULL,
					  "%s: expected a map in the list, found %s", c->shown,
					  node_found(child, found, sizeof found));
		if (rc == 0 && all.count + branch.count > PATTERN_RULES_MAX)
			rc = problems_add(
			    c->problems, n->key_at, ERR_LIMIT, "use several patterns below `on`",
			    "the $or of this pattern have over %d combinations", PATTERN_RULES_MAX);
		if (first == 0)
			first = rc;
		if (rc == ERR_LIMIT)
			return rc;
		all = copy_ways(c, &all, &branch);
	}
	*ways = all;
	return first;
}

static int compile_member(struct pattern_compiler *c, const struct node *n, struct ways *ways, bool in_or)
{
	char found[60], help[100];

	if (in_or && pattern_is_reserved(n->key))
		return problems_add(c->problems, n->key_at, ERR_INVALID,
				    "an operator stands in a list: [{prefix: text}]",
				    "%s: a field below $or may not have the name of an operator", c->shown);
	if (n->kind == NODE_MAP)
		return compile_object(c, n, ways, in_or);
	if (n->kind == NODE_LIST)
		return compile_field(c, n, ways);
	node_found(n, found, sizeof found);
	snprintf(help, sizeof help, "write [%s]", n->text.size > 0 ? found : "value");
	return problems_add(c->problems, n->at, ERR_INVALID, help,
			    "%s: expected a list of alternatives, found %s", c->shown, found);
}

/* The key joins the path. False: it is too long. */
static bool enter(struct pattern_compiler *c, struct bytes key)
{
	size_t before = strlen(c->shown), dot = c->keys > 0;
	char shown[60];

	if (c->path.size + dot + key.size > PATTERN_PATH_BYTES_MAX)
		return false;
	if (dot)
		c->joined[c->path.size++] = '.';
	memcpy(c->joined + c->path.size, key.data, key.size);
	c->path.size += key.size;
	c->keys++;
	text_quote(shown, sizeof shown, key);
	shown[strlen(shown) - 1] = '\0'; /* quoted for its escapes, shown without quotes */
	snprintf(c->shown + before, sizeof c->shown - before, "%s%s", before > 0 ? "." : "", shown + 1);
	return true;
}

static int compile_child(struct pattern_compiler *c, const struct node *n, struct ways *ways, bool in_or)
{
	size_t shown = strlen(c->shown), path = c->path.size;
	uint32_t keys = c->keys;
	int rc;

	if (bytes_equal(n->key, BYTES_LIT("$or"))) {
		snprintf(c->shown + shown, sizeof c->shown - shown, "%s$or", shown > 0 ? "." : "");
		rc = compile_or(c, n, ways);
	} else if (enter(c, n->key)) {
		rc = compile_member(c, n, ways, in_or);
	} else {
		rc = problems_add(c->problems, n->key_at, ERR_LIMIT, NULL, "a path of over %d bytes",
				  PATTERN_PATH_BYTES_MAX);
	}
	c->shown[shown] = '\0';
	c->path.size = path;
	c->keys = keys;
	return rc;
}

static int compile_object(struct pattern_compiler *c, const struct node *n, struct ways *ways, bool in_or)
{
	int first = 0;

	if (n->child_count == 0)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected at least one key, found an empty map", c->shown);
	if (c->depth == PATTERN_DEPTH_MAX)
		return problems_add(c->problems, n->at, ERR_LIMIT, NULL, "a pattern deeper than %d levels",
				    PATTERN_DEPTH_MAX);
	c->depth++;
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		int rc = compile_child(c, child, ways, in_or);

		if (first == 0)
			first = rc;
		if (rc == ERR_LIMIT)
			break;
	}
	c->depth--;
	return first;
}

static int compare_fields(const void *a, const void *b)
{
	const struct pattern_field *x = *(const struct pattern_field *const *)a;
	const struct pattern_field *y = *(const struct pattern_field *const *)b;
	size_t size = x->path.size < y->path.size ? x->path.size : y->path.size;
	int order = size == 0 ? 0 : memcmp(x->path.data, y->path.data, size);

	if (order == 0)
		order = (x->path.size > y->path.size) - (x->path.size < y->path.size);
	if (order == 0)
		order = (x->at.line > y->at.line) - (x->at.line < y->at.line);
	return order != 0 ? order : (x->at.column > y->at.column) - (x->at.column < y->at.column);
}

static int make_rule(struct pattern_compiler *c, const struct link *way, struct pattern_rule *ret)
{
	char quoted[120];

	ret->field_count = way->count;
	ret->fields = alloc(c, ret->field_count * sizeof(void *));
	for (uint32_t i = 0; way != NULL; way = way->before)
		ret->fields[i++] = way->field;
	qsort(ret->fields, ret->field_count, sizeof(void *), compare_fields);
	for (uint32_t i = 1; i < ret->field_count; i++)
		if (bytes_equal(ret->fields[i - 1]->path, ret->fields[i]->path))
			return problems_add(c->problems, ret->fields[i]->at, ERR_INVALID,
					    "put it into each branch of $or, or into one list",
					    "the field %s is given twice, first in line %u",
					    text_quote(quoted, sizeof quoted, ret->fields[i]->path),
					    ret->fields[i - 1]->at.line);
	return 0;
}

int pattern_compile(const struct node *n, struct arena *arena, struct problems *problems,
		    const struct pattern **ret)
{
	struct pattern_compiler c = {.arena = arena, .problems = problems};
	const struct link *nothing = NULL;
	struct ways ways = {&nothing, 1};
	struct pattern *p;
	char found[80];
	int rc;

	c.path.data = c.joined;
	if (n->kind != NODE_MAP)
		return problems_add(problems, n->at, ERR_INVALID, NULL, "expected a pattern, a map, found %s",
				    node_found(n, found, sizeof found));
	if (n->child_count == 0)
		return problems_add(
		    problems, n->at, ERR_INVALID, NULL,
		    "expected a pattern of at least one key: an empty one would match every event");
	rc = compile_object(&c, n, &ways, false);
	if (rc < 0)
		return rc;
	p = alloc(&c, sizeof *p);
	p->rule_count = ways.count;
	p->rules = alloc(&c, ways.count * sizeof *p->rules);
	for (uint32_t i = 0; rc == 0 && i < ways.count; i++)
		rc = make_rule(&c, ways.items[i], &p->rules[i]);
	if (rc == 0)
		*ret = p;
	return rc;
}
