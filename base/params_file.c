/* Parameters from a configuration file's text and from the environment. Pure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "base/params.h"
#include "base/text.h"

#define ENV_PREFIX "SHARDMILL_"

/* One line's setting, found but not yet set. */
struct setting {
	enum param_id id;
	struct buf value;
	size_t line, column; /* of the value, from 1 */
};

struct file {
	const char *name;
	struct setting *settings;
	size_t count, capacity;
	size_t line;
	size_t line_of[PARAM_COUNT]; /* where a name was set first; 0 = nowhere */
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool is_name_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-';
}

static int fail_at(const struct file *f, size_t index, int code, struct error *reterr)
{
	error_where(reterr, "%s:%zu:%zu", f->name, f->line, index + 1);
	return code;
}

/* "…" from *index, its content into value; *index then stands behind it. */
static int read_quoted(const struct file *f, struct bytes line, size_t *index, struct buf *value,
		       struct error *reterr)
{
	size_t start = *index, i = start + 1;

	for (; i < line.size && line.data[i] != '"'; i++) {
		if (line.data[i] == '\\') {
			if (i + 1 == line.size || (line.data[i + 1] != '"' && line.data[i + 1] != '\\')) {
				error_set(reterr, ERR_INVALID,
					  "expected \\\" or \\\\ behind a backslash in quotes");
				return fail_at(f, i, ERR_INVALID, reterr);
			}
			i++;
		}
		buf_append(value, &line.data[i], 1);
	}
	if (i == line.size) {
		error_set(reterr, ERR_INVALID, "expected a closing quote, found the line's end");
		return fail_at(f, start, ERR_INVALID, reterr);
	}
	*index = i + 1;
	return 0;
}

static void read_plain(struct bytes line, size_t *index, struct buf *value)
{
	size_t end = *index, i = *index;

	for (; i < line.size; i++) {
		if (line.data[i] == '#' && is_blank(line.data[i - 1]))
			break;
		if (!is_blank(line.data[i]))
			end = i + 1;
	}
	buf_append(value, line.data + *index, end - *index);
	*index = i;
}

static size_t skip_blanks(struct bytes line, size_t i)
{
	while (i < line.size && is_blank(line.data[i]))
		i++;
	return i;
}

/* What stands behind "name:", from i to the line's end. */
static int read_value(struct file *f, struct bytes line, size_t i, struct setting *ret, struct error *reterr)
{
	int r;

	i = skip_blanks(line, i);
	ret->line = f->line;
	ret->column = i + 1;
	if (i == line.size || (line.data[i] == '#' && is_blank(line.data[i - 1]))) {
		error_set(reterr, ERR_INVALID, "expected a value behind %s:, found nothing",
			  param_info(ret->id)->name);
		error_help(reterr, "write \"\" for an empty one, or leave the line out");
		return fail_at(f, i, ERR_INVALID, reterr);
	}
	if (line.data[i] != '"') {
		read_plain(line, &i, &ret->value);
		return 0;
	}
	r = read_quoted(f, line, &i, &ret->value, reterr);
	if (r != 0)
		return r;
	i = skip_blanks(line, i);
	if (i < line.size && line.data[i] != '#') {
		error_set(reterr, ERR_INVALID, "expected nothing behind the closing quote");
		return fail_at(f, i, ERR_INVALID, reterr);
	}
	return 0;
}

static struct setting *setting_add(struct file *f, enum param_id id)
{
	ARRAY_GROW(f->settings, f->capacity, f->count);
	f->settings[f->count] = (struct setting){.id = id};
	return &f->settings[f->count++];
}

static int read_line(struct file *f, struct bytes line, struct error *reterr)
{
	size_t start = skip_blanks(line, 0), end = start, colon;
	enum param_id id = PARAM_COUNT;
	int r;

	if (start == line.size || line.data[start] == '#')
		return 0;
	while (end < line.size && is_name_char(line.data[end]))
		end++;
	colon = skip_blanks(line, end);
	if (end == start || colon == line.size || line.data[colon] != ':') {
		char found[80];

		error_set(reterr, ERR_INVALID, "expected `name: value`, found %s",
			  text_quote(found, sizeof found, BYTES(line.data + start, line.size - start)));
		return fail_at(f, start, ERR_INVALID, reterr);
	}
	r = param_find(BYTES(line.data + start, end - start), &id, reterr);
	if (r != 0)
		return fail_at(f, start, r, reterr);
	if (f->line_of[id] != 0 && param_info(id)->type != PARAM_TYPE_PATHS) {
		error_set(reterr, ERR_EXISTS, "%s is set already, in line %zu", param_info(id)->name,
			  f->line_of[id]);
		return fail_at(f, start, ERR_EXISTS, reterr);
	}
	f->line_of[id] = f->line;
	return read_value(f, line, colon + 1, setting_add(f, id), reterr);
}

static int read_lines(struct file *f, struct bytes text, struct error *reterr)
{
	while (text.size > 0) {
		const uint8_t *newline = memchr(text.data, '\n', text.size);
		size_t length = newline != NULL ? (size_t)(newline - text.data) : text.size;
		size_t step = newline != NULL ? length + 1 : length;
		int r;

		f->line++;
		if (length > 0 && text.data[length - 1] == '\r')
			length--;
		r = read_line(f, BYTES(text.data, length), reterr);
		if (r != 0)
			return r;
		text = BYTES(text.data + step, text.size - step);
	}
	return 0;
}

static int apply(const struct file *f, struct params *p, struct error *reterr)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct setting *s = &f->settings[i];
		char where[300];
		int r;

		snprintf(where, sizeof where, "%s:%zu:%zu", f->name, s->line, s->column);
		r = params_set(p, s->id, buf_bytes(&s->value), PARAM_FROM_FILE, where, reterr);
		if (r != 0)
			return r;
	}
	return 0;
}

int params_set_file(struct params *p, const char *file, struct bytes text, struct error *reterr)
{
	struct file f = {.name = file};
	struct params *trial;
	int r;

	if (text.size > PARAMS_FILE_MAX) {
		error_set(reterr, ERR_LIMIT, "a configuration file holds at most %u bytes, found %zu",
			  PARAMS_FILE_MAX, text.size);
		error_where(reterr, "%s", file);
		return ERR_LIMIT;
	}
	trial = check_calloc(1, sizeof *trial);
	params_init(trial, p->scopes);
	r = read_lines(&f, text, reterr);
	/* First on a trial: a file with one wrong line must change nothing. */
	if (r == 0)
		r = apply(&f, trial, reterr);
	if (r == 0)
		r = apply(&f, p, reterr);
	params_fini(trial);
	free(trial);
	for (size_t i = 0; i < f.count; i++)
		buf_fini(&f.settings[i].value);
	free(f.settings);
	return r;
}

static int set_env_list(struct params *p, enum param_id id, struct bytes text, const char *where,
			struct error *reterr)
{
	int r = 0;

	while (r == 0 && text.size > 0) {
		const uint8_t *colon = memchr(text.data, ':', text.size);
		size_t length = colon != NULL ? (size_t)(colon - text.data) : text.size;
		size_t step = colon != NULL ? length + 1 : length;

		if (length > 0)
			r = params_set(p, id, BYTES(text.data, length), PARAM_FROM_ENV, where, reterr);
		text = BYTES(text.data + step, text.size - step);
	}
	return r;
}

int params_set_env(struct params *p, char *const *environ_array, struct error *reterr)
{
	for (; *environ_array != NULL; environ_array++) {
		const char *entry = *environ_array, *equals = strchr(entry, '=');
		enum param_id id = PARAM_COUNT;
		char name[64], where[80];
		size_t length;
		int r;

		if (equals == NULL || strncmp(entry, ENV_PREFIX, strlen(ENV_PREFIX)) != 0)
			continue;
		length = (size_t)(equals - entry) - strlen(ENV_PREFIX);
		if (length >= sizeof name)
			continue;
		for (size_t i = 0; i < length; i++) {
			char c = entry[strlen(ENV_PREFIX) + i];

			/* Small letters and dashes do not count: they become what no name holds. */
			name[i] = c >= 'A' && c <= 'Z'		       ? (char)(c - 'A' + 'a')
				  : c == '_' || (c >= '0' && c <= '9') ? c
								       : '?';
		}
		if (param_find(BYTES(name, length), &id, NULL) != 0)
			continue;
		snprintf(where, sizeof where, "%.*s", (int)(equals - entry), entry);
		if (param_info(id)->type == PARAM_TYPE_PATHS)
			r = set_env_list(p, id, bytes_of(equals + 1), where, reterr);
		else
			r = params_set(p, id, bytes_of(equals + 1), PARAM_FROM_ENV, where, reterr);
		if (r != 0)
			return r;
	}
	return 0;
}
