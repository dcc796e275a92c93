#include "jobs/definition_read.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"

#define KEYS_MAX 32
#define INPUT_VARIABLES "SHARDMILL_INPUT_"

void *read_alloc(struct definition_reader *r, size_t count, size_t size)
{
	void *ptr = arena_alloc(r->arena, (count > 0 ? count : 1) * size);

	CHECK(ptr != NULL);
	return ptr;
}

bool read_refuse(struct definition_reader *r, const struct node *n, const char *help, const char *expected)
{
	char found[100];

	(void)problems_add(r->problems, n->at, ERR_INVALID, help, "expected %s, found %s", expected,
			   node_found(n, found, sizeof found));
	return false;
}

bool read_refuse_error(struct definition_reader *r, struct place at, const struct error *e)
{
	(void)problems_add_error(r->problems, at, e);
	return false;
}

static bool refuse_key(struct definition_reader *r, const struct node *child, const char *what,
		       const struct definition_key keys[], size_t key_count)
{
	const char *known[KEYS_MAX], *nearest;
	char quoted[80], help[256];
	size_t used;

	CHECK(key_count <= KEYS_MAX);
	for (size_t i = 0; i < key_count; i++)
		known[i] = keys[i].name;
	nearest = text_nearest(child->key, known, key_count);
	used =
	    (size_t)snprintf(help, sizeof help, nearest != NULL ? "did you mean %s?" : "known are", nearest);
	for (size_t i = 0; nearest == NULL && i < key_count && used < sizeof help; i++)
		used +=
		    (size_t)snprintf(help + used, sizeof help - used, "%s %s", i > 0 ? "," : "", known[i]);
	(void)problems_add(r->problems, child->key_at, ERR_INVALID, help, "%s has no key %s", what,
			   text_quote(quoted, sizeof quoted, child->key));
	return false;
}

bool read_map(struct definition_reader *r, const struct node *n, const char *what,
	      const struct definition_key keys[], size_t key_count, void *target)
{
	bool fine = true;
	char expected[100];

	if (n->kind != NODE_MAP) {
		snprintf(expected, sizeof expected, "%s, a map", what);
		return read_refuse(r, n, NULL, expected);
	}
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		size_t i = 0;

		while (i < key_count && !bytes_equal(child->key, bytes_of(keys[i].name)))
			i++;
		if (i == key_count)
			fine = refuse_key(r, child, what, keys, key_count);
	}
	for (size_t i = 0; i < key_count; i++) {
		const struct node *child = node_get(n, keys[i].name);

		if (child != NULL && keys[i].read != NULL)
			fine = keys[i].read(r, child, target) && fine;
		if (child != NULL || !keys[i].required)
			continue;
		(void)problems_add(r->problems, n->at, ERR_INVALID, NULL, "%s needs the key %s", what,
				   keys[i].name);
		fine = false;
	}
	return fine;
}

bool read_text(struct definition_reader *r, const struct node *n, struct bytes *ret)
{
	if (n->kind != NODE_SCALAR || (n->text.size == 0 && !n->quoted))
		return read_refuse(r, n, NULL, "a text");
	*ret = n->text;
	return true;
}

bool read_name(struct definition_reader *r, const struct node *n, struct bytes *ret)
{
	if (n->kind != NODE_SCALAR || !is_name(n->text))
		return read_refuse(r, n, "letters, digits and, behind the first, . _ and -; at most 128",
				   "a name");
	*ret = n->text;
	return true;
}

bool read_integer(struct definition_reader *r, const struct node *n, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = n->text.size > 0 && n->text.data[0] == '-', digits = n->text.size > negative;
	int64_t value = 0;
	char expected[80];

	for (size_t i = negative; i < n->text.size && digits; i++) {
		uint8_t c = n->text.data[i];

		digits = c >= '0' && c <= '9' && value <= (INT64_MAX - 9) / 10;
		if (digits)
			value = value * 10 + (c - '0');
	}
	if (negative)
		value = -value;
	if (n->kind != NODE_SCALAR || !digits || value < min || value > max) {
		snprintf(expected, sizeof expected, "a number from %lld to %lld", (long long)min,
			 (long long)max);
		return read_refuse(r, n, NULL, expected);
	}
	*ret = value;
	return true;
}

bool read_bool(struct definition_reader *r, const struct node *n, bool *ret)
{
	bool yes = bytes_equal(n->text, BYTES_LIT("true")), no = bytes_equal(n->text, BYTES_LIT("false"));

	if (n->kind != NODE_SCALAR || n->quoted || (!yes && !no))
		return read_refuse(r, n, NULL, "true or false");
	*ret = yes;
	return true;
}

bool read_duration(struct definition_reader *r, const struct node *n, int64_t *ret)
{
	struct error e;

	if (n->kind != NODE_SCALAR)
		return read_refuse(r, n, NULL, "a duration such as 90s, 1h30m or 250ms");
	if (units_parse_duration(n->text, ret, &e) < 0)
		return read_refuse_error(r, n->at, &e);
	return true;
}

bool read_timeout(struct definition_reader *r, const struct node *n, int64_t *ret)
{
	int64_t value;

	if (n->kind == NODE_SCALAR && bytes_equal(n->text, BYTES_LIT("none"))) {
		*ret = 0;
		return true;
	}
	if (!read_duration(r, n, &value))
		return false;
	if (value == 0)
		return read_refuse(r, n, "write none for no timeout", "a duration above 0");
	*ret = value;
	return true;
}

bool read_size(struct definition_reader *r, const struct node *n, uint64_t *ret)
{
	struct error e;
	uint64_t value;

	if (n->kind != NODE_SCALAR)
		return read_refuse(r, n, NULL, "a size such as 512, 64MiB or 1GB");
	if (units_parse_size(n->text, &value, &e) < 0)
		return read_refuse_error(r, n->at, &e);
	if (value == 0)
		return read_refuse(r, n, NULL, "a size above 0");
	*ret = value;
	return true;
}

bool read_milli(struct definition_reader *r, const struct node *n, uint64_t *ret)
{
	struct error e;
	uint32_t value;

	if (n->kind != NODE_SCALAR)
		return read_refuse(r, n, NULL, "a number such as 2 or 0.5");
	if (units_parse_cpus(n->text, &value, &e) < 0)
		return read_refuse_error(r, n->at, &e);
	if (value == 0)
		return read_refuse(r, n, NULL, "a number of at least 0.001");
	*ret = value;
	return true;
}

bool read_kind(struct definition_reader *r, const struct node *n, uint8_t (*of)(struct bytes),
	       const char *names, uint8_t *ret)
{
	uint8_t kind = n->kind == NODE_SCALAR ? of(n->text) : 0;

	if (kind == 0)
		return read_refuse(r, n, NULL, names);
	*ret = kind;
	return true;
}

static bool note_values(struct definition_reader *r, const struct node *n, const struct template *t)
{
	for (uint32_t i = 0; i < t->part_count; i++) {
		uint32_t k = 0;

		if (t->parts[i].kind != PART_EVENT)
			continue;
		while (k < r->value_count && !bytes_equal(r->values[k].text, t->parts[i].text))
			k++;
		if (k == DEFINITION_VALUES_MAX) {
			(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL,
					   "a definition that names over %d values of its event",
					   DEFINITION_VALUES_MAX);
			return false;
		}
		if (k == r->value_count)
			r->values[r->value_count++].text = t->parts[i].text;
	}
	return true;
}

/* Where a byte of a scalar stands, as far as its text stands in the file as it is. */
static struct place place_in(const struct node *n, size_t offset)
{
	struct place at = n->at;

	if (memchr(n->text.data, '\n', n->text.size) != NULL)
		return at;
	at.column += n->quoted;
	for (size_t i = 0; i < offset; i++)
		at.column += (n->text.data[i] & 0xc0) != 0x80;
	return at;
}

/* Names of the plan: those that its definition chose must be among them. */
static bool check_plan_names(struct definition_reader *r, const struct node *n, const struct template *t)
{
	const struct plan_row *row = plan_row(r->d->shard.kind);
	char found[80];

	for (uint32_t i = 0; i < t->part_count; i++) {
		struct bytes name = t->parts[i].text;

		if (t->parts[i].kind != PART_SHARD_PLAN || row->names_also == NULL ||
		    !template_is_choosable(name) || row->names_also(&r->d->shard, name))
			continue;
		(void)problems_add(r->problems, n->at, ERR_INVALID, NULL, "`%s` has no value %s",
				   row->keys[0].name, text_quote(found, sizeof found, name));
		return false;
	}
	return true;
}

/* Does it name what is one shard's, by a placeholder or by a variable that a shell would read? */
static bool names_part(struct bytes text, const struct template *t)
{
	for (uint32_t i = 0; i < t->part_count; i++)
		if (t->parts[i].kind == PART_SHARD_PLAN || t->parts[i].kind == PART_SHARD_INPUT_FILE)
			return true;
	return memmem(text.data, text.size, INPUT_VARIABLES, strlen(INPUT_VARIABLES)) != NULL;
}

bool read_template(struct definition_reader *r, const struct node *n, unsigned scope, bool keep_values,
		   struct bytes *ret)
{
	struct template t;
	struct bytes text;
	struct error e;
	size_t offset = 0;

	if (!read_text(r, n, &text))
		return false;
	if (text.size >= ARG_BYTES_MAX) {
		(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL,
				   "a text of %zu bytes; at most %llu can be "
				   "passed to a program",
				   text.size, ARG_BYTES_MAX - 1);
		return false;
	}
	if (template_compile(text, scope, r->arena, &t, &offset, &e) < 0)
		return read_refuse_error(r, place_in(n, offset), &e);
	if (!check_plan_names(r, n, &t) || (keep_values && !note_values(r, n, &t)))
		return false;
	r->names_part = r->names_part || names_part(text, &t);
	*ret = text;
	return true;
}

bool read_template_list(struct definition_reader *r, const struct node *n, unsigned scope, uint32_t max,
			struct text_item_list *ret)
{
	struct text_item_list list = {0};
	bool fine = true;

	if (n->kind == NODE_SCALAR)
		return read_refuse(r, n, "write [program, argument, …]; for a shell [sh, -c, \"…\"]",
				   "a list: the program and its arguments");
	if (n->kind != NODE_LIST || n->child_count == 0)
		return read_refuse(r, n, NULL, "a list: the program and its arguments");
	if (n->child_count > max) {
		(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL, "%u arguments; at most %u are taken",
				   n->child_count, max);
		return false;
	}
	list.items = read_alloc(r, n->child_count, sizeof *list.items);
	for (const struct node *child = n->children; child != NULL; child = child->next)
		fine = read_template(r, child, scope, true, &list.items[list.count++].text) && fine;
	if (fine)
		*ret = list;
	return fine;
}
