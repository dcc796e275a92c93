#include "base/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/text.h"

#define NAME_MAX_BYTES 48u

/* What getopt_long returns: parameters and extras are numbered behind the common ones. */
enum { OPTION_HELP = 256, OPTION_VERSION, OPTION_CONFIG, OPTION_PARAMS, OPTION_MAN, OPTION_FIRST };

struct request {
	const char *config;
	bool config_is_flag;
	bool help, version, params, man, markdown;
};

struct table {
	struct option rows[OPTION_FIRST - OPTION_HELP + PARAM_COUNT + OPTIONS_EXTRAS_MAX + 1];
	char names[PARAM_COUNT][NAME_MAX_BYTES];
};

/* ":h" and the extras' letters, for getopt. */
static void build_letters(const struct options_spec *spec, char letters[static 2 * OPTIONS_EXTRAS_MAX + 4])
{
	char *out = letters;

	if (spec->stop_at_argument)
		*out++ = '+';
	*out++ = ':';
	*out++ = 'h';
	for (size_t i = 0; i < spec->extra_count; i++) {
		if (spec->extras[i].letter == '\0')
			continue;
		*out++ = spec->extras[i].letter;
		if (spec->extras[i].placeholder != NULL)
			*out++ = ':';
	}
	*out = '\0';
}

/* The extra that a letter names, as getopt_long would return its long name. */
static int option_of_letter(const struct options_spec *spec, int option)
{
	for (size_t i = 0; option < OPTION_HELP && i < spec->extra_count; i++)
		if (spec->extras[i].letter == option)
			return OPTION_FIRST + PARAM_COUNT + (int)i;
	return option;
}

static void build_table(const struct options_spec *spec, struct table *t)
{
	struct option *row = t->rows;

	CHECK(spec->extra_count <= OPTIONS_EXTRAS_MAX);
	*row++ = (struct option){"help", no_argument, NULL, OPTION_HELP};
	*row++ = (struct option){"version", no_argument, NULL, OPTION_VERSION};
	*row++ = (struct option){"config", required_argument, NULL, OPTION_CONFIG};
	*row++ = (struct option){"params", no_argument, NULL, OPTION_PARAMS};
	*row++ = (struct option){"man", optional_argument, NULL, OPTION_MAN};
	for (int i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);

		if ((info->scopes & spec->scopes) == 0)
			continue;
		CHECK(strlen(info->name) < NAME_MAX_BYTES);
		for (size_t k = 0; k <= strlen(info->name); k++)
			t->names[i][k] = info->name[k] == '_' ? '-' : info->name[k];
		*row++ = (struct option){
		    t->names[i], info->type == PARAM_TYPE_BOOL ? optional_argument : required_argument, NULL,
		    OPTION_FIRST + i};
	}
	for (size_t i = 0; i < spec->extra_count; i++)
		*row++ =
		    (struct option){spec->extras[i].name,
				    spec->extras[i].placeholder != NULL ? required_argument : no_argument,
				    NULL, OPTION_FIRST + PARAM_COUNT + (int)i};
	*row = (struct option){0};
}

/* "--api, --array, …": what begins so; how many they are. */
static size_t list_beginnings(const struct option *row, const char *begin, size_t length, char *buf,
			      size_t size)
{
	size_t count = 0, used = 0;

	for (; row->name != NULL; row++) {
		if (strncmp(row->name, begin, length) != 0)
			continue;
		if (used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s--%s", count > 0 ? ", " : "",
						 row->name);
		count++;
	}
	return count;
}

/* getopt_long knows no such option, or more than one that begins so. */
static int refuse_option(const struct options_spec *spec, const struct table *t, const char *typed,
			 struct error *reterr)
{
	size_t length = strcspn(typed, "="), known_count = 0;
	enum param_id id = PARAM_COUNT;
	const char *known[ARRAY_LENGTH(t->rows)], *nearest = NULL;
	bool is_long = strncmp(typed, "--", 2) == 0;
	char names[240];

	error_set(reterr, ERR_INVALID, "there is no such option");
	error_where(reterr, "%.*s", (int)(length < 100 ? length : 100), typed);
	if (is_long && list_beginnings(t->rows, typed + 2, length - 2, names, sizeof names) > 1) {
		error_set(reterr, ERR_INVALID, "more than one option begins so");
		error_where(reterr, "%.*s", (int)(length < 100 ? length : 100), typed);
		return error_help(reterr, "%s", names);
	}
	for (const struct option *row = t->rows; row->name != NULL; row++)
		known[known_count++] = row->name;
	if (is_long)
		nearest = text_nearest(BYTES(typed + 2, length - 2), known, known_count);
	if (nearest != NULL)
		return error_help(reterr, "did you mean --%s?", nearest);
	if (is_long && param_find(BYTES(typed + 2, length - 2), &id, NULL) == 0)
		return error_help(reterr, "it is a parameter, but not one that `%s` takes", spec->program);
	return error_help(reterr, "`%s --help` lists them", spec->program);
}

static int take_man(struct request *request, struct error *reterr)
{
	request->man = true;
	request->markdown = optarg != NULL && strcmp(optarg, "markdown") == 0;
	if (optarg == NULL || request->markdown || strcmp(optarg, "roff") == 0)
		return 0;
	error_set(reterr, ERR_INVALID, "expected roff or markdown, found %.100s", optarg);
	error_where(reterr, "--man");
	return ERR_INVALID;
}

static int take_param(struct params *p, enum param_id id, const struct table *t, struct error *reterr)
{
	const char *value = optarg != NULL ? optarg : "yes"; /* only a BOOL may come without */
	char where[NAME_MAX_BYTES + 2];

	snprintf(where, sizeof where, "--%s", t->names[id]);
	return params_set(p, id, bytes_of(value), PARAM_FROM_FLAG, where, reterr);
}

/* A value without blanks stands as it was typed. */
void options_where(const char *name, const char *value, struct error *e)
{
	char quoted[100];
	bool plain = value != NULL && value[0] != '\0' && strlen(value) <= 60;

	for (size_t i = 0; plain && value[i] != '\0'; i++)
		plain = value[i] > ' ' && value[i] < 0x7f;
	if (value != NULL && !plain)
		text_quote(quoted, sizeof quoted, bytes_of(value));
	error_where(e, "--%s%s%s", name, value != NULL ? " " : "",
		    value == NULL ? ""
		    : plain	  ? value
				  : quoted);
}

static int take_extra(const struct options_extra *extra, struct error *reterr)
{
	struct error own = {0};
	int r = extra->set(extra->arg, optarg, &own);

	if (r == 0)
		return 0;
	if (own.where[0] == '\0')
		options_where(extra->name, optarg, &own);
	if (reterr != NULL)
		*reterr = own;
	return r;
}

static int take(const struct options_spec *spec, struct params *p, const struct table *t, int option,
		struct request *request, struct error *reterr)
{
	switch (option) {
	case OPTION_HELP:
		request->help = true;
		return 0;
	case OPTION_VERSION:
		request->version = true;
		return 0;
	case OPTION_CONFIG:
		request->config = optarg;
		request->config_is_flag = true;
		return 0;
	case OPTION_PARAMS:
		request->params = true;
		return 0;
	case OPTION_MAN:
		return take_man(request, reterr);
	default:
		break;
	}
	option -= OPTION_FIRST;
	if (option < PARAM_COUNT)
		return take_param(p, (enum param_id)option, t, reterr);
	return take_extra(&spec->extras[option - PARAM_COUNT], reterr);
}

static int parse_flags(const struct options_spec *spec, struct params *p, int argc, char **argv,
		       struct request *request, struct error *reterr)
{
	struct table *t = check_calloc(1, sizeof *t);
	char letters[2 * OPTIONS_EXTRAS_MAX + 4];
	int option, r = 0;

	build_table(spec, t);
	build_letters(spec, letters);
	optind = 0; /* GNU: begin anew */
	opterr = 0;
	while (r == 0 && (option = getopt_long(argc, argv, letters, t->rows, NULL)) != -1) {
		if (option == 'h') {
			request->help = true;
		} else if (option == ':') {
			error_set(reterr, ERR_INVALID, "expected a value, found none");
			error_where(reterr, "%.100s", argv[optind - 1]);
			r = ERR_INVALID;
		} else if (option == '?' && optopt >= OPTION_HELP) {
			error_set(reterr, ERR_INVALID, "expected no value, found one");
			error_where(reterr, "%.100s", argv[optind - 1]);
			r = ERR_INVALID;
		} else if (option == '?') {
			char letter[3] = {'-', (char)optopt, '\0'};

			r = refuse_option(spec, t, optopt != 0 ? letter : argv[optind - 1], reterr);
		} else {
			r = take(spec, p, t, option_of_letter(spec, option), request, reterr);
		}
	}
	free(t);
	return r;
}

static int read_config(const struct request *request, struct params *p, struct error *reterr)
{
	struct buf text = {0};
	int r = fs_read_file(request->config, PARAMS_FILE_MAX, &text, reterr);

	if (r == 0)
		r = params_set_file(p, request->config, buf_bytes(&text), reterr);
	else
		error_help(reterr, "it was named by %s",
			   request->config_is_flag ? "--config" : "SHARDMILL_CONFIG");
	buf_fini(&text);
	return r;
}

int options_parse(const struct options_spec *spec, struct params *p, int argc, char **argv,
		  char *const *environ_array, int *ret_first, struct buf *out, struct error *reterr)
{
	static const char config_env[] = "SHARDMILL_CONFIG=";
	struct request request = {0};
	char found[80];
	int r;

	params_init(p, spec->scopes);
	for (char *const *e = environ_array; *e != NULL; e++)
		if (strncmp(*e, config_env, sizeof config_env - 1) == 0)
			request.config = *e + sizeof config_env - 1;
	r = parse_flags(spec, p, argc, argv, &request, reterr);
	if (r != 0)
		return r;
	if (request.help || request.version || request.man) {
		if (request.help)
			options_write_help(spec, out);
		else if (request.version)
			buf_printf(out, "%s %s\n", spec->program, SHARDMILL_VERSION);
		else
			options_write_page(spec, request.markdown, out);
		return OPTIONS_DONE;
	}
	r = params_set_env(p, environ_array, reterr);
	if (r == 0 && request.config != NULL && request.config[0] != '\0')
		r = read_config(&request, p, reterr);
	if (r == 0)
		r = params_check(p, reterr);
	if (r != 0)
		return r;
	*ret_first = optind;
	if (spec->options_only && optind < argc) {
		error_set(reterr, ERR_INVALID, "expected options only, found %s",
			  text_quote(found, sizeof found, bytes_of(argv[optind])));
		return error_help(reterr, "`%s --help` lists them", spec->program);
	}
	if (!request.params)
		return OPTIONS_RUN;
	params_dump(p, out);
	return OPTIONS_DONE;
}

bool options_start(const struct options_spec *spec, struct params *p, int argc, char **argv, int *ret_first,
		   int *ret_exit)
{
	struct error error = {0};
	struct buf out = {0};
	char line[1024];
	int r = options_parse(spec, p, argc, argv, environ, ret_first, &out, &error);

	if (r == OPTIONS_RUN)
		return true;
	if (r == OPTIONS_DONE) {
		fwrite(out.data, 1, out.size, stdout);
		*ret_exit = fflush(stdout) == 0 ? 0 : 1;
	} else {
		fprintf(stderr, "%s: %s\n", spec->program, error_text(&error, line, sizeof line));
		*ret_exit = 2;
	}
	buf_fini(&out);
	return false;
}
