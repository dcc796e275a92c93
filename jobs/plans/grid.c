/* shard: {grid: {seed: 1-100, lr: [0.1, 0.01]}}: a shard for each value of a name with each value of the
 * others, the last name changing first. The plan holds a text a name, an axis:
 *
 *   seed=1-100,200     values between commas; a range of numbers is each of them
 *   id=7\-9,a\,b       behind a backslash a byte stands for itself: the values 7-9 and a,b */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/number_range.h"
#include "jobs/plan.h"
#include "jobs/plan_kind.h"
#include "jobs/template.h"

#define AXES_MAX 8
#define NAME_MAX_BYTES 24
#define VALUE_MAX_BYTES 120
#define PIECES_MAX 4096
#define AXIS_MAX_BYTES (64 * 1024)
#define VARIABLE "SHARDMILL_GRID_"

/* All that a shard is told fits into struct plan_facts: its values, their names, and once more all of it. */
_Static_assert(AXES_MAX + 1 <= PLAN_FACTS_MAX, "a fact an axis, and one for the whole");
_Static_assert(AXES_MAX *(2 * (VALUE_MAX_BYTES + 1) + 2 * (NAME_MAX_BYTES + 2) + sizeof VARIABLE) <=
		   PLAN_FACTS_ROOM,
	       "the texts of a shard's facts");

/* ---- values between commas ---- */

/* The text up to the next comma that no backslash stands before; at moves behind it, and behind the text's
 * size at the end. */
static struct bytes next_piece(struct bytes text, size_t *at)
{
	size_t first = *at, end = first;

	while (end < text.size && text.data[end] != ',')
		end += text.data[end] == '\\' && end + 1 < text.size ? 2 : 1;
	*at = end + 1;
	return BYTES(text.data + first, end - first);
}

/* What a piece that is no range stands for, as far as there is room. Returns its whole size. */
static size_t unescape(struct bytes piece, char room[static VALUE_MAX_BYTES])
{
	size_t size = 0;

	for (size_t i = 0; i < piece.size; i++) {
		if (piece.data[i] == '\\' && i + 1 < piece.size)
			i++;
		if (size < VALUE_MAX_BYTES)
			room[size] = (char)piece.data[i];
		size++;
	}
	return size;
}

/* "9-1", "1-5:0": somebody meant a range. */
static bool looks_like_range(struct bytes piece)
{
	size_t i = 0, digits = 0, dashes = 0;

	for (; i < piece.size; i++) {
		digits += isdigit(piece.data[i]) != 0;
		dashes += piece.data[i] == '-';
		if (!isdigit(piece.data[i]) && piece.data[i] != '-' && piece.data[i] != ':')
			return false;
	}
	return dashes == 1 && digits > 1 && piece.data[0] != '-' && piece.data[piece.size - 1] != '-';
}

static bool is_range(struct bytes piece, struct number_range *ret)
{
	return looks_like_range(piece) && number_range_read(piece, ret);
}

static void write_literal(struct bytes value, struct buf *out)
{
	bool ranged = looks_like_range(value);

	for (size_t i = 0; i < value.size; i++) {
		if (memchr(",\\", value.data[i], 2) != NULL || (ranged && value.data[i] == '-'))
			buf_append(out, "\\", 1);
		buf_append(out, value.data + i, 1);
	}
}

static int check_value(struct bytes value, struct error *reterr)
{
	if (value.size > 0 && value.size <= VALUE_MAX_BYTES && memchr(value.data, '\0', value.size) == NULL)
		return 0;
	return error_set(reterr, ERR_INVALID, "expected values of 1 to %d bytes without NUL, found %s",
			 VALUE_MAX_BYTES,
			 value.size == 0		? "an empty one"
			 : value.size > VALUE_MAX_BYTES ? "a longer one"
							: "one with NUL");
}

/* A piece, in its one spelling, to out (may be NULL); adds to *count how many values it is. */
static int read_piece(struct bytes piece, uint64_t *count, struct buf *out, struct error *reterr)
{
	char found[60], room[VALUE_MAX_BYTES];
	struct number_range range;
	struct bytes value;
	int rc;

	if (is_range(piece, &range)) {
		*count += number_range_count(&range);
		if (out != NULL)
			number_range_write(&range, out);
		return 0;
	}
	if (looks_like_range(piece)) {
		error_set(reterr, ERR_INVALID, "expected a range such as 1-100 or 1-100:2, found %s",
			  text_quote(found, sizeof found, piece));
		return error_help(reterr, "where it is a text, write a backslash before its dash");
	}
	value = BYTES(room, unescape(piece, room));
	rc = check_value(value, reterr);
	*count += 1;
	if (rc == 0 && out != NULL)
		write_literal(value, out);
	return rc;
}

static int read_values(struct bytes text, uint64_t *count, struct buf *out, struct error *reterr)
{
	uint32_t pieces = 0;
	int rc = 0;

	*count = 0;
	for (size_t at = 0; rc == 0 && at <= text.size;) {
		struct bytes piece = next_piece(text, &at);

		if (++pieces > PIECES_MAX || text.size > AXIS_MAX_BYTES)
			return error_set(reterr, ERR_LIMIT, "more than %d values and ranges, or %d KiB",
					 PIECES_MAX, AXIS_MAX_BYTES / 1024);
		if (out != NULL && pieces > 1)
			buf_append(out, ",", 1);
		rc = read_piece(piece, count, out, reterr);
		if (rc == 0 && *count > SHARDS_MAX)
			return error_set(reterr, ERR_LIMIT, "%llu shards; at most %llu are allowed",
					 (unsigned long long)*count, SHARDS_MAX);
	}
	return rc;
}

/* ---- axes ---- */

struct axis {
	struct bytes name, values;
	uint64_t count;
};

static bool axis_read(struct bytes text, struct axis *ret)
{
	const uint8_t *equals = text.size > 0 ? memchr(text.data, '=', text.size) : NULL;

	if (equals == NULL)
		return false;
	ret->name = BYTES(text.data, (size_t)(equals - text.data));
	ret->values = BYTES(equals + 1, text.size - ret->name.size - 1);
	return read_values(ret->values, &ret->count, NULL, NULL) == 0;
}

/* Names become variables in capitals: two that differ in nothing else would be one. */
static bool same_name(struct bytes a, struct bytes b)
{
	for (size_t i = 0; a.size == b.size && i < a.size; i++)
		if (toupper(a.data[i]) != toupper(b.data[i]))
			return false;
	return a.size == b.size;
}

static int check_name(struct bytes name, const struct text_item_list *axes, struct error *reterr)
{
	char found[60], placeholder[NAME_MAX_BYTES + 16];
	bool fine = name.size > 0 && name.size <= NAME_MAX_BYTES && !isdigit(name.data[0]);
	struct axis other;

	for (size_t i = 0; fine && i < name.size; i++)
		fine = isalnum(name.data[i]) || name.data[i] == '_';
	text_quote(found, sizeof found, name);
	if (!fine)
		return error_set(reterr, ERR_INVALID,
				 "expected a name of at most %d letters, digits and _, found %s",
				 NAME_MAX_BYTES, found);
	snprintf(placeholder, sizeof placeholder, "shard.%.*s", (int)name.size, (const char *)name.data);
	if (!template_is_choosable(bytes_of(placeholder)))
		return error_set(reterr, ERR_INVALID, "{{%s}} is something else: choose another name",
				 placeholder);
	for (uint32_t i = 0; i < axes->count; i++)
		if (axis_read(axes->items[i].text, &other) && same_name(other.name, name))
			return error_set(reterr, ERR_INVALID, "the name %s stands in it twice", found);
	return 0;
}

static int write_axis(const struct shard_axis *axis, uint64_t *count, struct buf *out, struct error *reterr)
{
	int rc = 0;

	buf_append_bytes(out, axis->name);
	buf_append(out, "=", 1);
	if (axis->values == NULL)
		return read_values(axis->text, count, out, reterr);
	*count = axis->value_count;
	for (size_t i = 0; rc == 0 && i < axis->value_count; i++) {
		rc = check_value(axis->values[i], reterr);
		if (i > 0)
			buf_append(out, ",", 1);
		write_literal(axis->values[i], out);
	}
	return rc;
}

static int add(const struct shard_axis *axis, struct arena *arena, struct shard_section *s,
	       struct error *reterr)
{
	struct text_item_list *axes = &s->items;
	uint64_t count = 0, shards;
	struct buf text = {0};
	int rc = check_name(axis->name, axes, reterr);

	if (axes->items == NULL) {
		axes->items = arena_alloc(arena, AXES_MAX * sizeof *axes->items);
		CHECK(axes->items != NULL);
		s->count = 1;
	}
	if (rc == 0 && axes->count == AXES_MAX)
		rc = error_set(reterr, ERR_LIMIT, "more than %d names", AXES_MAX);
	if (rc == 0)
		rc = write_axis(axis, &count, &text, reterr);
	if (rc == 0 && text.size > AXIS_MAX_BYTES)
		rc = error_set(reterr, ERR_LIMIT, "more than %d KiB of values", AXIS_MAX_BYTES / 1024);
	if (rc == 0) {
		shards = s->count * count;
		axes->items[axes->count].text = arena_copy(arena, buf_bytes(&text));
		CHECK(axes->items[axes->count].text.data != NULL);
		axes->count++;
		if (shards > SHARDS_MAX)
			rc = error_set(reterr, ERR_LIMIT, "%llu shards; at most %llu are allowed",
				       (unsigned long long)shards, SHARDS_MAX);
		else
			s->count = (uint32_t)shards;
	}
	buf_fini(&text);
	return rc;
}

static void cut(const struct shard_section *s, struct plan *ret)
{
	ret->items = s->items;
	ret->shard_count = s->count;
}

static int validate(const struct plan *p, struct error *reterr)
{
	uint64_t shards = 1;
	struct axis axis;

	if (p->items.count < 1 || p->items.count > AXES_MAX)
		return error_set(reterr, ERR_INVALID, "expected 1 to %d names, found %u", AXES_MAX,
				 p->items.count);
	for (uint32_t i = 0; i < p->items.count; i++) {
		struct text_item_list before = {p->items.items, i};

		if (!axis_read(p->items.items[i].text, &axis) || check_name(axis.name, &before, NULL) < 0)
			return error_set(reterr, ERR_INVALID, "expected NAME=VALUES of a grid");
		shards *= axis.count; /* each is at most SHARDS_MAX */
		if (shards > SHARDS_MAX)
			break;
	}
	if (shards != p->shard_count)
		return error_set(reterr, ERR_INVALID, "%u shards are named, but the grid has %s",
				 p->shard_count, shards > SHARDS_MAX ? "more" : "others");
	return 0;
}

/* ---- what a shard is ---- */

static struct bytes value_of(const struct axis *axis, uint64_t nth, char room[static VALUE_MAX_BYTES])
{
	struct number_range range;

	for (size_t at = 0; at <= axis->values.size;) {
		struct bytes piece = next_piece(axis->values, &at);
		uint64_t count = is_range(piece, &range) ? number_range_count(&range) : 1;

		if (nth >= count) {
			nth -= count;
			continue;
		}
		if (!is_range(piece, &range))
			return BYTES(room, unescape(piece, room));
		return BYTES(room, (size_t)snprintf(room, VALUE_MAX_BYTES, "%lld",
						    (long long)(range.first + (int64_t)nth * range.step)));
	}
	return BYTES(NULL, 0); /* validate refuses such a plan */
}

/* Calls tell with each name and value of a shard. */
static void each_value(const struct plan_shard *s,
		       void (*tell)(void *arg, struct bytes name, struct bytes value), void *arg)
{
	struct axis axes[AXES_MAX];
	uint64_t nth[AXES_MAX], rest = s->shard;
	uint32_t count = s->plan->items.count <= AXES_MAX ? s->plan->items.count : AXES_MAX;
	char room[VALUE_MAX_BYTES];

	for (uint32_t i = count; i-- > 0;) {
		if (!axis_read(s->plan->items.items[i].text, &axes[i]))
			return; /* validate refuses such a plan */
		nth[i] = rest % axes[i].count;
		rest /= axes[i].count;
	}
	for (uint32_t i = 0; i < count; i++)
		tell(arg, axes[i].name, value_of(&axes[i], nth[i], room));
}

static void tell_placeholder(void *arg, struct bytes name, struct bytes value)
{
	const char *kept = facts_keep(arg, "shard.%.*s", (int)name.size, (const char *)name.data);

	fact_printf(arg, kept, "%.*s", (int)value.size, (const char *)value.data);
}

static void tell_variable(void *arg, struct bytes name, struct bytes value)
{
	char capitals[NAME_MAX_BYTES + 1] = "";

	for (size_t i = 0; i < name.size && i < NAME_MAX_BYTES; i++)
		capitals[i] = (char)toupper(name.data[i]);
	fact_printf(arg, facts_keep(arg, VARIABLE "%s", capitals), "%.*s", (int)value.size,
		    (const char *)value.data);
}

static void add_point(void *arg, struct bytes name, struct bytes value)
{
	struct buf *out = arg;

	buf_printf(out, "%s%.*s=%.*s", out->size > 0 ? "," : "", (int)name.size, (const char *)name.data,
		   (int)value.size, (const char *)value.data);
}

/* "seed=1,lr=0.1" */
static void tell_point(const struct plan_shard *s, const char *name, struct plan_facts *ret)
{
	struct buf point = {0};

	each_value(s, add_point, &point);
	fact_printf(ret, name, "%s", buf_text(&point));
	buf_fini(&point);
}

static void sentence(const struct plan *p, bool at_least, struct buf *out)
{
	(void)at_least;
	buf_printf(out, "%u shard%s, with", p->shard_count, p->shard_count == 1 ? "" : "s");
	for (uint32_t i = 0; i < p->items.count; i++) {
		struct axis axis;

		if (axis_read(p->items.items[i].text, &axis))
			buf_printf(out, "%s %llu value%s of %.*s", i > 0 ? " times" : "",
				   (unsigned long long)axis.count, axis.count == 1 ? "" : "s",
				   (int)axis.name.size, (const char *)axis.name.data);
	}
}

static void preview(const struct plan_shard *s, struct plan_facts *ret)
{
	tell_point(s, "value", ret);
}

static void expand(const struct plan_shard *s, struct plan_facts *ret)
{
	tell_point(s, "shard.value", ret);
	each_value(s, tell_placeholder, ret);
}

static void environment(const struct plan_shard *s, struct plan_facts *ret)
{
	tell_point(s, "SHARDMILL_VALUE", ret);
	each_value(s, tell_variable, ret);
}

static void runner(const struct plan *p, struct plan_facts *ret)
{
	struct axis axis;

	for (uint32_t i = 0; i < p->items.count && i < AXES_MAX; i++)
		if (axis_read(p->items.items[i].text, &axis))
			fact_text(ret, facts_keep(ret, "grid_%.*s", (int)axis.name.size, axis.name.data),
				  axis.values);
}

static bool names_also(const struct shard_section *s, struct bytes name)
{
	const size_t prefix = strlen("shard.");
	struct axis axis;

	for (uint32_t i = 0; i < s->items.count; i++)
		if (axis_read(s->items.items[i].text, &axis) && name.size == prefix + axis.name.size &&
		    memcmp(name.data + prefix, axis.name.data, axis.name.size) == 0)
			return true;
	return false;
}

const struct plan_row plan_row_grid = {
    .kind = PLAN_GRID,
    .input = PLAN_INPUT_NONE,
    .planner = PLANNER_PURE,
    .column = "VALUES",
    .keys = {{.name = "grid",
	      .form = SHARD_AXES,
	      .expected = "names with their values, such as {seed: 1-100, lr: [0.1, 0.01]}",
	      .add = add}},
    .cut = cut,
    .validate = validate,
    .sentence = sentence,
    .preview = preview,
    .names = {"shard.value"},
    .names_also = names_also,
    .expand = expand,
    .environment = environment,
    .runner = runner,
};
