/* The rules: definitions with `on` in a directory (*.yaml, *.yml), read before any intake opens, and again
 * when the directory changes or on SIGHUP. A file that cannot be understood is told and keeps its last good
 * version, also over restarts: each good version is copied to rules-good/ in the state directory. One that is
 * removed is a rule no more. While there is a file of which no good version is known, nobody can say what
 * events would start: they are to be sent again later (rules_are_ready). Jobs keep the version that they were
 * made of. The directory itself may be replaced by another: it is looked at each second. After the start all
 * of this is read in a thread (rules_dir.h): while the directory does not answer, the rules stay.
 * Bound: RULES_MAX files. Thread: the loop's. */
#pragma once

#include "base/loop.h"
#include "jobs/definition.h"

struct rules;

/* dir "" = no rules, ever. copies: where last good versions are kept (made when missing). Files that are
 * wrong do not fail it: they are in the log and in rules_at. */
int rules_open(struct loop *loop, const char *dir, const char *copies, struct rules **ret,
	       struct error *reterr) MUST_CHECK;
void rules_close(struct rules *r); /* NULL is fine */
/* From now on called whenever the rules may have changed; at once, too. NULL: nobody any more. */
typedef void rules_changed_fn(void *arg);
void rules_on_change(struct rules *r, rules_changed_fn *fn, void *arg);
/* They are read again soon; the log says when they have been. */
void rules_reload(struct rules *r);
/* False: what rules_reload asked for is done. */
bool rules_are_being_read(const struct rules *r);

size_t rules_count(const struct rules *r);
/* Is there one of this name that can be matched? */
bool rules_have(const struct rules *r, const char *name);
/* ERR_CLOSED, in words: a file cannot be read and has no good version, or there are too many. */
int rules_are_ready(const struct rules *r, struct error *reterr) MUST_CHECK;

#define RULE_EVENT_BYTES_MAX 256

struct rule_view {
	const char *file;
	const struct definition *definition; /* the last good version; NULL = there never was one */
	const struct error *error;	     /* of the file as it is now; code ERR_OK = none */
	uint64_t matched;		     /* events, each once */
	const struct error *job_error; /* of the last event that matched and of which no job could be run */
	const char *job_error_event;   /* its id, cut to RULE_EVENT_BYTES_MAX; "" = none */
	usec_t job_error_wall_us;
};
void rules_at(const struct rules *r, size_t index, struct rule_view *ret);

/* The next rule that the event matches, at or after *cursor (0 at first), which moves behind it; NULL at
 * the end. name NULL: of all rules, else only this one. Borrowed until the loop's next turn. *ret_rule: a
 * number of this rule for rules_note_matched, never given again. */
const struct definition *rules_match(struct rules *r, const char *name, const struct event *e, size_t *cursor,
				     uint32_t *ret_rule);
/* False: no rule matches any event of this source. */
bool rules_may_match(const struct rules *r, struct bytes source);
/* The event was accepted, for the first time. */
void rules_note_matched(struct rules *r, uint32_t rule);
/* The rule that rules_match gave last cannot make a job that runs of the event with this id. */
void rules_note_error(struct rules *r, size_t cursor, const char *event, const struct error *e);
