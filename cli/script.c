#include "cli/script.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/text.h"
#include "cli/words.h"

#define HEAD_BYTES ((size_t)65536) /* in which its lines stand */
#define MARK "#shardmill"

static bool read_head(const char *path, struct buf *ret)
{
	char bytes[4096];
	struct stat st;
	FILE *f;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || (f = fopen(path, "re")) == NULL)
		return false;
	for (size_t n; ret->size < HEAD_BYTES && (n = fread(bytes, 1, sizeof(bytes), f)) > 0;)
		buf_append(ret, bytes, n);
	fclose(f);
	return true;
}

static bool begins_with(struct bytes text, const char *prefix)
{
	return text.size >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

bool script_is(const char *path)
{
	struct buf head = {0};
	bool is = read_head(path, &head) && begins_with(buf_bytes(&head), "#!");

	buf_fini(&head);
	return is;
}

/* The first line of rest, which moves behind it. */
static struct bytes next_line(struct bytes *rest)
{
	const uint8_t *newline = memchr(rest->data, '\n', rest->size);
	size_t size = newline != NULL ? (size_t)(newline - rest->data) : rest->size;
	struct bytes line = BYTES(rest->data, size);

	*rest = BYTES(rest->data + size + (newline != NULL), rest->size - size - (newline != NULL));
	if (line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	return line;
}

/* ---- what its lines say ---- */

/* The words of a line live as long as the submission. */
static void keep_words(struct submission *said, const struct words *w, char ***ret_argv, const char *program)
{
	char **argv = check_calloc(w->count + 2, sizeof(*argv));

	if (said->kept == NULL)
		said->kept = json_array();
	argv[0] = (char *)(uintptr_t)program;
	for (size_t i = 0; i < w->count; i++) {
		json_t *word = json_string(w->items[i]);

		json_array_append_new(said->kept, word);
		argv[i + 1] = (char *)(uintptr_t)json_string_value(word);
	}
	*ret_argv = argv;
}

static int take_options(const struct script_options *o, const struct words *w, struct error *reterr)
{
	const struct options_spec spec = {
	    .program = o->program, .extras = o->extras, .extra_count = o->extra_count, .options_only = true};
	char *no_environment[] = {NULL}, **argv;
	struct params params;
	struct buf out = {0};
	int first, r;

	keep_words(o->said, w, &argv, o->program);
	r = options_parse(&spec, &params, (int)w->count + 1, argv, no_environment, &first, &out, reterr);
	if (r == OPTIONS_DONE)
		r = error_set(reterr, ERR_INVALID, "expected options of a job");
	params_fini(&params);
	buf_fini(&out);
	free(argv);
	return r;
}

static int take_line(const struct script_options *o, struct bytes text, struct error *reterr)
{
	char *line = check_calloc(text.size + 1, 1);
	struct words w = {0};
	int r;

	memcpy(line, text.data, text.size);
	if (!text_is_utf8(text))
		r = error_set(reterr, ERR_INVALID, "expected UTF-8");
	else if (line[strspn(line, " \t")] == '\0')
		r = 0;
	else
		r = words_split(line, &w, reterr);
	if (r == 0 && w.count > 0)
		r = take_options(o, &w, reterr);
	words_fini(&w);
	free(line);
	return r;
}

static int take_lines(const struct script_options *o, struct bytes text, const char *path,
		      struct error *reterr)
{
	const size_t mark = strlen(MARK);
	struct error e = {0};

	for (unsigned number = 1; text.size > 0; number++) {
		struct bytes line = next_line(&text);

		if (line.size > 0 && line.data[0] != '#')
			return 0;
		if (!begins_with(line, MARK) ||
		    (line.size > mark && line.data[mark] != ' ' && line.data[mark] != '\t'))
			continue;
		if (take_line(o, BYTES(line.data + mark, line.size - mark), &e) == 0)
			continue;
		error_set(reterr, e.code, "%s", e.what);
		error_help(reterr, "%s", e.help);
		return error_where(reterr, "%.200s:%u%s%.200s", path, number, e.where[0] != '\0' ? ": " : "",
				   e.where);
	}
	return 0;
}

/* ---- the command line says more ---- */

static bool any(const struct api_command *c, const char *const members[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct object_field *f = object_field_of(object_command(), members[i]);
		const void *at = (const char *)c + f->offset;

		if (f->kind == OBJECT_BOOL ? *(const bool *)at : *(json_t *const *)at != NULL)
			return true;
	}
	return false;
}

static void drop(struct api_command *c, const char *const members[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct object_field *f = object_field_of(object_command(), members[i]);
		void *at = (char *)c + f->offset;

		if (f->kind == OBJECT_BOOL) {
			*(bool *)at = false;
		} else {
			json_decref(*(json_t **)at);
			*(json_t **)at = NULL;
		}
	}
}

/* Of options of which a job has one at most, the command line's is there alone. */
static void drop_rivals(const struct submission *s, struct submission *said)
{
	static const char *const cuts[] = {"array", "grid", "bytes", "of", "align", "items", "lines"},
				 *const ends[] = {"tolerate", "keep_going", "max_failures"};

	if (s->each_line != NULL || any(&s->command, cuts, ARRAY_LENGTH(cuts))) {
		drop(&said->command, cuts, ARRAY_LENGTH(cuts));
		said->each_line = NULL;
	}
	if (any(&s->command, ends, ARRAY_LENGTH(ends)))
		drop(&said->command, ends, ARRAY_LENGTH(ends));
}

static void merge(struct submission *s, struct submission *said)
{
	const struct object_type *type = object_command();
	const struct {
		const char **to, *from;
	} texts[] = {{&s->event, said->event},	     {&s->each_line, said->each_line},
		     {&s->stdin_of, said->stdin_of}, {&s->id, said->id},
		     {&s->name, said->name},	     {&s->priority, said->priority},
		     {&s->deadline, said->deadline}, {&s->start_by, said->start_by}};

	for (size_t i = 0; i < type->field_count; i++) {
		const struct object_field *f = &type->fields[i];
		void *to = (char *)&s->command + f->offset, *from = (char *)&said->command + f->offset;
		json_t **mine = to, **theirs = from;

		if (f->kind == OBJECT_BOOL) {
			*(bool *)to = *(bool *)to || *(bool *)from;
		} else if (*mine == NULL) {
			*mine = *theirs;
			*theirs = NULL;
		} else if (json_is_object(*mine) && json_is_object(*theirs)) {
			json_object_update_missing(*mine, *theirs);
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		if (*texts[i].to == NULL)
			*texts[i].to = texts[i].from;
	s->wait = s->wait || said->wait;
	s->dry_run = s->dry_run || said->dry_run;
	s->allow_pending = s->allow_pending || said->allow_pending;
	if (s->after == NULL) {
		s->after = said->after;
		said->after = NULL;
	}
}

/* ---- the command ---- */

static int add_word(json_t *argv, struct bytes word, struct error *reterr)
{
	json_t *text = text_is_utf8(word) ? json_stringn((const char *)word.data, word.size) : NULL;

	if (text == NULL || memchr(word.data, '{', word.size) != NULL) {
		json_decref(text);
		return error_set(reterr, ERR_INVALID, "expected the name of a script in UTF-8, without {");
	}
	json_array_append_new(argv, text);
	return 0;
}

/* The job is called as the script is, as far as that makes a name, and not as its interpreter. */
static void set_name(struct submission *s, const char *path)
{
	const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
	struct buf name = {0};

	for (; *base != '\0' && name.size < 64; base++)
		if ((*base < 0x7f && isalnum((unsigned char)*base)) ||
		    (name.size > 0 && strchr("._-", *base) != NULL))
			buf_append(&name, base, 1);
	if (s->command.name == NULL && name.size > 0)
		s->command.name = json_string(buf_text(&name));
	buf_fini(&name);
}

/* "#!/usr/bin/env python3": the interpreter, and the rest of the line as one word, as execve(2) has it. */
static int set_argv(struct submission *s, struct bytes line, const char *path, const char *directory,
		    struct error *reterr)
{
	json_t *argv = json_array(), *behind = s->command.argv;
	size_t first = 2, end, last = line.size;
	struct buf absolute = {0};
	int r = submission_add_path(&absolute, path, directory, reterr);

	while (last > first && memchr(" \t", line.data[last - 1], 2) != NULL)
		last--;
	while (first < last && memchr(" \t", line.data[first], 2) != NULL)
		first++;
	for (end = first; end < last && memchr(" \t", line.data[end], 2) == NULL;)
		end++;
	if (r == 0 && end == first)
		r = error_set(reterr, ERR_INVALID, "expected an interpreter behind #!");
	if (r == 0)
		r = add_word(argv, BYTES(line.data + first, end - first), reterr);
	while (end < last && memchr(" \t", line.data[end], 2) != NULL)
		end++;
	if (r == 0 && end < last)
		r = add_word(argv, BYTES(line.data + end, last - end), reterr);
	if (r == 0)
		r = add_word(argv, buf_bytes(&absolute), reterr);
	buf_fini(&absolute);
	if (r != 0) {
		json_decref(argv);
		return error_where(reterr, "%.200s", path);
	}
	set_name(s, path);
	if (behind != NULL)
		json_array_extend(argv, behind);
	json_decref(behind);
	s->command.argv = argv;
	return 0;
}

int script_take(struct submission *s, const struct script_options *o, const char *path, const char *directory,
		struct error *reterr)
{
	struct buf head = {0};
	struct bytes text;
	int r = 0;

	if (!read_head(path, &head)) {
		error_set(reterr, ERR_IO, "cannot read: %s", strerror(errno));
		r = error_where(reterr, "%.200s", path);
	}
	text = buf_bytes(&head);
	if (r == 0)
		r = take_lines(o, text, path, reterr);
	if (r == 0)
		drop_rivals(s, o->said);
	if (r == 0)
		merge(s, o->said);
	if (r == 0)
		r = set_argv(s, next_line(&text), path, directory, reterr);
	buf_fini(&head);
	return r;
}
