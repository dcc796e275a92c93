/* Parameters: what an operator may set, from the one table base/params.def. Pure.
 *
 * A value comes from the default, the configuration file, the environment (SHARDMILL_<NAME>) or a
 * command line option; a later one of these wins over an earlier one, whatever the order in which
 * they are read. Every text is checked when it is set, also when it does not win.
 * base/options.h feeds all of them in a program; a test feeds params_set.
 *
 * Bounds: PARAMS_TEXT_MAX bytes a text, PARAMS_LIST_MAX texts a list, PARAMS_FILE_MAX a file. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/types.h"

#define PARAMS_TEXT_MAX 4096u
#define PARAMS_LIST_MAX 64u
#define PARAMS_FILE_MAX (1024u * 1024u)

enum param_type {
	PARAM_TYPE_BOOL,     /* yes no true false on off 1 0 */
	PARAM_TYPE_INT,	     /* >= 0 */
	PARAM_TYPE_DURATION, /* base/units.h */
	PARAM_TYPE_SIZE,     /* at most INT64_MAX */
	PARAM_TYPE_CPUS,
	PARAM_TYPE_TEXT,
	PARAM_TYPE_CHOICE,
	PARAM_TYPE_PATH,
	PARAM_TYPE_PATHS, /* each setting adds one; the environment's are parted by ':' */
};

enum param_scope {
	PARAM_SCOPE_DISPATCHER = 1,
	PARAM_SCOPE_WORKER = 2,
	PARAM_SCOPE_SCALER = 4,
	PARAM_SCOPE_UP = 8,
	PARAM_SCOPE_CLI = 16,
	PARAM_SCOPE_ALL = 31,
};

/* The weakest first. */
enum param_from { PARAM_FROM_DEFAULT, PARAM_FROM_FILE, PARAM_FROM_ENV, PARAM_FROM_FLAG };

enum param_id {
#define PARAM(id, ...) PARAM_##id,
#include "base/params.def"
	PARAM_COUNT
};

struct param_info {
	const char *name;
	enum param_type type;
	const char *default_text;
	const char *min_text; /* "" = none */
	const char *max_text;
	const char *choices;	 /* "a|b|c" of PARAM_TYPE_CHOICE, else "" */
	const char *placeholder; /* "DIR", "TIME" in help; "" for PARAM_TYPE_BOOL */
	unsigned scopes;	 /* enum param_scope, or-ed */
	const char *doc;
};

struct param_value {
	enum param_from from;
	char *where;		      /* "file:line:column", "SHARDMILL_X", "--x"; NULL for a default */
	int64_t number;		      /* bool, int, us, bytes, thousandths, index of the choice */
	char *texts[PARAMS_LIST_MAX]; /* text and path: one; "" when not set */
	size_t text_count;
};

/* Owner: whoever calls params_fini. Read it through the getters below. */
struct params {
	unsigned scopes; /* of this program; parameters of others are checked, then ignored */
	struct param_value values[PARAM_COUNT];
};

const struct param_info *param_info(enum param_id id);
/* By name, with '-' and '_' alike. An unknown name is ERR_NOT_FOUND, with the nearest in help. */
int param_find(struct bytes name, enum param_id *ret_id, struct error *reterr) MUST_CHECK;

void params_init(struct params *p, unsigned scopes);
void params_fini(struct params *p);

/* One value; where is copied and becomes the error's place. */
int params_set(struct params *p, enum param_id id, struct bytes text, enum param_from from, const char *where,
	       struct error *reterr) MUST_CHECK;
/* A configuration file's text; file names it in errors. Lines are `name: value`, `# comment` (at
 * the start or after a blank) or empty; a value that needs blanks at its ends or a # stands in
 * double quotes, with \" and \\ inside. A name may be repeated only when it is a list.
 * Nothing is set when a line is wrong. */
int params_set_file(struct params *p, const char *file, struct bytes text, struct error *reterr) MUST_CHECK;
/* SHARDMILL_<NAME> of an environ-like array; other names are not ours to judge. */
int params_set_env(struct params *p, char *const *environ_array, struct error *reterr) MUST_CHECK;
/* What must hold between parameters of this program (PARAM_ORDER). Call it last. */
int params_check(const struct params *p, struct error *reterr) MUST_CHECK;

/* Typed getters; asking for another type than the table's is our own bug (CHECK). */
bool params_bool(const struct params *p, enum param_id id);
int64_t params_int(const struct params *p, enum param_id id);
usec_t params_duration_us(const struct params *p, enum param_id id);
uint64_t params_size_bytes(const struct params *p, enum param_id id);
uint32_t params_cpus_milli(const struct params *p, enum param_id id);
/* Index in the table's choices: "auto|on|off" gives 0, 1, 2. */
unsigned params_choice(const struct params *p, enum param_id id);
/* TEXT or PATH; "" when not set; never NULL; lives as long as p. */
const char *params_text(const struct params *p, enum param_id id);
size_t params_list_count(const struct params *p, enum param_id id);
const char *params_list_at(const struct params *p, enum param_id id, size_t index);
bool params_is_set(const struct params *p, enum param_id id); /* not by default */

const char *param_from_name(enum param_from from);
/* The value as one would write it in the file, appended to out; lists as "a:b". */
void params_format(const struct params *p, enum param_id id, struct buf *out);

/* Appended to out: `name = value` with where it came from, for this program's scopes. */
void params_dump(const struct params *p, struct buf *out);
/* The options of these scopes, for --help. */
void params_write_help(unsigned scopes, struct buf *out);
/* The same as sections of a manual page: man(7) macros, and Markdown. */
void params_write_roff(unsigned scopes, struct buf *out);
/* Text as it may stand in a page: one line of it. */
void params_write_roff_text(struct bytes text, struct buf *out);
void params_write_markdown(unsigned scopes, struct buf *out);
