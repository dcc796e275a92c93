#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "dispatcher/store/block_format.h"
#include "dispatcher/store/lz.h"

/* A number column in the making. */
struct numbers {
	struct buf out;
	uint64_t last, difference;
	uint64_t run; /* of that difference; 0: nothing yet */
	bool any;     /* that is not 0 */
};

/* Texts, each once; text 0 is the empty one. */
struct texts {
	struct buf bytes;
	uint32_t *ends; /* of text i + 1 in bytes */
	uint32_t count, room;
	uint32_t *slots, slot_count; /* numbers of texts, by their hash; 0: free */
	uint32_t last;
};

struct column {
	struct numbers numbers; /* of a text, its number */
	struct texts texts;
	struct buf ids;
	bool any; /* id that is not 0 */
};

struct block_builder {
	const struct block_fields *fields;
	uint32_t count;
	size_t bytes;
	struct column *columns;
};

static void put_varint(struct buf *out, uint64_t n)
{
	uint8_t text[10];
	size_t size = 0;

	for (; n >= 0x80; n >>= 7)
		text[size++] = (uint8_t)(n | 0x80);
	text[size++] = (uint8_t)n;
	buf_append(out, text, size);
}

/* ---- numbers ---- */

static void flush_run(struct numbers *c)
{
	uint64_t d = c->difference << 1 ^ (uint64_t)((int64_t)c->difference >> 63);
	uint8_t first = (uint8_t)(d & 63);

	if (c->run == 0)
		return;
	d >>= 6;
	first |= (uint8_t)((d > 0 ? BLOCK_MORE : 0) | (c->run > 1 ? BLOCK_RUN : 0));
	buf_append(&c->out, &first, 1);
	if (d > 0)
		put_varint(&c->out, d);
	if (c->run > 1)
		put_varint(&c->out, c->run - 2);
	c->run = 0;
}

static void add_number(struct numbers *c, uint64_t n)
{
	uint64_t difference = n - c->last;

	c->last = n;
	c->any = c->any || n != 0;
	if (c->run > 0 && difference == c->difference) {
		c->run++;
		return;
	}
	flush_run(c);
	c->difference = difference;
	c->run = 1;
}

/* ---- texts ---- */

static uint32_t hash_of(struct bytes text)
{
	uint64_t h = text.size * 0x9e3779b97f4a7c15ull;
	size_t i = 0;

	for (; i + 8 <= text.size; i += 8) {
		uint64_t w;

		memcpy(&w, text.data + i, sizeof w);
		h = (h ^ w) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	for (; i < text.size; i++)
		h = (h ^ text.data[i]) * 0x100000001b3ull;
	return (uint32_t)(h ^ h >> 29);
}

static struct bytes text_at(const struct texts *t, uint32_t n)
{
	uint32_t begin = n > 1 ? t->ends[n - 2] : 0;

	return n == 0 ? (struct bytes){0} : BYTES(t->bytes.data + begin, t->ends[n - 1] - begin);
}

static void place(struct texts *t, uint32_t n)
{
	uint32_t at = hash_of(text_at(t, n)) & (t->slot_count - 1);

	while (t->slots[at] != 0)
		at = (at + 1) & (t->slot_count - 1);
	t->slots[at] = n;
}

static void grow_slots(struct texts *t)
{
	free(t->slots);
	t->slot_count = t->slot_count > 0 ? 4 * t->slot_count : 64;
	t->slots = check_calloc(t->slot_count, sizeof *t->slots);
	for (uint32_t n = 1; n <= t->count; n++)
		place(t, n);
}

static uint32_t find_text(struct texts *t, struct bytes text)
{
	uint32_t at;

	if (bytes_equal(text_at(t, t->last), text))
		return t->last;
	if (text.size == 0)
		return t->last = 0;
	if (2 * t->count >= t->slot_count)
		grow_slots(t);
	for (at = hash_of(text) & (t->slot_count - 1); t->slots[at] != 0; at = (at + 1) & (t->slot_count - 1))
		if (bytes_equal(text_at(t, t->slots[at]), text))
			return t->last = t->slots[at];
	buf_append_bytes(&t->bytes, text);
	CHECK(t->bytes.size <= UINT32_MAX);
	ARRAY_GROW(t->ends, t->room, t->count);
	t->ends[t->count++] = (uint32_t)t->bytes.size;
	t->slots[at] = t->count;
	return t->last = t->count;
}

/* ---- rows ---- */

int64_t block_field_number(const struct block_field *f, const void *row)
{
	const uint8_t *at = (const uint8_t *)row + f->offset;

	switch (f->kind) {
	case SQL_BOOL:
		return *(const bool *)at;
	case SQL_U8:
		return *at;
	case SQL_U32:
		return *(const uint32_t *)at;
	case SQL_U64:
	case SQL_I64:
		return *(const int64_t *)at;
	default:
		return 0;
	}
}

struct block_builder *block_builder_create(const struct block_fields *fields)
{
	struct block_builder *b = check_calloc(1, sizeof *b);

	b->fields = fields;
	b->columns = check_calloc(fields->count, sizeof *b->columns);
	return b;
}

void block_builder_destroy(struct block_builder *b)
{
	if (b == NULL)
		return;
	for (uint32_t f = 0; f < b->fields->count; f++) {
		buf_fini(&b->columns[f].numbers.out);
		buf_fini(&b->columns[f].texts.bytes);
		buf_fini(&b->columns[f].ids);
		free(b->columns[f].texts.ends);
		free(b->columns[f].texts.slots);
	}
	free(b->columns);
	free(b);
}

static void add_id(struct block_builder *b, struct column *c, const uint64_t id[2])
{
	if (!c->any && (id[0] | id[1]) == 0)
		return;
	if (!c->any)
		buf_append_zeros(&c->ids, (size_t)16 * b->count);
	c->any = true;
	buf_append(&c->ids, id, 16);
	b->bytes += 16;
}

void block_builder_add(struct block_builder *b, const void *row)
{
	for (uint32_t f = 0; f < b->fields->count; f++) {
		const struct block_field *field = &b->fields->items[f];
		struct column *c = &b->columns[f];
		const uint8_t *at = (const uint8_t *)row + field->offset;
		uint64_t n;

		if (field->kind == SQL_ID) {
			add_id(b, c, (const uint64_t *)(const void *)at);
		} else if (field->kind == SQL_TEXT || field->kind == SQL_BLOB) {
			size_t before = c->texts.bytes.size;

			add_number(&c->numbers,
				   find_text(&c->texts, *(const struct bytes *)(const void *)at));
			b->bytes += c->texts.bytes.size - before;
		} else {
			n = (uint64_t)block_field_number(field, row);
			if (field->minus >= 0)
				n -= (uint64_t)block_field_number(&b->fields->items[field->minus], row);
			add_number(&c->numbers, n);
		}
	}
	b->count++;
}

uint32_t block_builder_count(const struct block_builder *b)
{
	return b->count;
}

size_t block_builder_bytes(const struct block_builder *b)
{
	return b->bytes;
}

/* ---- the block ---- */

static void put_head(struct buf *out, const struct block_field *f, enum block_column_kind kind, size_t size)
{
	uint8_t head[2] = {(uint8_t)kind, (uint8_t)strlen(f->name)};

	buf_append(out, head, 2);
	buf_append(out, f->name, head[1]);
	put_varint(out, size);
}

static void put_texts(struct buf *out, struct column *c, const struct block_field *f, struct buf *room)
{
	const struct texts *t = &c->texts;

	buf_clear(room);
	put_varint(room, t->count);
	for (uint32_t n = 1; n <= t->count; n++)
		put_varint(room, text_at(t, n).size);
	put_head(out, f, BLOCK_TEXTS, room->size + t->bytes.size + c->numbers.out.size);
	buf_append_bytes(out, buf_bytes(room));
	buf_append_bytes(out, buf_bytes(&t->bytes));
	buf_append_bytes(out, buf_bytes(&c->numbers.out));
}

static void put_columns(struct block_builder *b, struct buf *out)
{
	struct buf room = {0};

	for (uint32_t f = 1; f < b->fields->count; f++) {
		struct column *c = &b->columns[f];
		const struct block_field *field = &b->fields->items[f];

		flush_run(&c->numbers);
		if (field->kind == SQL_ID && c->any) {
			put_head(out, field, BLOCK_IDS, c->ids.size);
			buf_append_bytes(out, buf_bytes(&c->ids));
		} else if (c->texts.count > 0) {
			put_texts(out, c, field, &room);
		} else if (c->numbers.any) {
			put_head(out, field, BLOCK_NUMBERS, c->numbers.out.size);
			buf_append_bytes(out, buf_bytes(&c->numbers.out));
		}
	}
	buf_fini(&room);
}

void block_builder_end(struct block_builder *b, struct buf *ids, struct buf *body)
{
	struct buf plain = {0};
	uint8_t how = BLOCK_PRESSED;
	size_t begin = body->size;

	flush_run(&b->columns[0].numbers);
	put_varint(ids, b->count);
	buf_append_bytes(ids, buf_bytes(&b->columns[0].numbers.out));
	put_columns(b, &plain);
	buf_append(body, &how, 1);
	put_varint(body, plain.size);
	lz_press(buf_bytes(&plain), body);
	if (body->size - begin > plain.size + 1) {
		body->size = begin;
		how = BLOCK_PLAIN;
		buf_append(body, &how, 1);
		buf_append_bytes(body, buf_bytes(&plain));
	}
	buf_fini(&plain);
	block_builder_clear(b);
}

void block_builder_clear(struct block_builder *b)
{
	for (uint32_t f = 0; f < b->fields->count; f++) {
		struct column *c = &b->columns[f];

		buf_clear(&c->numbers.out);
		c->numbers = (struct numbers){.out = c->numbers.out};
		buf_clear(&c->texts.bytes);
		c->texts.count = c->texts.last = 0;
		if (c->texts.slot_count > 0)
			memset(c->texts.slots, 0, c->texts.slot_count * sizeof *c->texts.slots);
		buf_clear(&c->ids);
		c->any = false;
	}
	b->count = 0;
	b->bytes = 0;
}
