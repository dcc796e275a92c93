/* Copying, comparing and showing any struct that a codec describes. */
#include "jobs/codec.h"

#include <string.h>

#include "base/check.h"
#include "jobs/codec_private.h"

static const void *item_at(const struct codec *item, const struct codec_list *list, uint32_t i)
{
	return (const uint8_t *)list->items + i * item->size;
}

static bool copy_list(const struct codec *item, const struct codec_list *from, struct codec_list *to,
		      struct arena *a)
{
	to->items = NULL;
	to->count = from->count;
	if (from->count == 0)
		return true;
	to->items = arena_alloc(a, item->size * from->count);
	for (uint32_t i = 0; to->items != NULL && i < from->count; i++)
		if (!codec_copy(item, item_at(item, from, i), (uint8_t *)to->items + i * item->size, a))
			return false;
	return to->items != NULL;
}

bool codec_copy(const struct codec *c, const void *from, void *to, struct arena *arena)
{
	memcpy(to, from, c->size);
	for (size_t i = 0; i < c->field_count; i++) {
		const struct codec_field *f = &c->fields[i];
		const void *src = (const uint8_t *)from + f->offset;
		void *dst = (uint8_t *)to + f->offset;
		bool ok = true;

		if (f->kind == CODEC_BYTES || f->kind == CODEC_TEXT) {
			*(struct bytes *)dst = arena_copy(arena, *(const struct bytes *)src);
			ok = ((struct bytes *)dst)->data != NULL;
		} else if (f->kind == CODEC_SUB) {
			ok = codec_copy(f->sub(), src, dst, arena);
		} else if (f->kind == CODEC_LIST) {
			ok = copy_list(f->sub(), src, dst, arena);
		}
		if (!ok)
			return false;
	}
	return true;
}

bool codec_field_equal(const struct codec_field *f, const void *a, const void *b)
{
	const struct codec_list *la = a, *lb = b;

	switch (f->kind) {
	case CODEC_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case CODEC_U8:
		return *(const uint8_t *)a == *(const uint8_t *)b;
	case CODEC_U32:
	case CODEC_WHOLE:
	case CODEC_MILLI:
		return *(const uint32_t *)a == *(const uint32_t *)b;
	case CODEC_U64:
	case CODEC_I64:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case CODEC_BYTES:
	case CODEC_TEXT:
		return bytes_equal(*(const struct bytes *)a, *(const struct bytes *)b);
	case CODEC_SUB:
		return codec_equal(f->sub(), a, b);
	case CODEC_LIST:
		if (la->count != lb->count)
			return false;
		for (uint32_t i = 0; i < la->count; i++)
			if (!codec_equal(f->sub(), item_at(f->sub(), la, i), item_at(f->sub(), lb, i)))
				return false;
		return true;
	}
	CHECK(false);
	return false;
}

bool codec_equal(const struct codec *c, const void *a, const void *b)
{
	for (size_t i = 0; i < c->field_count; i++) {
		size_t offset = c->fields[i].offset;

		if (!codec_field_equal(&c->fields[i], (const uint8_t *)a + offset,
				       (const uint8_t *)b + offset))
			return false;
	}
	return true;
}

static size_t field_size_max(const struct codec_field *f, const void *at)
{
	const struct codec_list *list = at;
	size_t size = 5; /* of a header, or of a number of 32 bits */

	switch (f->kind) {
	case CODEC_BOOL:
		return 1;
	case CODEC_U8:
		return 2;
	case CODEC_U32:
	case CODEC_WHOLE:
	case CODEC_MILLI:
		return size;
	case CODEC_U64:
	case CODEC_I64:
		return 9;
	case CODEC_BYTES:
	case CODEC_TEXT:
		return size + ((const struct bytes *)at)->size;
	case CODEC_SUB:
		return codec_size_max(f->sub(), at);
	case CODEC_LIST:
		for (uint32_t i = 0; i < list->count; i++)
			size += codec_size_max(f->sub(), item_at(f->sub(), list, i));
		return size;
	}
	CHECK(false);
	return 0;
}

size_t codec_size_max(const struct codec *c, const void *value)
{
	size_t size = c->field_count < 16 ? 1 : 3;

	for (size_t i = 0; i < c->field_count; i++)
		size += field_size_max(&c->fields[i], (const uint8_t *)value + c->fields[i].offset);
	return size;
}

static const char *kind_name(const struct codec_field *f)
{
	static const char *const names[] = {"bool", "u8", "u32",      "u64", "i64", "bytes",
					    "text", "",	  "list of ", "u32", "u32"};

	return names[f->kind];
}

void codec_document(const struct codec *c, struct buf *out)
{
	for (size_t i = 0; i < c->field_count; i++) {
		const struct codec_field *f = &c->fields[i];

		buf_printf(out, "| %s | %s%s | %u | %s |\n", f->name, kind_name(f),
			   f->sub ? f->sub()->name : "", f->since, f->doc);
	}
}

static void print_text(struct bytes b, struct buf *out)
{
	buf_printf(out, "\"");
	for (size_t i = 0; i < b.size; i++) {
		uint8_t ch = b.data[i];

		if (ch == '"' || ch == '\\')
			buf_printf(out, "\\%c", ch);
		else if (ch < 0x20 || ch >= 0x7f)
			buf_printf(out, "\\u%04x", ch);
		else
			buf_append(out, &ch, 1);
	}
	buf_printf(out, "\"");
}

static void print_field(const struct codec_field *f, const void *at, struct buf *out)
{
	const struct bytes *b = at;
	const struct codec_list *list = at;

	switch (f->kind) {
	case CODEC_BOOL:
		buf_printf(out, "%s", *(const bool *)at ? "true" : "false");
		return;
	case CODEC_U8:
		buf_printf(out, "%u", *(const uint8_t *)at);
		return;
	case CODEC_U32:
	case CODEC_WHOLE:
	case CODEC_MILLI:
		buf_printf(out, "%u", *(const uint32_t *)at);
		return;
	case CODEC_U64:
		buf_printf(out, "%llu", *(const unsigned long long *)at);
		return;
	case CODEC_I64:
		buf_printf(out, "%lld", *(const long long *)at);
		return;
	case CODEC_TEXT:
		print_text(*b, out);
		return;
	case CODEC_BYTES:
		buf_printf(out, "\"");
		for (size_t i = 0; i < b->size; i++)
			buf_printf(out, "%02x", b->data[i]);
		buf_printf(out, "\"");
		return;
	case CODEC_SUB:
		codec_print(f->sub(), at, out);
		return;
	case CODEC_LIST:
		for (uint32_t i = 0; i < list->count; i++) {
			buf_printf(out, "%s", i ? ", " : "[");
			codec_print(f->sub(), item_at(f->sub(), list, i), out);
		}
		buf_printf(out, "%s", list->count ? "]" : "[]");
		return;
	}
	CHECK(false);
}

void codec_print(const struct codec *c, const void *value, struct buf *out)
{
	buf_printf(out, "{");
	for (size_t i = 0; i < c->field_count; i++) {
		buf_printf(out, "%s\"%s\": ", i ? ", " : "", c->fields[i].name);
		print_field(&c->fields[i], (const uint8_t *)value + c->fields[i].offset, out);
	}
	buf_printf(out, "}");
}
