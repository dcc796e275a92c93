#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "dispatcher/store/block_format.h"
#include "dispatcher/store/lz.h"

struct view_column {
	struct bytes data; /* in the body; size 0: it is not there */
	enum block_column_kind kind;
	int64_t *numbers; /* NULL: not looked at yet */
	struct bytes *texts;
	uint32_t text_count;
};

struct block_view {
	const struct block_fields *fields;
	uint32_t count;
	bool has_body, damaged;
	uint8_t *body;
	size_t body_size, cost;
	struct view_column columns[BLOCK_FIELDS_MAX]; /* the first: ids */
};

struct cursor {
	const uint8_t *at, *end;
};

static bool get_varint(struct cursor *c, uint64_t *ret)
{
	uint64_t n = 0;

	for (int shift = 0; shift < 64 && c->at < c->end; shift += 7) {
		uint8_t b = *c->at++;

		n |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*ret = n;
			return true;
		}
	}
	return false;
}

/* Exactly `count` of them, to the end. */
static bool get_numbers(struct cursor c, int64_t *out, uint32_t count)
{
	uint64_t last = 0;
	uint32_t i = 0;

	while (i < count) {
		uint64_t d, rest = 0, run = 1;
		uint8_t first;

		if (c.at == c.end)
			return false;
		first = *c.at++;
		if ((first & BLOCK_MORE) && !get_varint(&c, &rest))
			return false;
		if ((first & BLOCK_RUN) && (!get_varint(&c, &run) || run > count || (run += 2) > count - i))
			return false;
		d = rest << 6 | (first & 63);
		d = d >> 1 ^ (uint64_t) - (int64_t)(d & 1);
		for (; run > 0; run--)
			out[i++] = (int64_t)(last += d);
	}
	return c.at == c.end;
}

static int corrupt(struct error *reterr, const char *what)
{
	return error_set(reterr, ERR_CORRUPT, "a block of history is damaged: %s", what);
}

int block_view_create(struct block_view **ret, const struct block_fields *fields, struct bytes ids,
		      struct error *reterr)
{
	struct cursor c = {ids.data, ids.data + ids.size};
	struct block_view *v;
	uint64_t count;

	if (!get_varint(&c, &count) || count > BLOCK_ROWS_MAX)
		return corrupt(reterr, "its number of rows");
	v = check_calloc(1, sizeof *v);
	v->fields = fields;
	v->count = (uint32_t)count;
	v->columns[0].numbers = check_calloc(count + 1, sizeof(int64_t));
	v->cost = sizeof *v + count * sizeof(int64_t);
	if (!get_numbers(c, v->columns[0].numbers, v->count)) {
		block_view_destroy(v);
		return corrupt(reterr, "the numbers of its rows");
	}
	*ret = v;
	return 0;
}

static int field_of(const struct block_view *v, struct bytes name)
{
	for (uint32_t f = 1; f < v->fields->count; f++)
		if (bytes_equal(bytes_of(v->fields->items[f].name), name))
			return (int)f;
	return -1;
}

static bool find_columns(struct block_view *v)
{
	struct cursor c = {v->body, v->body + v->body_size};

	while (c.at < c.end) {
		enum block_column_kind kind;
		struct bytes name;
		uint64_t size;
		int f;

		if (c.end - c.at < 2 || c.end - c.at - 2 < c.at[1])
			return false;
		kind = c.at[0];
		name = BYTES(c.at + 2, c.at[1]);
		c.at += 2 + name.size;
		if (!get_varint(&c, &size) || size > (size_t)(c.end - c.at))
			return false;
		f = field_of(v, name);
		if (f > 0)
			v->columns[f] = (struct view_column){.data = BYTES(c.at, size), .kind = kind};
		c.at += size;
	}
	return true;
}

bool block_view_has_body(const struct block_view *v)
{
	return v->has_body;
}

int block_view_add_body(struct block_view *v, struct bytes body, struct error *reterr)
{
	struct cursor c = {body.data, body.data + body.size};
	uint64_t size = body.size - 1;
	uint8_t how;

	CHECK(!v->has_body);
	if (body.size == 0)
		return corrupt(reterr, "it is empty");
	how = *c.at++;
	if (how > BLOCK_PRESSED || (how == BLOCK_PRESSED && !get_varint(&c, &size)) || size > BLOCK_BYTES_MAX)
		return corrupt(reterr, "its head");
	v->body = check_calloc(size + 1, 1);
	v->body_size = size;
	if (how == BLOCK_PLAIN)
		memcpy(v->body, c.at, size);
	v->has_body = (how == BLOCK_PLAIN || lz_expand(BYTES(c.at, (size_t)(c.end - c.at)), v->body, size)) &&
		      find_columns(v);
	if (v->has_body) {
		v->cost += size;
		return 0;
	}
	for (uint32_t f = 1; f < v->fields->count; f++)
		v->columns[f] = (struct view_column){0};
	free(v->body);
	v->body = NULL;
	return corrupt(reterr, "its columns");
}

void block_view_destroy(struct block_view *v)
{
	if (v == NULL)
		return;
	for (uint32_t f = 0; f < v->fields->count; f++) {
		free(v->columns[f].numbers);
		free(v->columns[f].texts);
	}
	free(v->body);
	free(v);
}

uint32_t block_view_count(const struct block_view *v)
{
	return v->count;
}

const int64_t *block_view_ids(const struct block_view *v)
{
	return v->columns[0].numbers;
}

bool block_view_is_damaged(const struct block_view *v)
{
	return v->damaged;
}

size_t block_view_cost(const struct block_view *v)
{
	return v->cost;
}

/* ---- columns, when somebody looks at them ---- */

static bool find_texts(struct block_view *v, struct view_column *c, struct cursor *at)
{
	uint64_t count, size;
	struct cursor sizes;

	if (!get_varint(at, &count) || count > (size_t)(at->end - at->at))
		return false;
	c->texts = check_calloc(count + 1, sizeof *c->texts);
	c->text_count = (uint32_t)count;
	v->cost += count * sizeof *c->texts;
	sizes = *at;
	for (uint64_t i = 0; i < count; i++)
		if (!get_varint(at, &size))
			return false;
	for (uint64_t i = 0; i < count; i++) {
		if (!get_varint(&sizes, &size) || size > (size_t)(at->end - at->at))
			return false;
		c->texts[i + 1] = BYTES(at->at, size);
		at->at += size;
	}
	return true;
}

static void look_at(struct block_view *v, struct view_column *c)
{
	struct cursor at = {c->data.data, c->data.data + c->data.size};
	bool fine = c->kind == BLOCK_NUMBERS || (c->kind == BLOCK_TEXTS && find_texts(v, c, &at));

	c->numbers = check_calloc((size_t)v->count + 1, sizeof *c->numbers);
	v->cost += v->count * sizeof *c->numbers;
	fine = fine && get_numbers(at, c->numbers, v->count);
	for (uint32_t i = 0; fine && c->kind == BLOCK_TEXTS && i < v->count; i++)
		fine = c->numbers[i] >= 0 && c->numbers[i] <= c->text_count;
	if (!fine) {
		memset(c->numbers, 0, v->count * sizeof *c->numbers);
		v->damaged = true;
	}
}

int64_t block_view_number(struct block_view *v, uint32_t field, uint32_t i)
{
	struct view_column *c = &v->columns[field];
	int minus = v->fields->items[field].minus;
	int64_t n = 0;

	if (c->numbers == NULL && c->data.size > 0)
		look_at(v, c);
	if (c->numbers != NULL && c->kind != BLOCK_TEXTS)
		n = c->numbers[i];
	return minus < 0 ? n : (int64_t)((uint64_t)n + (uint64_t)block_view_number(v, (uint32_t)minus, i));
}

struct bytes block_view_text(struct block_view *v, uint32_t field, uint32_t i)
{
	struct view_column *c = &v->columns[field];

	if (c->kind == BLOCK_IDS)
		return c->data.size == (size_t)16 * v->count ? BYTES(c->data.data + (size_t)16 * i, 16)
							     : (struct bytes){0};
	if (c->kind != BLOCK_TEXTS)
		return (struct bytes){0};
	if (c->numbers == NULL)
		look_at(v, c);
	return c->texts != NULL ? c->texts[c->numbers[i]] : (struct bytes){0};
}

void block_view_row(struct block_view *v, uint32_t i, void *row)
{
	for (uint32_t f = 0; f < v->fields->count; f++) {
		const struct block_field *field = &v->fields->items[f];
		uint8_t *at = (uint8_t *)row + field->offset;
		struct bytes text;
		int64_t n;

		if (field->kind == SQL_ID) {
			text = block_view_text(v, f, i);
			memset(at, 0, 16);
			if (text.size == 16)
				memcpy(at, text.data, 16);
			continue;
		}
		if (field->kind == SQL_TEXT || field->kind == SQL_BLOB) {
			*(struct bytes *)(void *)at = block_view_text(v, f, i);
			continue;
		}
		n = block_view_number(v, f, i);
		if (field->kind == SQL_BOOL)
			*(bool *)at = n != 0;
		else if (field->kind == SQL_U8)
			*at = (uint8_t)n;
		else if (field->kind == SQL_U32)
			*(uint32_t *)(void *)at = (uint32_t)n;
		else
			*(int64_t *)(void *)at = n;
	}
}
