/* The operators of patterns: a row each. Pure, inside jobs/. */
#pragma once

#include "base/buf.h"
#include "jobs/pattern_tree.h"

struct pattern_operator {
	const char *name;
	const char *takes; /* "a text": for "expected …" */
	const char *doc;
	int (*compile)(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
		       struct pattern_other *ret); /* NULL: exists, a fact of the field and not of a value */
	enum pattern_kind kind;			   /* of a text */
	enum pattern_kind caseless_kind; /* of {equals-ignore-case: text}; the same: it is not taken */
	bool in_but;			 /* may stand below anything-but */
};

const struct pattern_operator *pattern_operator_find(struct bytes name); /* NULL: there is none */

int pattern_compile_numeric(struct pattern_compiler *c, const struct pattern_operator *op,
			    const struct node *n, struct pattern_other *ret) MUST_CHECK;
int pattern_compile_but(struct pattern_compiler *c, const struct pattern_operator *op, const struct node *n,
			struct pattern_other *ret) MUST_CHECK;

/* 1: it is a text; 0: it is something else; below: an error, which is said. */
int pattern_is_text(struct pattern_compiler *c, const struct node *n) MUST_CHECK;
/* "expected … behind OPERATOR, found …" */
int pattern_refuse(struct pattern_compiler *c, const struct node *n, const struct pattern_operator *op,
		   const char *takes);
/* op's key is no operator, or none that stands here. */
int pattern_refuse_operator(struct pattern_compiler *c, const struct node *op, bool in_but);
