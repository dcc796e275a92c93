#include "cli/completion.h"

#include <string.h>

#include "base/check.h"
#include "cli/selector.h"
#include "cli/verbs.h"

#define NAME_BYTES 48u

/* What may stand behind an option, or as an argument. */
enum value_kind { VALUE_NONE, VALUE_TEXT, VALUE_FILE, VALUE_DIRECTORY, VALUE_CHOICE };

struct option {
	char name[NAME_BYTES]; /* without -- */
	char letter;
	const char *doc;
	const char *placeholder;
	enum value_kind kind;
	const char *choices; /* "a|b" */
};

typedef void option_fn(void *arg, const struct option *o);

static enum value_kind kind_of(const char *placeholder)
{
	if (placeholder == NULL)
		return VALUE_NONE;
	if (strcmp(placeholder, "FILE") == 0)
		return VALUE_FILE;
	return strcmp(placeholder, "DIR") == 0 ? VALUE_DIRECTORY : VALUE_TEXT;
}

static struct option of_param(const struct param_info *info)
{
	struct option o = {.doc = info->doc, .placeholder = info->placeholder, .choices = info->choices};
	size_t length = strlen(info->name);

	CHECK(length < sizeof(o.name));
	for (size_t i = 0; i < length; i++)
		o.name[i] = info->name[i] == '_' ? '-' : info->name[i];
	o.kind = kind_of(info->placeholder);
	if (info->type == PARAM_TYPE_BOOL)
		o.kind = VALUE_NONE;
	else if (info->type == PARAM_TYPE_CHOICE)
		o.kind = VALUE_CHOICE;
	return o;
}

/* All options of a program: its own, parameters, and what every program has. */
static void each_option(const struct options_spec *spec, option_fn *fn, void *arg)
{
	static const struct option common[] = {
	    {"config", '\0', "Read parameters from a file.", "FILE", VALUE_FILE, NULL},
	    {"params", '\0', "Print every parameter and where it came from.", NULL, VALUE_NONE, NULL},
	    {"man", '\0', "Print the manual page.", NULL, VALUE_NONE, NULL},
	    {"version", '\0', "Print the version.", NULL, VALUE_NONE, NULL},
	    {"help", 'h', "Tell what it takes.", NULL, VALUE_NONE, NULL},
	};

	for (size_t i = 0; i < spec->extra_count; i++) {
		const struct options_extra *extra = &spec->extras[i];
		struct option o = {.letter = extra->letter,
				   .doc = extra->doc,
				   .placeholder = extra->placeholder,
				   .kind = kind_of(extra->placeholder)};

		CHECK(strlen(extra->name) < sizeof(o.name));
		strcpy(o.name, extra->name);
		fn(arg, &o);
	}
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);

		if ((info->scopes & spec->scopes) != 0) {
			struct option o = of_param(info);

			fn(arg, &o);
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(common); i++)
		fn(arg, &common[i]);
}

/* What a verb's arguments are, by its synopsis: "jobs", "workers", "files", "verbs", "shells" or "nothing".
 */
static const char *arguments_of(const struct options_spec *spec)
{
	static const struct {
		const char *word, *kind;
	} kinds[] = {
	    {"JOB", "jobs"},   {"WORKER", "workers"}, {"DEFINITION", "files"},
	    {"FILE", "files"}, {"VERB", "verbs"},     {"bash", "shells"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		if (strstr(spec->synopsis, kinds[i].word) != NULL)
			return kinds[i].kind;
	return "nothing";
}

static void write_words(struct buf *out, const char *words, const char *separators)
{
	bool first = true;

	while (*words != '\0') {
		size_t length = strcspn(words, separators);

		if (length > 0)
			buf_printf(out, "%s%.*s", first ? "" : " ", (int)length, words);
		first = first && length == 0;
		words += length + (words[length] != '\0');
	}
}

static void write_verbs(struct buf *out)
{
	for (size_t i = 0; i < verb_count; i++)
		if (verbs[i].name != NULL)
			buf_printf(out, "%s ", verbs[i].name);
	buf_printf(out, "help");
}

/* ---- bash ---- */

static void add_bash_option(void *arg, const struct option *o)
{
	buf_printf(arg, " --%s%s", o->name, o->kind == VALUE_NONE ? "" : "=");
}

static void add_bash_verb(void *arg, const struct options_spec *spec)
{
	struct buf *out = arg;

	buf_printf(out, "options='");
	each_option(spec, add_bash_option, out);
	buf_printf(out, "' arguments=%s ;;\n", arguments_of(spec));
}

/* Each option once, whichever verbs take it. */
struct seen {
	struct buf *out;
	struct buf names; /* " --of --event " */
};

static void add_bash_value(void *arg, const struct option *o)
{
	struct seen *seen = arg;
	char needle[NAME_BYTES + 8];

	snprintf(needle, sizeof(needle), " --%s ", o->name);
	if (o->kind == VALUE_NONE || (seen->names.size > 0 && strstr(buf_text(&seen->names), needle) != NULL))
		return;
	buf_printf(&seen->names, "%s", needle);
	if (o->kind == VALUE_TEXT)
		return;
	buf_printf(seen->out, "\t--%s) ", o->name);
	if (o->kind == VALUE_CHOICE) {
		buf_printf(seen->out, "_shardmill_words '");
		write_words(seen->out, o->choices, "|");
		buf_printf(seen->out, "' ;;\n");
	} else {
		buf_printf(seen->out, "_shardmill_files%s ;;\n", o->kind == VALUE_DIRECTORY ? " -d" : "");
	}
}

static void add_bash_values(void *arg, const struct options_spec *spec)
{
	each_option(spec, add_bash_value, arg);
}

static const char bash_head[] = "# Completes shardmill in bash; made by `shardmill completion bash`.\n"
				"_shardmill_words() {\n"
				"\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
				"}\n\n"
				"_shardmill_files() {\n"
				"\tcompopt -o filenames 2>/dev/null\n"
				"\tmapfile -t COMPREPLY < <(compgen \"${1:--f}\" -- \"$cur\")\n"
				"}\n\n"
				"# The first column of a list; nothing where no dispatcher answers.\n"
				"_shardmill_column() {\n"
				"\tshardmill \"$@\" 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
				"}\n\n";

static const char bash_tail[] =
    "_shardmill() {\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= options= arguments= word "
    "i\n"
    "\tCOMPREPLY=()\n"
    "\t# bash cuts --name=value at the sign\n"
    "\tif [[ $cur == = ]]; then\n"
    "\t\tcur=\n"
    "\telif [[ $prev == = && $COMP_CWORD -gt 1 ]]; then\n"
    "\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n"
    "\tfi\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\tword=${COMP_WORDS[i]}\n"
    "\t\tif [[ $word == -- ]]; then\n"
    "\t\t\tif ((i + 1 == COMP_CWORD)); then\n"
    "\t\t\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
    "\t\t\telse\n"
    "\t\t\t\t_shardmill_files\n"
    "\t\t\tfi\n"
    "\t\t\treturn\n"
    "\t\tfi\n"
    "\t\tif [[ -z $verb && \" $_shardmill_verbs \" == *\" $word \"* ]]; then\n"
    "\t\t\tverb=$word\n"
    "\t\tfi\n"
    "\tdone\n"
    "\t_shardmill_verb \"$verb\"\n"
    "\tif [[ $prev == --* && \" $options \" == *\" $prev= \"* ]]; then\n"
    "\t\t_shardmill_value \"$prev\"\n"
    "\t\treturn\n"
    "\tfi\n"
    "\tif [[ $cur == -* ]]; then\n"
    "\t\t_shardmill_words \"$options\"\n"
    "\t\tif [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then\n"
    "\t\t\tcompopt -o nospace 2>/dev/null\n"
    "\t\tfi\n"
    "\t\treturn\n"
    "\tfi\n"
    "\tcase $arguments in\n"
    "\tjobs) _shardmill_words \"$_shardmill_selectors $(_shardmill_column jobs --limit=50)\" ;;\n"
    "\tworkers) _shardmill_words \"$(_shardmill_column workers)\" ;;\n"
    "\tfiles) _shardmill_files ;;\n"
    "\tverbs) _shardmill_words \"$_shardmill_verbs\" ;;\n"
    "\tshells) _shardmill_words 'bash zsh' ;;\n"
    "\tesac\n"
    "}\n\n"
    "complete -F _shardmill shardmill\n";

void completion_bash(struct buf *out)
{
	struct buf details = {0};
	struct options_spec command = command_spec(&details);
	struct seen seen = {.out = out};

	buf_printf(out, "%s_shardmill_verbs='", bash_head);
	write_verbs(out);
	buf_printf(out, "'\n_shardmill_selectors='last ");
	write_words(out, SELECTOR_WORDS, ", \n");
	buf_printf(out, "'\n\n_shardmill_verb() {\n\tcase $1 in\n\t'') ");
	add_bash_verb(out, &command);
	buf_printf(out, "\thelp) arguments=verbs ;;\n");
	for (size_t i = 0; i < verb_count; i++) {
		if (verbs[i].name == NULL)
			continue;
		buf_printf(out, "\t%s) ", verbs[i].name);
		verb_describe(&verbs[i], add_bash_verb, out);
	}
	buf_printf(out, "\tesac\n}\n\n_shardmill_value() {\n\tcase $1 in\n");
	add_bash_values(&seen, &command);
	for (size_t i = 0; i < verb_count; i++)
		if (verbs[i].name != NULL)
			verb_describe(&verbs[i], add_bash_values, &seen);
	buf_printf(out, "\tesac\n}\n\n%s", bash_tail);
	buf_fini(&seen.names);
	buf_fini(&details);
}

/* ---- zsh ---- */

/* Inside single quotes, inside [..] and between colons. */
static void zsh_text(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("[]:\\", *text) != NULL)
			buf_printf(out, "\\%c", *text);
		else if (*text == '\'')
			buf_printf(out, "'\\''");
		else
			buf_append(out, *text == '\n' ? " " : text, 1);
	}
}

static void add_zsh_option(void *arg, const struct option *o)
{
	struct buf *out = arg;

	for (int letter = 0; letter <= (o->letter != '\0'); letter++) {
		if (letter != 0)
			buf_printf(out, "\t\t\t'*-%c%s[", o->letter, o->kind == VALUE_NONE ? "" : "+");
		else
			buf_printf(out, "\t\t\t'*--%s%s[", o->name, o->kind == VALUE_NONE ? "" : "=");
		zsh_text(out, o->doc);
		buf_printf(out, "]");
		if (o->kind != VALUE_NONE) {
			buf_printf(out, ":");
			zsh_text(out, o->kind == VALUE_CHOICE ? o->name : o->placeholder);
			buf_printf(out, ":");
		}
		if (o->kind == VALUE_CHOICE) {
			buf_printf(out, "(");
			write_words(out, o->choices, "|");
			buf_printf(out, ")");
		} else if (o->kind != VALUE_NONE && o->kind != VALUE_TEXT) {
			buf_printf(out, "_files%s", o->kind == VALUE_DIRECTORY ? " -/" : "");
		}
		buf_printf(out, "' \\\n");
	}
}

static void add_zsh_verb(void *arg, const struct options_spec *spec)
{
	struct buf *out = arg;
	const char *arguments = arguments_of(spec);

	buf_printf(out, "_arguments -S \\\n");
	each_option(spec, add_zsh_option, out);
	if (strcmp(arguments, "nothing") == 0)
		buf_printf(out, "\t\t\t&& return 0\n\t\t;;\n");
	else
		buf_printf(out, "\t\t\t'*:%s:_shardmill_%s' && return 0\n\t\t;;\n", arguments, arguments);
}

static const char zsh_head[] = "#compdef shardmill\n"
			       "# Completes shardmill in zsh; made by `shardmill completion zsh`.\n"
			       "_shardmill_column() {\n"
			       "\tshardmill \"$@\" 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
			       "}\n\n"
			       "_shardmill_jobs() {\n"
			       "\tcompadd -- ${(f)\"$(_shardmill_column jobs --limit=50)\"}\n"
			       "\tcompadd -- $_shardmill_selectors\n"
			       "}\n\n"
			       "_shardmill_workers() {\n"
			       "\tcompadd -- ${(f)\"$(_shardmill_column workers)\"}\n"
			       "}\n\n"
			       "_shardmill_shells() {\n"
			       "\tcompadd -- bash zsh\n"
			       "}\n\n"
			       "# A file, or behind -- a command.\n"
			       "_shardmill_files() {\n"
			       "\tif (( ${words[(I)--]} )); then\n"
			       "\t\t_command_names -e || _files\n"
			       "\telse\n"
			       "\t\t_files\n"
			       "\tfi\n"
			       "}\n\n";

void completion_zsh(struct buf *out)
{
	struct buf details = {0};
	struct options_spec command = command_spec(&details);

	buf_printf(out, "%stypeset -ga _shardmill_selectors=(last ", zsh_head);
	write_words(out, SELECTOR_WORDS, ", \n");
	buf_printf(out, ")\n\n_shardmill_verbs() {\n\tlocal -a verbs=(\n");
	for (size_t i = 0; i < verb_count; i++) {
		if (verbs[i].name == NULL)
			continue;
		buf_printf(out, "\t\t'%s:", verbs[i].name);
		zsh_text(out, verbs[i].doc);
		buf_printf(out, "'\n");
	}
	buf_printf(out, "\t\t'help:tell what it takes'\n\t)\n\t_describe verb verbs\n}\n\n"
			"_shardmill() {\n\tlocal curcontext=$curcontext state line\n\t_arguments -C \\\n");
	each_option(&command, add_zsh_option, out);
	buf_printf(out, "\t\t\t'1:verb:_shardmill_verbs' '*::argument:->arguments' && return 0\n"
			"\t[[ $state == arguments ]] || return 1\n\tcase $words[1] in\n"
			"\thelp) _shardmill_verbs ;;\n");
	for (size_t i = 0; i < verb_count; i++) {
		if (verbs[i].name == NULL)
			continue;
		buf_printf(out, "\t%s) ", verbs[i].name);
		verb_describe(&verbs[i], add_zsh_verb, out);
	}
	buf_printf(out, "\tesac\n}\n\n_shardmill \"$@\"\n");
	buf_fini(&details);
}
