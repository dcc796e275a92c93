/* YAML 1.2 (JSON is a part of it) as a tree whose nodes know their place. Pure; the only file that
 * knows libfyaml is node.c.
 *
 * What a definition does not need is refused in words: several documents, anchors and aliases (a few
 * bytes of them can stand for gigabytes), tags, keys that are not plain strings, keys given twice,
 * text that is not UTF-8, nesting beyond NODE_DEPTH_MAX. */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "jobs/problems.h"

#define NODE_DEPTH_MAX 40

enum node_kind {
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
};

struct node {
	enum node_kind kind;
	bool quoted; /* a scalar in quotes or a block: always a string */
	struct place at;
	struct bytes text; /* of a scalar; a NUL stands behind it */
	struct bytes key;  /* of a map's child; a NUL stands behind it */
	struct place key_at;
	struct node *children; /* the first; of a list or map */
	struct node *next;
	uint32_t child_count;
};

/* The tree, in the arena. Errors go to problems; the first is returned. */
int node_parse(struct bytes text, struct arena *arena, struct problems *problems,
	       struct node **ret) MUST_CHECK;
/* A map's child; NULL when there is none. */
const struct node *node_get(const struct node *map, const char *key);
/* Plain scalars by YAML's core schema: null, true, false, integers, decimals; others are strings.
 * New reference. NULL when a number does not fit: said in problems. */
json_t *node_to_json(const struct node *n, struct problems *problems) MUST_CHECK;
/* "a list", "a map", "\"10x\"": for "found …". */
const char *node_found(const struct node *n, char *buf, size_t size);
