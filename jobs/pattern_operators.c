/* The table of operators, from which errors, help and documentation come; those of texts and addresses. */
#include "jobs/pattern_operators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"

#define IGNORE_CASE "equals-ignore-case"
#define TEXT_TAKEN "a text"
#define TEXT_OR_CASELESS_TAKEN "a text or {" IGNORE_CASE ": text}"

static int compile_text(struct pattern_compiler *, const struct pattern_operator *, const struct node *,
			struct pattern_other *);
static int compile_exactly(struct pattern_compiler *, const struct pattern_operator *, const struct node *,
			   struct pattern_other *);
static int compile_cidr(struct pattern_compiler *, const struct pattern_operator *, const struct node *,
			struct pattern_other *);

/* exists is none of them: {exists: false} is a fact of the field, not of a value. */
static const struct pattern_operator operators[] = {
    {"prefix", TEXT_OR_CASELESS_TAKEN, "the text begins so", compile_text, PATTERN_PREFIX,
     PATTERN_CASELESS_PREFIX, true},
    {"suffix", TEXT_OR_CASELESS_TAKEN, "the text ends so", compile_text, PATTERN_SUFFIX,
     PATTERN_CASELESS_SUFFIX, true},
    {IGNORE_CASE, TEXT_TAKEN, "the text is this one, in capitals or not", compile_text, PATTERN_CASELESS,
     PATTERN_CASELESS, true},
    {"wildcard", TEXT_TAKEN, "the text is this one; each * in it stands for any characters, also none",
     compile_text, PATTERN_WILDCARD, PATTERN_WILDCARD, true},
    {"anything-but", "a text, a number, a list of texts or of numbers, or {prefix: ...}",
     "the field is there, and its value is none of these", pattern_compile_but, PATTERN_ANYTHING_BUT,
     PATTERN_ANYTHING_BUT, false},
    {"numeric", "a list such as [\">\", 0, \"<=\", 5]", "the number is equal, or lies in the range",
     pattern_compile_numeric, PATTERN_RANGE, PATTERN_RANGE, false},
    {"cidr", "a block of addresses such as \"10.0.0.0/24\" or \"2001:db8::/32\"",
     "the text is an IP address of the block", compile_cidr, PATTERN_CIDR, PATTERN_CIDR, false},
    {"exists", "true or false", "the field is there, with any value, or is not there", NULL, PATTERN_EXISTS,
     PATTERN_EXISTS, false},
    {"exactly", TEXT_TAKEN, "the text is this one, as without an operator", compile_exactly, PATTERN_PREFIX,
     PATTERN_PREFIX, false},
};

/* Names that AWS keeps from being fields below $or, besides the operators. */
static const char *const reserved[] = {"=",
				       "<",
				       "<=",
				       ">",
				       ">=",
				       "regex",
				       "not-wildcard",
				       "not-equals-ignore-case",
				       "date-after",
				       "date-on-or-after",
				       "date-before",
				       "date-on-or-before",
				       "in-date-range",
				       "ip-address-in-range",
				       "ip-address-not-in-range"};

const struct pattern_operator *pattern_operator_find(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(operators); i++)
		if (bytes_equal(name, bytes_of(operators[i].name)))
			return &operators[i];
	return NULL;
}

bool pattern_is_reserved(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(reserved); i++)
		if (bytes_equal(name, bytes_of(reserved[i])))
			return true;
	return pattern_operator_find(name) != NULL;
}

void pattern_operators_write(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LENGTH(operators); i++)
		buf_printf(out, "  %-18s %s\n  %-18s takes %s\n", operators[i].name, operators[i].doc, "",
			   operators[i].takes);
}

int pattern_refuse_operator(struct pattern_compiler *c, const struct node *op, bool in_but)
{
	const char *names[ARRAY_LENGTH(operators)], *nearest;
	char quoted[80], help[200];
	size_t count = 0;
	int at;

	at = snprintf(help, sizeof help, "expected one of");
	for (size_t i = 0; i < ARRAY_LENGTH(operators); i++) {
		if (in_but && !operators[i].in_but)
			continue;
		at += snprintf(help + at, sizeof help - (size_t)at, "%s %s", count > 0 ? "," : "",
			       operators[i].name);
		names[count++] = operators[i].name;
	}
	nearest = text_nearest(op->key, names, count);
	if (nearest != NULL)
		snprintf(help, sizeof help, "did you mean %s?", nearest);
	text_quote(quoted, sizeof quoted, op->key);
	if (pattern_operator_find(op->key) != NULL)
		return problems_add(c->problems, op->key_at, ERR_INVALID, help,
				    "%s: the operator %s does not stand below anything-but", c->shown,
				    quoted);
	return problems_add(c->problems, op->key_at, ERR_INVALID, help, "%s: the operator %s is not known",
			    c->shown, quoted);
}

int pattern_refuse(struct pattern_compiler *c, const struct node *n, const struct pattern_operator *op,
		   const char *takes)
{
	char found[80];

	return problems_add(c->problems, n->at, ERR_INVALID,
			    n->kind == NODE_SCALAR && !n->quoted ? "put it in quotes if it is text" : NULL,
			    "%s: expected %s behind %s, found %s", c->shown, takes, op->name,
			    node_found(n, found, sizeof found));
}

int pattern_is_text(struct pattern_compiler *c, const struct node *n)
{
	json_t *value;
	int is;

	if (n->kind != NODE_SCALAR)
		return 0;
	value = node_to_json(n, c->problems);
	if (value == NULL)
		return c->problems->first.code;
	is = json_is_string(value);
	json_decref(value);
	return is;
}

static int compile_wildcard(struct pattern_compiler *c, const struct node *n, struct pattern_other *ret)
{
	size_t at = 0;
	const char *wrong = pattern_wildcard_parse(n->text, c->arena, &ret->wildcard, &at);

	if (wrong == NULL)
		return 0;
	return problems_add(c->problems, n->at, ERR_INVALID, "\\* and \\\\ stand for * and \\ themselves",
			    "%s: character %zu of the wildcard: %s", c->shown, at, wrong);
}

/* {equals-ignore-case: text} below prefix and suffix. */
static int compile_caseless(struct pattern_compiler *c, const struct pattern_operator *op,
			    const struct node *n, struct pattern_other *ret)
{
	const struct node *text = n->children;
	int rc;

	if (n->child_count != 1 || !bytes_equal(text->key, BYTES_LIT(IGNORE_CASE)))
		return pattern_refuse(c, n, op, op->takes);
	rc = pattern_is_text(c, text);
	if (rc <= 0)
		return rc < 0 ? rc : pattern_refuse(c, text, pattern_operator_find(text->key), TEXT_TAKEN);
	ret->kind = op->caseless_kind;
	ret->letters = pattern_letters_of(text->text, c->arena);
	return 0;
}

static int compile_text(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
			struct pattern_other *ret)
{
	int rc;

	if (n->kind == NODE_MAP && op->caseless_kind != op->kind)
		return compile_caseless(c, op, n, ret);
	rc = pattern_is_text(c, n);
	if (rc <= 0)
		return rc < 0 ? rc : pattern_refuse(c, n, op, op->takes);
	ret->kind = op->kind;
	if (op->kind == PATTERN_WILDCARD)
		return compile_wildcard(c, n, ret);
	if (op->kind == PATTERN_CASELESS)
		ret->letters = pattern_letters_of(n->text, c->arena);
	else
		ret->text = n->text;
	return 0;
}

/* Every text is equal to one wildcard without stars. */
static int compile_exactly(struct pattern_compiler *c, const struct pattern_operator *op,
			   const struct node *n, struct pattern_other *ret)
{
	int rc = pattern_is_text(c, n);

	if (rc <= 0)
		return rc < 0 ? rc : pattern_refuse(c, n, op, op->takes);
	ret->kind = PATTERN_WILDCARD;
	ret->wildcard.part_count = 1;
	ret->wildcard.parts = arena_alloc(c->arena, sizeof *ret->wildcard.parts);
	CHECK(ret->wildcard.parts != NULL);
	ret->wildcard.parts[0] = n->text;
	return 0;
}

static int compile_cidr(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
			struct pattern_other *ret)
{
	int rc = pattern_is_text(c, n);

	if (rc < 0)
		return rc;
	ret->kind = PATTERN_CIDR;
	if (rc == 0 || !pattern_cidr_parse(n->text, &ret->cidr))
		return pattern_refuse(c, n, op, op->takes);
	return 0;
}
