/* numeric: a comparison, or a range. */
#include <string.h>

#include "jobs/pattern_operators.h"

/* The number behind a comparison. */
static int read_bound(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
		      struct pattern_number *ret)
{
	json_t *value;
	char found[80];
	bool is;

	if (n == NULL || n->kind != NODE_SCALAR)
		return n == NULL ? 1 : pattern_refuse(c, n, op, "a number behind each comparison");
	value = node_to_json(n, c->problems);
	if (value == NULL)
		return c->problems->first.code;
	is = json_is_number(value);
	if (is)
		*ret = pattern_number_of(value, n->text);
	json_decref(value);
	if (!is)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: expected a number behind the comparison, found %s", c->shown,
				    node_found(n, found, sizeof found));
	if (!ret->comparable)
		return problems_add(c->problems, n->at, ERR_INVALID, NULL,
				    "%s: the number %s has more digits than can be compared (about 17)",
				    c->shown, node_found(n, found, sizeof found));
	return 0;
}

static int read_comparison(struct pattern_compiler *c, const struct pattern_operator *op,
			   const struct node *n, struct pattern_other *ret)
{
	struct bytes sign = n->kind == NODE_SCALAR ? n->text : BYTES_LIT("");
	struct pattern_range *r = &ret->range;
	char found[80];

	if (bytes_equal(sign, BYTES_LIT("="))) {
		ret->kind = PATTERN_NUMBER;
		return read_bound(c, op, n->next, &ret->number);
	}
	if (bytes_equal(sign, BYTES_LIT(">")) || bytes_equal(sign, BYTES_LIT(">="))) {
		r->has_low = true;
		r->open_low = sign.size == 1;
		return read_bound(c, op, n->next, &r->low);
	}
	if (bytes_equal(sign, BYTES_LIT("<")) || bytes_equal(sign, BYTES_LIT("<="))) {
		r->has_high = true;
		r->open_high = sign.size == 1;
		return read_bound(c, op, n->next, &r->high);
	}
	return problems_add(c->problems, n->at, ERR_INVALID, NULL,
			    "%s: expected one of =, <, <=, > and >=, found %s", c->shown,
			    node_found(n, found, sizeof found));
}

/* [sign, number], or [> or >=, number, < or <=, number]. */
int pattern_compile_numeric(struct pattern_compiler *c, const struct pattern_operator *op,
			    const struct node *n, struct pattern_other *ret)
{
	const struct node *second;
	int rc;

	if (n->kind != NODE_LIST || (n->child_count != 2 && n->child_count != 4))
		return pattern_refuse(c, n, op, op->takes);
	memset(&ret->range, 0, sizeof ret->range);
	ret->kind = PATTERN_RANGE;
	rc = read_comparison(c, op, n->children, ret);
	if (rc < 0 || n->child_count == 2)
		return rc;
	second = n->children->next->next;
	if (ret->kind != PATTERN_RANGE || !ret->range.has_low)
		return problems_add(c->problems, second->at, ERR_INVALID,
				    "write the lower bound first: [\">\", 0, \"<=\", 5]",
				    "%s: a range begins with > or >=", c->shown);
	rc = read_comparison(c, op, second, ret);
	if (rc == 0 && (ret->kind != PATTERN_RANGE || !ret->range.has_high))
		return problems_add(c->problems, second->at, ERR_INVALID, NULL,
				    "%s: expected < or <= for the upper bound", c->shown);
	if (rc == 0 && ret->range.low.real >= ret->range.high.real)
		return problems_add(c->problems, second->at, ERR_INVALID, NULL,
				    "%s: the lower bound is not below the upper one", c->shown);
	return rc;
}
