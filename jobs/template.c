#include "jobs/template.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/plan_kind.h"

#define NAME_SHOWN 80

struct name {
	const char *name;
	enum template_part_kind kind;
	unsigned scope;
};

static const struct name any_plan[] = {
    {"job.id", PART_JOB_ID, TEMPLATE_JOB},
    {"job.name", PART_JOB_NAME, TEMPLATE_JOB},
    {"shard.index", PART_SHARD_INDEX, TEMPLATE_SHARD},
    {"shard.count", PART_SHARD_COUNT, TEMPLATE_SHARD},
    {"shard.input_file", PART_SHARD_INPUT_FILE, TEMPLATE_INPUT},
};

/* Every name but event.PATH, the file last; false behind the last. A name that two plan kinds have comes
 * twice. */
static bool name_at(size_t n, struct name *ret)
{
	const size_t before = ARRAY_LENGTH(any_plan) - 1;
	const struct plan_row *row;

	if (n < before) {
		*ret = any_plan[n];
		return true;
	}
	n -= before;
	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++)
		for (size_t k = 0; row->names[k] != NULL; k++)
			if (n-- == 0) {
				*ret =
				    (struct name){row->names[k], PART_SHARD_PLAN, TEMPLATE_PLAN(row->kind)};
				return true;
			}
	*ret = any_plan[before];
	return n == 0;
}

static bool has_prefix(struct bytes b, const char *prefix)
{
	size_t size = strlen(prefix);

	return b.size >= size && memcmp(b.data, prefix, size) == 0;
}

bool template_is_choosable(struct bytes name)
{
	struct name known;

	if (!has_prefix(name, "shard.") || name.size == strlen("shard."))
		return false;
	for (size_t i = 0; name_at(i, &known); i++)
		if (bytes_equal(bytes_of(known.name), name))
			return false;
	return true;
}

static const struct {
	const char *name;
	bool deep; /* a path may go on below it */
} event_members[] = {
    {"id", false},     {"source", false}, {"detail-type", false}, {"time", false},  {"account", false},
    {"region", false}, {"object", false}, {"resources", true},	  {"detail", true}, {"extensions", true},
};

const char *template_names(unsigned scope, char *buf, size_t size)
{
	size_t used = 0;
	struct name name;

	buf[0] = '\0';
	if (scope & TEMPLATE_EVENT)
		used += (size_t)snprintf(buf, size, "event.PATH");
	for (size_t i = 0; used < size && name_at(i, &name); i++)
		if (scope & name.scope)
			used +=
			    (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "", name.name);
	return buf;
}

/* Braces in a row from `at` on, at most four. */
static size_t count_open(struct bytes text, size_t at)
{
	size_t n = 0;

	while (n < 4 && at + n < text.size && text.data[at + n] == '{')
		n++;
	return n;
}

/* A dotted path of non-empty steps below a member that an event can have. */
static int check_event_path(struct bytes name, struct error *reterr)
{
	struct bytes path = BYTES(name.data + strlen("event."), name.size - strlen("event."));
	char quoted[NAME_SHOWN];

	for (size_t i = 0; i <= path.size; i++)
		if ((i == path.size || path.data[i] == '.') && (i == 0 || path.data[i - 1] == '.'))
			return error_set(reterr, ERR_INVALID, "%s has an empty step",
					 text_quote(quoted, sizeof quoted, name));
	for (size_t i = 0; i < ARRAY_LENGTH(event_members); i++) {
		size_t size = strlen(event_members[i].name);

		if (!has_prefix(path, event_members[i].name))
			continue;
		if (path.size == size || (path.data[size] == '.' && event_members[i].deep))
			return 0;
	}
	error_set(reterr, ERR_INVALID, "an event has no %s", text_quote(quoted, sizeof quoted, name));
	error_help(reterr, "below event. stand id, source, detail-type, time, account, region, object (the "
			   "URL of the object), resources.N, detail.PATH and extensions.NAME");
	return ERR_INVALID;
}

/* A name as a definition may choose it: who knows the definition says whether it did. */
static bool is_chosen(struct bytes name, unsigned scope)
{
	const struct plan_row *row;

	for (size_t i = 0; (row = plan_row_at(i)) != NULL; i++)
		if (row->names_also != NULL && (scope & TEMPLATE_PLAN(row->kind)))
			return template_is_choosable(name);
	return false;
}

static int find_name(struct bytes name, unsigned scope, struct template_part *ret, struct error *reterr)
{
	char quoted[NAME_SHOWN], allowed[200];
	struct name known;

	*ret = (struct template_part){.text = name, .value = TEMPLATE_UNRESOLVED};
	if (has_prefix(name, "event.") && (scope & TEMPLATE_EVENT)) {
		ret->kind = PART_EVENT;
		return check_event_path(name, reterr);
	}
	for (size_t i = 0; name_at(i, &known); i++)
		if ((known.scope & scope) && bytes_equal(bytes_of(known.name), name)) {
			ret->kind = known.kind;
			return 0;
		}
	if (is_chosen(name, scope)) {
		ret->kind = PART_SHARD_PLAN;
		return 0;
	}
	error_set(reterr, ERR_INVALID, "expected one of %s, found %s",
		  template_names(scope, allowed, sizeof allowed), text_quote(quoted, sizeof quoted, name));
	for (size_t i = 0; name_at(i, &known); i++)
		if (bytes_equal(bytes_of(known.name), name))
			error_help(reterr, "%s has no meaning here", known.name);
	return ERR_INVALID;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* A placeholder whose name begins at `at`, behind its braces. *end_ret is behind the closing ones. */
static int read_placeholder(struct bytes text, size_t at, unsigned scope, struct template_part *ret,
			    size_t *end_ret, struct error *reterr)
{
	size_t end = at, first = at, last;

	while (end + 1 < text.size && !(text.data[end] == '}' && text.data[end + 1] == '}'))
		end++;
	if (end + 1 >= text.size) {
		error_set(reterr, ERR_INVALID, "a placeholder is opened by {{ and not closed by }}");
		error_help(reterr, "write {{{{ where the text itself has {{");
		return ERR_INVALID;
	}
	for (last = end; last > first && is_blank(text.data[last - 1]); last--)
		;
	while (first < last && is_blank(text.data[first]))
		first++;
	*end_ret = end + 2;
	return find_name(BYTES(text.data + first, last - first), scope, ret, reterr);
}

static void add_text(struct template *t, struct bytes text)
{
	if (text.size > 0)
		t->parts[t->part_count++] =
		    (struct template_part){.kind = PART_TEXT, .text = text, .value = TEMPLATE_UNRESOLVED};
}

int template_compile(struct bytes text, unsigned scope, struct arena *arena, struct template *ret,
		     size_t *offset_ret, struct error *reterr)
{
	struct template t = {0};
	size_t at = 0, from = 0, braces = 0;

	for (size_t i = 0; i + 1 < text.size; i++)
		if (text.data[i] == '{' && text.data[i + 1] == '{') {
			braces++;
			i++;
		}
	/* Each pair of braces makes at most a text and a placeholder; one text may follow the last. */
	t.parts = arena_alloc(arena, (2 * braces + 1) * sizeof *t.parts);
	if (t.parts == NULL)
		return error_set(reterr, ERR_LIMIT, "too many placeholders");
	while (at < text.size) {
		size_t open = count_open(text, at), end;

		if (open < 2) {
			at++;
		} else if (open == 4) { /* {{{{: keep the first two, skip the others */
			add_text(&t, BYTES(text.data + from, at + 2 - from));
			at = from = at + 4;
		} else {
			int rc;

			at += open - 2;
			add_text(&t, BYTES(text.data + from, at - from));
			rc = read_placeholder(text, at + 2, scope, &t.parts[t.part_count], &end, reterr);
			if (rc < 0) {
				if (offset_ret != NULL)
					*offset_ret = at;
				return rc;
			}
			t.part_count++;
			at = from = end;
		}
	}
	add_text(&t, BYTES(text.data + from, text.size - from));
	*ret = t;
	return 0;
}

int template_resolve(struct template *t, const struct text_item_list *value_names, struct error *reterr)
{
	char quoted[NAME_SHOWN];

	for (uint32_t i = 0; i < t->part_count; i++) {
		struct template_part *part = &t->parts[i];

		if (part->kind != PART_EVENT)
			continue;
		for (part->value = 0; part->value < value_names->count; part->value++)
			if (bytes_equal(value_names->items[part->value].text, part->text))
				break;
		if (part->value == value_names->count)
			return error_set(reterr, ERR_NOT_FOUND, "the job keeps no value of %s",
					 text_quote(quoted, sizeof quoted, part->text));
	}
	return 0;
}

bool template_is_literal(const struct template *t)
{
	for (uint32_t i = 0; i < t->part_count; i++)
		if (t->parts[i].kind != PART_TEXT)
			return false;
	return true;
}

void template_escape(struct buf *out, struct bytes literal)
{
	size_t i = 0;

	while (i < literal.size) {
		if (count_open(literal, i) >= 2) {
			buf_append(out, "{{{{", 4);
			i += 2;
		} else {
			buf_append(out, literal.data + i, 1);
			i++;
		}
	}
}
