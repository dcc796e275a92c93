#include "dispatcher/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "dispatcher/rules_dir.h"
#include "dispatcher/rules_read.h"

/* A rule whose jobs cannot be run may be matched a thousand times a second. */
#define TELL_EVERY_US USEC_PER_SEC

struct rule {
	uint32_t number;
	char *file; /* name in the directory */
	struct stat seen;
	struct definition *definition;
	struct error error;
	struct error job_error;
	char job_error_event[RULE_EVENT_BYTES_MAX];
	usec_t job_error_wall_us;
	usec_t told_us; /* of job_error, to the log */
	uint64_t matched;
	bool present; /* in the listing that is being read */
};

struct rules {
	struct rules_dir *dir; /* NULL: none */
	char *path;
	bool too_many;	    /* files: not all were read */
	struct rule *items; /* by number */
	size_t count;
	uint32_t last_number;
	rules_changed_fn *changed; /* NULL: nobody is told */
	void *changed_arg;
};

static void rule_fini(struct rule *rule)
{
	definition_destroy(rule->definition);
	free(rule->file);
}

/* Two rules of one name would be one line in every list. */
static int check_name(const struct rules *r, const struct rule *rule, const struct definition *d,
		      struct error *reterr)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct rule *other = &r->items[i];

		if (other == rule || other->definition == NULL ||
		    !bytes_equal(other->definition->body.name, d->body.name))
			continue;
		error_set(reterr, ERR_EXISTS, "expected a name of its own; %s has the same", other->file);
		return error_where(reterr, "%s", rule->file);
	}
	return 0;
}

static int rule_parse(struct rules *r, struct rule *rule, struct bytes text, struct definition **ret,
		      struct error *reterr)
{
	struct definition *d = NULL;
	int rc = definition_parse(text, rule->file, NULL, &d, reterr);

	if (rc == 0 && d->on.count == 0) {
		rc = error_set(reterr, ERR_INVALID,
			       "expected `on` with a pattern: without it nothing starts it");
		error_where(reterr, "%s", rule->file);
	}
	if (rc == 0)
		rc = check_name(r, rule, d, reterr);
	if (rc < 0)
		definition_destroy(d);
	else
		*ret = d;
	return rc;
}

/* The version that was good when a dispatcher ran here last. */
static void rule_take_copy(struct rules *r, struct rule *rule, const struct rule_file *f)
{
	struct definition *d = NULL;
	struct error e = f->copy_error;
	char line[ERROR_LINE_MAX];
	int rc = f->copy_rc;

	if (rc == 0)
		rc = rule_parse(r, rule, buf_bytes(f->is_copied ? &f->text : &f->copy), &d, &e);
	if (rc == 0)
		rule->definition = d;
	else if (rc != ERR_NOT_FOUND)
		log_error("the copy of a rule's last good version cannot be read",
			  log_text("file", rule->file), log_error_field(&e, line, sizeof(line)));
}

static void rule_is_broken(struct rules *r, struct rule *rule, const struct rule_file *f,
			   const struct error *e)
{
	char line[ERROR_LINE_MAX];

	if (rule->definition == NULL)
		rule_take_copy(r, rule, f);
	log_error(rule->definition != NULL
		      ? "a rule cannot be read: its last good version stays"
		      : "a rule cannot be read: no event is taken until its file is mended or removed",
		  log_text("file", rule->file), log_error_field(e, line, sizeof(line)));
	rule->error = *e;
}

static void rule_take(struct rules *r, struct rule *rule, struct rule_file *f, struct rule_changes *changes)
{
	struct definition *d = NULL;
	struct error e = f->error;
	int rc = f->rc;

	rule->seen = f->seen;
	if (rc == 0)
		rc = rule_parse(r, rule, buf_bytes(&f->text), &d, &e);
	if (rc < 0) {
		rule_is_broken(r, rule, f, &e);
		return;
	}
	log_info("rule", log_text("file", rule->file), log_bytes("name", d->body.name));
	if (!f->is_copied)
		rule_changes_add(changes, rule->file, &f->text);
	rule->error = (struct error){0};
	definition_destroy(rule->definition);
	rule->definition = d;
}

static struct rule *rule_of(const struct rules *r, uint32_t number)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->items[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->count && r->items[low].number == number ? &r->items[low] : NULL;
}

static struct rule *rule_add(struct rules *r, const char *file)
{
	struct rule *rule;

	if (r->count >= RULES_MAX) {
		if (!r->too_many)
			log_error("more rules than may be: no event is taken until some are removed",
				  log_text("file", file), log_u64("max", RULES_MAX));
		r->too_many = true;
		return NULL;
	}
	r->items = check_realloc(r->items, r->count + 1, sizeof(*r->items));
	rule = &r->items[r->count++];
	*rule = (struct rule){.number = ++r->last_number, .file = strdup(file), .present = true};
	CHECK(rule->file != NULL);
	return rule;
}

static void remove_absent(struct rules *r, struct rule_changes *changes)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->count; i++) {
		if (r->items[i].present) {
			r->items[kept++] = r->items[i];
			continue;
		}
		log_info("a rule was removed", log_text("file", r->items[i].file));
		rule_changes_add(changes, r->items[i].file, NULL);
		rule_fini(&r->items[i]);
	}
	r->count = kept;
}

/* A file that was renamed leaves its name to the new one, so those that are gone go first. */
static void take_files(void *arg, struct rules_look *look, struct rule_changes *changes)
{
	struct rules *r = arg;

	r->too_many = false;
	for (size_t i = 0; i < r->count; i++)
		r->items[i].present = false;
	for (size_t i = 0; i < look->file_count; i++)
		if (look->files[i].number != 0)
			rule_of(r, look->files[i].number)->present = true;
	remove_absent(r, changes);
	for (size_t i = 0; i < look->file_count; i++) {
		struct rule_file *f = &look->files[i];
		struct rule *rule = f->number != 0 ? rule_of(r, f->number) : rule_add(r, f->name);

		if (rule != NULL && f->is_read)
			rule_take(r, rule, f, changes);
	}
	if (r->changed != NULL)
		r->changed(r->changed_arg);
}

static void tell_known(void *arg, struct rules_look *look)
{
	const struct rules *r = arg;

	look->known = check_calloc(r->count + 1, sizeof(*look->known));
	look->known_count = r->count;
	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->items[i];

		look->known[i] =
		    (struct rule_known){.number = rule->number,
					.name = strdup(rule->file),
					.seen = rule->seen,
					.good = rule->error.code == ERR_OK && rule->definition != NULL};
		CHECK(look->known[i].name != NULL);
	}
}

static bool is_rule(void *arg, const char *file)
{
	const struct rules *r = arg;

	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->items[i].file, file) == 0)
			return true;
	return false;
}

int rules_open(struct loop *loop, const char *dir, const char *copies, struct rules **ret,
	       struct error *reterr)
{
	struct rules *r = check_calloc(1, sizeof(*r));
	const struct rules_dir_ops ops = {
	    .tell_known = tell_known, .take_files = take_files, .is_rule = is_rule, .arg = r};
	int rc = 0;

	r->path = strdup(dir);
	CHECK(r->path != NULL);
	if (dir[0] != '\0')
		rc = rules_dir_open(&r->dir, loop, dir, copies, &ops, reterr);
	if (rc < 0)
		rules_close(r);
	else
		*ret = r;
	return rc;
}

void rules_close(struct rules *r)
{
	if (r == NULL)
		return;
	rules_dir_close(r->dir);
	for (size_t i = 0; i < r->count; i++)
		rule_fini(&r->items[i]);
	free(r->items);
	free(r->path);
	free(r);
}

void rules_reload(struct rules *r)
{
	if (r->dir != NULL)
		rules_dir_reload(r->dir);
}

bool rules_are_being_read(const struct rules *r)
{
	return r->dir != NULL && rules_dir_is_busy(r->dir);
}

size_t rules_count(const struct rules *r)
{
	return r->count;
}

void rules_at(const struct rules *r, size_t index, struct rule_view *ret)
{
	const struct rule *rule = &r->items[index];

	*ret = (struct rule_view){.file = rule->file,
				  .definition = rule->definition,
				  .error = &rule->error,
				  .matched = rule->matched,
				  .job_error = &rule->job_error,
				  .job_error_event = rule->job_error_event,
				  .job_error_wall_us = rule->job_error_wall_us};
}

static bool has_name(const struct rule *rule, const char *name)
{
	return rule->definition != NULL && bytes_equal(rule->definition->body.name, bytes_of(name));
}

void rules_on_change(struct rules *r, rules_changed_fn *fn, void *arg)
{
	r->changed = fn;
	r->changed_arg = arg;
	if (fn != NULL)
		fn(arg);
}

bool rules_have(const struct rules *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (has_name(&r->items[i], name))
			return true;
	return false;
}

int rules_are_ready(const struct rules *r, struct error *reterr)
{
	const struct rule *rule = NULL;

	for (size_t i = 0; i < r->count && rule == NULL; i++)
		if (r->items[i].definition == NULL)
			rule = &r->items[i];
	if (rule == NULL && !r->too_many)
		return 0;
	if (rule != NULL)
		error_set(reterr, ERR_CLOSED,
			  "a rule cannot be read, so that nobody knows what events start: %.200s",
			  rule->error.what);
	else
		error_set(reterr, ERR_CLOSED, "there are more than %d rules", RULES_MAX);
	error_help(reterr, "mend or remove its file, then send the event again; `shardmill rules` says more");
	return error_where(reterr, "%s", rule != NULL ? rule->file : r->path);
}

const struct definition *rules_match(struct rules *r, const char *name, const struct event *e, size_t *cursor,
				     uint32_t *ret_rule)
{
	while (*cursor < r->count) {
		struct rule *rule = &r->items[(*cursor)++];

		if (rule->definition == NULL || (name != NULL && !has_name(rule, name)) ||
		    !definition_matches(rule->definition, e))
			continue;
		*ret_rule = rule->number;
		return rule->definition;
	}
	return NULL;
}

bool rules_may_match(const struct rules *r, struct bytes source)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].definition != NULL && definition_may_match(r->items[i].definition, source))
			return true;
	return false;
}

void rules_note_matched(struct rules *r, uint32_t rule)
{
	struct rule *found = rule_of(r, rule);

	if (found != NULL)
		found->matched++;
}

void rules_note_error(struct rules *r, size_t cursor, const char *event, const struct error *e)
{
	struct rule *rule = &r->items[cursor - 1];
	char line[ERROR_LINE_MAX];

	rule->job_error = *e;
	rule->job_error_wall_us = clock_wall_us();
	snprintf(rule->job_error_event, sizeof(rule->job_error_event), "%s", event);
	if (clock_mono_us() - rule->told_us < TELL_EVERY_US)
		return;
	rule->told_us = clock_mono_us();
	log_warn("an event matched a rule, but its job cannot be run: it has failed",
		 log_text("file", rule->file), log_text("event", rule->job_error_event),
		 log_error_field(e, line, sizeof(line)));
}
