/* Rows in columns: a block holds many rows of a C struct, each of whose fields is a column. Numbers are kept
 * as runs of equal differences, so that a column that counts or that never changes takes a few bytes; texts
 * by a dictionary of the block's own; ids as they are. Columns in which all is 0 or empty are left out.
 * Columns have names: a reader that knows more of them, or others, reads zeros for those that the block
 * lacks.
 *
 * The first field is a number, and stands by itself (`ids`), so that rows are found by it without the rest
 * (`body`), which is pressed (lz.h). The format of both: block.c. Pure; a builder or view has one thread. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "dispatcher/store/sql_table.h"

struct block_field {
	char name[24];
	enum sql_kind kind;
	size_t offset;
	int minus; /* a number of which the difference is kept: its field; -1: none */
};

#define BLOCK_FIELDS_MAX 96

struct block_fields {
	struct block_field items[BLOCK_FIELDS_MAX];
	uint32_t count;
};

/* ---- made ---- */

struct block_builder;

struct block_builder *block_builder_create(const struct block_fields *fields);
void block_builder_destroy(struct block_builder *b); /* NULL is fine */
/* Copies what the row names. */
void block_builder_add(struct block_builder *b, const void *row);
uint32_t block_builder_count(const struct block_builder *b);
/* Of its texts and ids, about. */
size_t block_builder_bytes(const struct block_builder *b);
/* Appends the block; the builder is empty then. */
void block_builder_end(struct block_builder *b, struct buf *ids, struct buf *body);
void block_builder_clear(struct block_builder *b);

/* ---- read ---- */

#define BLOCK_ROWS_MAX (1u << 20)
#define BLOCK_BYTES_MAX ((size_t)(256 * MIB))

struct block_view;

/* Of the ids alone; ERR_CORRUPT. */
int block_view_create(struct block_view **ret, const struct block_fields *fields, struct bytes ids,
		      struct error *reterr) MUST_CHECK;
bool block_view_has_body(const struct block_view *v);
/* The rest, copied. ERR_CORRUPT. */
int block_view_add_body(struct block_view *v, struct bytes body, struct error *reterr) MUST_CHECK;
void block_view_destroy(struct block_view *v); /* NULL is fine */
uint32_t block_view_count(const struct block_view *v);
/* All of the first field. */
const int64_t *block_view_ids(const struct block_view *v);
/* Of a field of row i: numbers; texts, which are the view's. Without a body, or of a column that is damaged:
 * 0, or empty. */
int64_t block_view_number(struct block_view *v, uint32_t field, uint32_t i);
struct bytes block_view_text(struct block_view *v, uint32_t field, uint32_t i);
/* All fields into a struct. Texts are the view's. */
void block_view_row(struct block_view *v, uint32_t i, void *row);
/* A column of it was found damaged. */
bool block_view_is_damaged(const struct block_view *v);
/* In memory, about. */
size_t block_view_cost(const struct block_view *v);
