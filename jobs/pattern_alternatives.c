/* The alternatives of a field: values and operators; and anything-but, which has alternatives of its own. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/pattern_operators.h"

#define SUPPORTED "a value or an operator such as {prefix: text}"

static int count_value(struct pattern_compiler *c, const struct node *n)
{
	if (++c->value_count > PATTERN_VALUES_MAX)
		return problems_add(c->problems, n->at, ERR_LIMIT, NULL, "a pattern of over %d values",
				    PATTERN_VALUES_MAX);
	return 0;
}

static void make_room(struct pattern_compiler *c, struct pattern_values *v, uint32_t count)
{
	v->texts = arena_alloc(c->arena, count * sizeof *v->texts);
	v->others = arena_alloc(c->arena, count * sizeof *v->others);
	CHECK(v->texts != NULL && v->others != NULL);
}

static int compare_texts(const void *a, const void *b)
{
	const struct bytes *x = a, *y = b;
	size_t size = x->size < y->size ? x->size : y->size;
	int order = size == 0 ? 0 : memcmp(x->data, y->data, size);

	return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static void sort_texts(struct pattern_values *v)
{
	qsort(v->texts, v->text_count, sizeof *v->texts, compare_texts);
}

static void add_value(struct pattern_values *v, const struct node *n, const json_t *value)
{
	struct pattern_other *other = &v->others[v->other_count];

	switch (json_typeof(value)) {
	case JSON_STRING:
		v->texts[v->text_count++] = n->text;
		return;
	case JSON_INTEGER:
	case JSON_REAL:
		other->kind = PATTERN_NUMBER;
		other->number = pattern_number_of(value, n->text);
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
	v->other_count++;
}

/* An address that is written out matches each of its spellings: "::1", "0:0:0:0:0:0:0:1". */
static bool add_address(struct pattern_values *v, const struct node *n)
{
	struct pattern_other *other = &v->others[v->other_count];

	if (!pattern_address_parse(n->text, &other->cidr.base))
		return false;
	other->kind = PATTERN_CIDR;
	other->cidr.bits = other->cidr.base.size * 8;
	v->other_count++;
	return true;
}

static int compile_value(struct pattern_compiler *c, const struct node *n, struct pattern_values *v)
{
	json_t *value = node_to_json(n, c->problems);

	if (value == NULL)
		return c->problems->first.code;
	if (!json_is_string(value) || !add_address(v, n))
		add_value(v, n, value);
	json_decref(value);
	return 0;
}

static int compile_exists(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
			  struct pattern_field *f)
{
	json_t *value = n->kind == NODE_SCALAR ? node_to_json(n, c->problems) : json_null();
	bool fine = json_is_boolean(value), there = json_is_true(value);

	json_decref(value);
	if (!fine)
		return pattern_refuse(c, n, op, op->takes);
	if (there)
		f->values.others[f->values.other_count++].kind = PATTERN_EXISTS;
	else
		f->absent = true;
	return 0;
}

static int compile_operator(struct pattern_compiler *c, const struct node *n, struct pattern_field *f)
{
	const struct node *child = n->children;
	const struct pattern_operator *op;
	int rc;

	if (n->child_count != 1)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected one operator, found a map of %u keys", c->shown,
				    n->child_count);
	op = pattern_operator_find(child->key);
	if (op == NULL)
		return pattern_refuse_operator(c, child, false);
	if (op->compile == NULL)
		return compile_exists(c, op, child, f);
	rc = op->compile(c, op, child, &f->values.others[f->values.other_count]);
	if (rc == 0)
		f->values.other_count++;
	return rc;
}

static int compile_alternative(struct pattern_compiler *c, const struct node *n, struct pattern_field *f)
{
	int rc = count_value(c, n);

	if (rc < 0)
		return rc;
	if (n->kind == NODE_LIST)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected " SUPPORTED ", found a list in the list", c->shown);
	return n->kind == NODE_SCALAR ? compile_value(c, n, &f->values) : compile_operator(c, n, f);
}

int pattern_compile_values(struct pattern_compiler *c, const struct node *n, struct pattern_field *f)
{
	if (n->child_count == 0)
		return problems_add(c->problems, n->at, ERR_INVALID, "leave the key out to match any value",
				    "%s: expected at least one alternative, found an empty list", c->shown);
	make_room(c, &f->values, n->child_count);
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		int rc = compile_alternative(c, child, f);

		if (rc < 0)
			return rc;
	}
	sort_texts(&f->values);
	return 0;
}

/* A text or a number behind anything-but. */
static int add_but_value(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
			 struct pattern_values *v)
{
	json_t *value = n->kind == NODE_SCALAR ? node_to_json(n, c->problems) : json_null();
	bool taken = json_is_string(value) || json_is_number(value);
	char found[80];

	if (value == NULL)
		return c->problems->first.code;
	if (taken)
		add_value(v, n, value);
	json_decref(value);
	if (!taken)
		return pattern_refuse(c, n, op, "texts or numbers");
	if (v->text_count > 0 && v->other_count > 0)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected texts or numbers behind anything-but, not both; found %s",
				    c->shown, node_found(n, found, sizeof found));
	if (v->other_count > 0 && !v->others[v->other_count - 1].number.comparable)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: the number %s has more digits than can be compared (about 17)",
				    c->shown, node_found(n, found, sizeof found));
	return 0;
}

/* {prefix: text or texts} and its kin behind anything-but. */
static int add_but_operator(struct pattern_compiler *c, const struct pattern_operator *op,
			    const struct node *n, struct pattern_values *v)
{
	int rc = pattern_is_text(c, n);

	if (rc < 0)
		return rc;
	if (rc == 0 || (n->text.size == 0 && (op->kind == PATTERN_PREFIX || op->kind == PATTERN_SUFFIX)))
		return pattern_refuse(c, n, op,
				      op->kind == PATTERN_PREFIX || op->kind == PATTERN_SUFFIX
					  ? "a text that is not empty, or a list of them,"
					  : "a text, or a list of texts,");
	rc = op->compile(c, op, n, &v->others[v->other_count]);
	if (rc == 0)
		v->other_count++;
	return rc;
}

int pattern_compile_but(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
			struct pattern_other *ret)
{
	struct pattern_values *v = arena_alloc(c->arena, sizeof *v);
	const struct pattern_operator *below = NULL;
	const struct node *first = n;
	int rc = 0;

	CHECK(v != NULL);
	if (n->kind == NODE_MAP) {
		if (n->child_count != 1)
			return pattern_refuse(c, n, op, op->takes);
		n = n->children;
		below = pattern_operator_find(n->key);
		if (below == NULL || !below->in_but)
			return pattern_refuse_operator(c, n, true);
		first = n;
	}
	if (n->kind == NODE_LIST)
		first = n->children;
	if (first == NULL)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected at least one value, found an empty list", c->shown);
	make_room(c, v, n->kind == NODE_LIST ? n->child_count : 1);
	for (const struct node *i = first; rc == 0 && i != NULL; i = n->kind == NODE_LIST ? i->next : NULL) {
		rc = count_value(c, i);
		if (rc == 0)
			rc = below != NULL ? add_but_operator(c, below, i, v) : add_but_value(c, op, i, v);
	}
	sort_texts(v);
	ret->kind = PATTERN_ANYTHING_BUT;
	ret->but = v;
	return rc;
}
