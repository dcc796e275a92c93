/* Golden files: each message and record, all of its fields set, as each version of the formats writes it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "jobs/schema.h"
#include "tests/unit/jobs/data.h"

#define DEPTH_MAX 8 /* of structs in structs */

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, 0);
}

static void teardown(void)
{
	arena_fini(&arena);
}

TestSuite(formats, .init = setup, .fini = teardown);

/* ---- a value that tells each field from the others ---- */

static void fill(const struct codec *c, void *value, uint32_t since_max, uint32_t *n, int depth);

static struct bytes fill_text(uint32_t n)
{
	char text[16];

	snprintf(text, sizeof text, "t%u", n);
	return arena_copy(&arena, bytes_of(text));
}

static void fill_list(const struct codec *item, struct codec_list *list, uint32_t since_max, uint32_t *n,
		      int depth)
{
	list->count = 2;
	list->items = arena_alloc(&arena, list->count * item->size);
	for (uint32_t i = 0; i < list->count; i++)
		fill(item, (uint8_t *)list->items + i * item->size, since_max, n, depth + 1);
}

static void fill_field(const struct codec_field *f, void *at, uint32_t since_max, uint32_t *n, int depth)
{
	switch (f->kind) {
	case CODEC_BOOL:
		*(bool *)at = true;
		return;
	case CODEC_U8:
		*(uint8_t *)at = (uint8_t)(1 + ++*n % 255);
		return;
	case CODEC_U32:
		*(uint32_t *)at = ++*n;
		return;
	case CODEC_U64:
		*(uint64_t *)at = ++*n;
		return;
	case CODEC_I64:
		*(int64_t *)at = -(int64_t)++ * n;
		return;
	case CODEC_BYTES:
	case CODEC_TEXT:
		*(struct bytes *)at = fill_text(++*n);
		return;
	case CODEC_SUB:
		fill(f->sub(), at, since_max, n, depth + 1);
		return;
	case CODEC_LIST:
		fill_list(f->sub(), at, since_max, n, depth);
		return;
	case CODEC_WHOLE:
		*(uint32_t *)at = 1000 * ++*n;
		return;
	case CODEC_MILLI:
		*(uint32_t *)at -= 500;
		return;
	}
}

static void fill(const struct codec *c, void *value, uint32_t since_max, uint32_t *n, int depth)
{
	cr_assert_lt(depth, DEPTH_MAX);
	/* Later totals grow without a new version. */
	for (size_t i = 0; i < c->field_count; i++)
		if (c->fields[i].since <= since_max && strcmp(c->fields[i].name, "later_totals") != 0)
			fill_field(&c->fields[i], (uint8_t *)value + c->fields[i].offset, since_max, n,
				   depth);
}

/* ---- files: a line a variant, its name and its bytes ---- */

static bool next_line(struct bytes *text, char name[64], uint8_t bytes[8192], size_t *ret_size)
{
	const uint8_t *end = text->size == 0 ? NULL : memchr(text->data, '\n', text->size);
	char line[16500];
	size_t at, length;

	if (end == NULL)
		return false;
	length = (size_t)(end - text->data);
	cr_assert_lt(length, sizeof line);
	memcpy(line, text->data, length);
	line[length] = '\0';
	*text = BYTES(end + 1, text->size - length - 1);
	cr_assert_eq(sscanf(line, "%63s", name), 1);
	at = strlen(name) + 1;
	*ret_size = (length - at) / 2;
	cr_assert_leq(*ret_size, 8192);
	for (size_t i = 0; i < *ret_size; i++) {
		unsigned byte;

		cr_assert_eq(sscanf(line + at + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
	return true;
}

static const struct codec_variant *find(const struct codec_union *u, const char *name)
{
	for (size_t i = 0; i < u->variant_count; i++)
		if (strcmp(u->variants[i].name, name) == 0)
			return &u->variants[i];
	return NULL;
}

typedef void encode_fn(const struct codec_union *u, uint32_t type, const void *value, struct buf *out);

/* It is read, as what the version's fields say, and written again in the same bytes. */
static void check_line(const struct codec_union *u, const char *name, struct bytes golden, uint32_t since_max,
		       encode_fn *encode)
{
	const struct codec_variant *v = find(u, name);
	struct buf written = {0}, shown = {0};
	struct bytes rest = golden;
	uint32_t type, n = 0;
	void *read, *value;

	cr_assert_not_null(v, "%s %s is not known any more", u->name, name);
	cr_assert_eq(codec_union_decode(u, &rest, &type, &read, &arena, NULL), 0, "%s", name);
	value = arena_alloc(&arena, v->codec()->size);
	fill(v->codec(), value, since_max, &n, 0);
	codec_print(v->codec(), read, &shown);
	cr_expect(codec_equal(v->codec(), value, read), "%s: read as %s", name, buf_text(&shown));
	encode(u, type, value, &written);
	cr_expect(bytes_equal(buf_bytes(&written), golden), "%s: written otherwise", name);
	buf_fini(&written);
	buf_fini(&shown);
}

static void check_file(const struct codec_union *u, const char *file, uint32_t since_max, size_t count,
		       encode_fn *encode)
{
	struct buf text = {0};
	struct bytes rest = data_read(&text, file);
	uint8_t bytes[8192];
	char name[64];
	size_t size, lines = 0;

	while (next_line(&rest, name, bytes, &size)) {
		check_line(u, name, BYTES(bytes, size), since_max, encode);
		lines++;
	}
	cr_expect_eq(lines, count, "%s has %zu lines", file, lines);
	buf_fini(&text);
}

/* Written by builds of these versions. What a version did not have costs no byte today. */
Test(formats, messages_and_records_of_version_3_are_read_and_written_as_they_were)
{
	check_file(&message_union, "wire/version-3.txt", 3, 18, codec_union_encode);
	check_file(&record_union, "journal/records-1.txt", 3, 19, codec_union_encode);
}

Test(formats, messages_and_records_of_version_4_are_read_and_written_as_they_were)
{
	check_file(&message_union, "wire/version-4.txt", 4, 18, codec_union_encode);
	check_file(&record_union, "journal/records-2.txt", 4, 23, codec_union_encode);
}

Test(formats, messages_of_version_5_are_read_and_written_as_they_were)
{
	check_file(&message_union, "wire/version-5.txt", 5, 18, codec_union_encode);
}

Test(formats, messages_and_records_of_version_6_are_read_and_written_as_they_were)
{
	check_file(&message_union, "wire/version-6.txt", 6, 18, codec_union_encode);
	check_file(&record_union, "journal/records-3.txt", 6, 24, codec_union_encode);
}

Test(formats, messages_and_records_of_this_version_are_written_down)
{
	check_file(&message_union, "wire/version-7.txt", 7, message_union.variant_count,
		   codec_union_encode_deltas);
	check_file(&record_union, "journal/records-4.txt", 7, record_union.variant_count,
		   codec_union_encode_deltas);
}

/* ---- parts of gpus ---- */

static struct resources resources_of(const char *bytes, size_t size)
{
	struct resources r;

	cr_assert_eq(codec_decode(codec_resources(), BYTES(bytes, size), &r, &arena, NULL), 0);
	return r;
}

Test(formats, gpus_are_thousandths_and_older_readers_see_whole_ones)
{
	struct resources half = {.cpu_milli = 1, .gpu_milli = 1500},
			 two = {.cpu_milli = 1, .gpu_milli = 2000};
	struct buf b = {0};

	codec_encode(codec_resources(), &two, &b);
	cr_expect(bytes_equal(buf_bytes(&b), BYTES_LIT("\x94\x01\x00\x02\x90")), "as it always was");
	buf_clear(&b);
	codec_encode(codec_resources(), &half, &b);
	cr_expect(bytes_equal(buf_bytes(&b), BYTES_LIT("\x95\x01\x00\x02\x90\xcd\x05\xdc")));
	cr_expect_eq(resources_of("\x94\x01\x00\x02\x90", 5).gpu_milli, 2000);
	cr_expect_eq(resources_of("\x95\x01\x00\x02\x90\xcd\x05\xdc", 8).gpu_milli, 1500);
	cr_expect_eq(resources_of("\x95\x01\x00\x02\x90\x00", 6).gpu_milli, 2000);
	cr_expect_eq(resources_of("\x94\x01\x00\xce\xff\xff\xff\xff\x90", 9).gpu_milli, UINT32_MAX);
	buf_fini(&b);
}

Test(formats, what_nobody_uses_costs_no_byte)
{
	struct new_job j = {.job = 1};
	struct buf b = {0};
	size_t size;

	codec_encode(codec_new_job(), &j, &b);
	size = b.size;
	cr_expect_eq(b.data[0], 0x9b, "the 11 fields that there were");
	j.by = (struct principal){.kind = 1, .number = 1000};
	buf_clear(&b);
	codec_encode(codec_new_job(), &j, &b);
	cr_expect_eq(b.size - size, 6, "a kind, no name, a number: %zu", b.size - size);
	buf_fini(&b);
}
