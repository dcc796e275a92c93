#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/pattern_tree.h"

#define PATH_SHOWN 120
#define SUPPORTED "a value, {prefix: text} or {suffix: text}"

struct compiler {
	struct arena *arena;
	struct problems *problems;
	uint32_t value_count;
	uint32_t depth;
	char path[PATH_SHOWN]; /* of the member in work, for errors; cut when it is long */
};

static int compile_object(struct compiler *c, const struct node *n, const struct pattern **ret);

/* Operators that EventBridge knows beyond ours. */
static bool is_foreign_operator(struct bytes name)
{
	static const char *const foreign[] = {"anything-but", "exists",	  "numeric",
					      "cidr",	      "wildcard", "equals-ignore-case"};

	for (size_t i = 0; i < ARRAY_LENGTH(foreign); i++)
		if (bytes_equal(name, bytes_of(foreign[i])))
			return true;
	return false;
}

static int refuse_operator(struct compiler *c, const struct node *op)
{
	static const char *const own[] = {"prefix", "suffix"};
	const char *nearest = text_nearest(op->key, own, ARRAY_LENGTH(own));
	char quoted[80], help[120] = "expected " SUPPORTED;

	text_quote(quoted, sizeof quoted, op->key);
	if (nearest != NULL)
		snprintf(help, sizeof help, "did you mean %s?", nearest);
	return problems_add(c->problems, op->key_at, ERR_INVALID, help, "%s: the operator %s is not %s",
			    c->path, quoted, is_foreign_operator(op->key) ? "supported" : "known");
}

static int compile_operator(struct compiler *c, const struct node *n, struct pattern_other *ret)
{
	const struct node *op = n->children;
	char found[80];

	if (n->child_count != 1)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected one operator, found a map of %u keys", c->path,
				    n->child_count);
	if (bytes_equal(op->key, BYTES_LIT("prefix")))
		ret->kind = PATTERN_PREFIX;
	else if (bytes_equal(op->key, BYTES_LIT("suffix")))
		ret->kind = PATTERN_SUFFIX;
	else
		return refuse_operator(c, op);
	if (op->kind == NODE_SCALAR) {
		json_t *value = node_to_json(op, c->problems);
		bool is_text = json_is_string(value);

		if (value == NULL)
			return c->problems->first.code;
		json_decref(value);
		ret->text = op->text;
		if (is_text && (op->text.size > 0 || ret->kind == PATTERN_PREFIX))
			return 0;
	}
	return problems_add(c->problems, op->at, ERR_INVALID,
			    op->kind == NODE_SCALAR ? "put it in quotes if it is text" : NULL,
			    "%s: expected a text behind %s, found %s", c->path, (const char *)op->key.data,
			    node_found(op, found, sizeof found));
}

static int compile_value(struct compiler *c, const struct node *n, struct pattern_field *f)
{
	struct pattern_other *other = &f->others[f->other_count];
	json_t *value = node_to_json(n, c->problems);

	if (value == NULL)
		return c->problems->first.code;
	switch (json_typeof(value)) {
	case JSON_STRING:
		f->texts[f->text_count++] = n->text;
		json_decref(value);
		return 0;
	case JSON_INTEGER:
		*other =
		    (struct pattern_other){.kind = PATTERN_INTEGER, .integer = json_integer_value(value)};
		break;
	case JSON_REAL:
		*other = (struct pattern_other){.kind = PATTERN_REAL, .real = json_real_value(value)};
		break;
	case JSON_TRUE:
		other->kind = PATTERN_TRUE;
		break;
	case JSON_FALSE:
		other->kind = PATTERN_FALSE;
		break;
	default:
		other->kind = PATTERN_NULL;
		break;
	}
	f->other_count++;
	json_decref(value);
	return 0;
}

static int compile_alternative(struct compiler *c, const struct node *n, struct pattern_field *f)
{
	int rc;

	if (++c->value_count > PATTERN_VALUES_MAX)
		return problems_add(c->problems, n->at, ERR_LIMIT, NULL, "a pattern of over %d values",
				    PATTERN_VALUES_MAX);
	if (n->kind == NODE_LIST)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected " SUPPORTED ", found a list in the list", c->path);
	if (n->kind == NODE_SCALAR)
		return compile_value(c, n, f);
	rc = compile_operator(c, n, &f->others[f->other_count]);
	if (rc == 0)
		f->other_count++;
	return rc;
}

static int compare_texts(const void *a, const void *b)
{
	const struct bytes *x = a, *y = b;
	size_t size = x->size < y->size ? x->size : y->size;
	int order = size == 0 ? 0 : memcmp(x->data, y->data, size);

	return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static int compile_list(struct compiler *c, const struct node *n, struct pattern_field *f)
{
	if (n->child_count == 0)
		return problems_add(c->problems, n->at, ERR_INVALID, "leave the key out to match any value",
				    "%s: expected at least one alternative, found an empty list", c->path);
	f->texts = arena_alloc(c->arena, n->child_count * sizeof *f->texts);
	f->others = arena_alloc(c->arena, n->child_count * sizeof *f->others);
	CHECK(f->texts != NULL && f->others != NULL);
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		int rc = compile_alternative(c, child, f);

		if (rc < 0)
			return rc;
	}
	qsort(f->texts, f->text_count, sizeof *f->texts, compare_texts);
	return 0;
}

static int compile_member(struct compiler *c, const struct node *n, struct pattern_field *f)
{
	char found[60], help[100];

	f->key = n->key;
	if (n->key.size > 0 && n->key.data[0] == '$')
		return problems_add(c->problems, n->key_at, ERR_INVALID,
				    "use two patterns below `on` for two alternatives",
				    "%s: $or and its kin are not supported", c->path);
	if (n->kind == NODE_MAP)
		return compile_object(c, n, &f->deeper);
	if (n->kind == NODE_LIST)
		return compile_list(c, n, f);
	node_found(n, found, sizeof found);
	snprintf(help, sizeof help, "write [%s]", n->text.size > 0 ? found : "value");
	return problems_add(c->problems, n->at, ERR_INVALID, help,
			    "%s: expected a list of alternatives, found %s", c->path, found);
}

static int compile_object(struct compiler *c, const struct node *n, const struct pattern **ret)
{
	struct pattern *p = arena_alloc(c->arena, sizeof *p);
	size_t before = strlen(c->path);
	int first = 0;

	CHECK(p != NULL);
	if (n->child_count == 0)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected at least one key, found an empty map", c->path);
	if (c->depth == PATTERN_DEPTH_MAX)
		return problems_add(c->problems, n->at, ERR_LIMIT, NULL, "a pattern deeper than %d levels",
				    PATTERN_DEPTH_MAX);
	p->fields = arena_alloc(c->arena, n->child_count * sizeof *p->fields);
	CHECK(p->fields != NULL);
	c->depth++;
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		char key[60];
		int rc;

		text_quote(key, sizeof key, child->key);
		key[strlen(key) - 1] = '\0'; /* quoted for its escapes, shown without quotes */
		snprintf(c->path + before, sizeof c->path - before, "%s%s", before > 0 ? "." : "", key + 1);
		rc = compile_member(c, child, &p->fields[p->field_count++]);
		if (first == 0)
			first = rc;
		c->path[before] = '\0';
		if (rc == ERR_LIMIT)
			break;
	}
	c->depth--;
	if (first == 0)
		*ret = p;
	return first;
}

int pattern_compile(const struct node *n, struct arena *arena, struct problems *problems,
		    const struct pattern **ret)
{
	struct compiler c = {.arena = arena, .problems = problems};
	char found[80];

	if (n->kind != NODE_MAP)
		return problems_add(problems, n->at, ERR_INVALID, NULL, "expected a pattern, a map, found %s",
				    node_found(n, found, sizeof found));
	if (n->child_count == 0)
		return problems_add(
		    problems, n->at, ERR_INVALID, NULL,
		    "expected a pattern of at least one key: an empty one would match every event");
	return compile_object(&c, n, ret);
}
