/* The command line of a program: parameters (base/params.def) as long options, some of its own,
 * and the configuration file and environment behind them. GNU style: --name=value, --name value,
 * unambiguous abbreviations, `--` ends the options.
 *
 * Every program also has --config=FILE (or SHARDMILL_CONFIG), --help, --version, --params (what
 * every parameter is and where that came from) and --man[=roff|markdown]. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/params.h"
#include "base/types.h"

#define OPTIONS_EXTRAS_MAX 48u /* of one program */

/* An option that is no parameter, as `submit --array`. */
struct options_extra {
	char letter;		 /* 'o' for -o; 0 when it has none */
	const char *name;	 /* "array" */
	const char *placeholder; /* "RANGE"; NULL when it takes no value */
	const char *doc;
	/* value is NULL when it takes none; may fail. */
	int (*set)(void *arg, const char *value, struct error *reterr);
	void *arg;
};

struct options_spec {
	const char *program;  /* "shardmill-dispatcher", "shardmill submit" */
	const char *synopsis; /* behind the program's name: "[OPTION]... FILE" */
	const char *summary;  /* one sentence without a full stop, as whatis shows it */
	const char *details;  /* paragraphs; may be NULL */
	unsigned scopes;      /* enum param_scope */
	const struct options_extra *extras;
	size_t extra_count;
	bool has_csv;	       /* --output=csv is one of its forms */
	bool options_only;     /* what is no option is refused */
	bool stop_at_argument; /* options behind the first argument belong to that */
};

enum options_result {
	OPTIONS_RUN = 0,
	OPTIONS_DONE = 1, /* the text in *out was asked for; nothing else is to be done */
};

/* Returns an options_result or an error. p is initialised here, params_fini is due in any case.
 * *ret_first: index of the first argument in argv, which is permuted. getenv is not asked for
 * anything but through environ_array. */
int options_parse(const struct options_spec *spec, struct params *p, int argc, char **argv,
		  char *const *environ_array, int *ret_first, struct buf *out,
		  struct error *reterr) MUST_CHECK;
/* The same for a main(): prints what was asked for, or the error. Returns true to go on, false to
 * leave with *ret_exit (0, or 2 for wrong usage). */
bool options_start(const struct options_spec *spec, struct params *p, int argc, char **argv, int *ret_first,
		   int *ret_exit);
/* What --help and --man print; the page in roff (man(7)) or Markdown. */
void options_write_help(const struct options_spec *spec, struct buf *out);
void options_write_page(const struct options_spec *spec, bool markdown, struct buf *out);
/* Says that the error e is about the option --name and its value (NULL: none). */
void options_where(const char *name, const char *value, struct error *e);
