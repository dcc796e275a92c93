#include "dispatcher/rules.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "dispatcher/rule_copies.h"

/* Editors write in several steps: look when it is quiet. */
#define QUIET_US (100 * USEC_PER_MSEC)
/* A rule whose jobs cannot be run may be matched a thousand times a second. */
#define TELL_EVERY_US USEC_PER_SEC
/* The directory may be another one now. */
#define LOOK_EVERY_US USEC_PER_SEC

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
	struct loop *loop;
	char *dir;
	char *copies;	    /* of the last good versions */
	bool too_many;	    /* files: not all were read */
	bool gone;	    /* the directory; told */
	struct stat seen;   /* of the directory that is watched */
	struct rule *items; /* by file name */
	size_t count;
	uint32_t last_number;
	int notify_fd;
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_timer look_timer;
};

static void rule_fini(struct rule *rule)
{
	definition_destroy(rule->definition);
	free(rule->file);
}

static bool is_rule_name(const char *name)
{
	size_t length = strlen(name);

	return name[0] != '.' && ((length > 5 && strcmp(name + length - 5, ".yaml") == 0) ||
				  (length > 4 && strcmp(name + length - 4, ".yml") == 0));
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
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
static void rule_read_copy(struct rules *r, struct rule *rule)
{
	struct definition *d = NULL;
	struct buf text = {0};
	struct error e = {0};
	char line[ERROR_LINE_MAX];
	int rc = rule_copy_read(r->copies, rule->file, &text, &e);

	if (rc == 0)
		rc = rule_parse(r, rule, buf_bytes(&text), &d, &e);
	if (rc == 0)
		rule->definition = d;
	else if (rc != ERR_NOT_FOUND)
		log_error("the copy of a rule's last good version cannot be read",
			  log_text("file", rule->file), log_error_field(&e, line, sizeof(line)));
	buf_fini(&text);
}

static void rule_is_broken(struct rules *r, struct rule *rule, const struct error *e)
{
	char line[ERROR_LINE_MAX];

	if (rule->definition == NULL)
		rule_read_copy(r, rule);
	log_error(rule->definition != NULL
		      ? "a rule cannot be read: its last good version stays"
		      : "a rule cannot be read: no event is taken until its file is mended or removed",
		  log_text("file", rule->file), log_error_field(e, line, sizeof(line)));
	rule->error = *e;
}

static void rule_read(struct rules *r, struct rule *rule)
{
	struct definition *d = NULL;
	struct buf text = {0};
	struct error e = {0};
	char path[4096];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", r->dir, rule->file);
	rc = fs_read_file(path, DEFINITION_BYTES_MAX, &text, &e);
	if (rc == 0)
		rc = rule_parse(r, rule, buf_bytes(&text), &d, &e);
	if (rc < 0) {
		rule_is_broken(r, rule, &e);
	} else {
		log_info("rule", log_text("file", rule->file), log_bytes("name", d->body.name));
		rule_copy_write(r->copies, rule->file, buf_bytes(&text));
		rule->error = (struct error){0};
		definition_destroy(rule->definition);
		rule->definition = d;
	}
	buf_fini(&text);
}

static struct rule *rule_find(struct rules *r, const char *file)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->items[i].file, file) == 0)
			return &r->items[i];
	return NULL;
}

static struct rule *rule_add(struct rules *r, const char *file)
{
	struct rule *rule;

	if (r->count >= RULES_MAX) {
		log_error("more rules than may be: no event is taken until some are removed",
			  log_text("file", file), log_u64("max", RULES_MAX));
		r->too_many = true;
		return NULL;
	}
	r->items = check_realloc(r->items, r->count + 1, sizeof(*r->items));
	rule = &r->items[r->count++];
	*rule = (struct rule){.number = ++r->last_number, .file = strdup(file)};
	CHECK(rule->file != NULL);
	return rule;
}

/* A link that leads nowhere, or a file that may not be looked at, is a rule that cannot be read; fs_read_file
 * says why. */
static void visit(struct rules *r, const char *file)
{
	struct rule *rule = rule_find(r, file);
	struct stat st = {0};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", r->dir, file);
	if (stat(path, &st) < 0 && errno == ENOENT && lstat(path, &st) < 0)
		return; /* it went away since it was listed */
	if (rule == NULL)
		rule = rule_add(r, file);
	if (rule == NULL)
		return;
	rule->present = true;
	if (same_file(&rule->seen, &st) && rule->error.code == ERR_OK && rule->definition != NULL)
		return;
	rule->seen = st;
	rule_read(r, rule);
}

static void remove_absent(struct rules *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->count; i++) {
		if (r->items[i].present) {
			r->items[kept++] = r->items[i];
			continue;
		}
		log_info("a rule was removed", log_text("file", r->items[i].file));
		rule_copy_remove(r->copies, r->items[i].file);
		rule_fini(&r->items[i]);
	}
	r->count = kept;
}

static int select_rule(const struct dirent *entry)
{
	return is_rule_name(entry->d_name);
}

static int scan(struct rules *r, struct error *reterr)
{
	struct dirent **names = NULL;
	int count = scandir(r->dir, &names, select_rule, alphasort);

	if (count < 0) {
		error_set(reterr, ERR_IO, "the directory of rules cannot be read: %s", strerror(errno));
		return error_where(reterr, "%s", r->dir);
	}
	r->too_many = false;
	for (size_t i = 0; i < r->count; i++)
		r->items[i].present = false;
	for (int i = 0; i < count; i++) {
		visit(r, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	remove_absent(r);
	return 0;
}

void rules_reload(struct rules *r)
{
	struct error e = {0};
	char line[ERROR_LINE_MAX];

	if (r->dir[0] != '\0' && scan(r, &e) < 0)
		log_error("the rules stay as they are", log_error_field(&e, line, sizeof(line)));
}

static void on_quiet(struct loop *loop, void *arg)
{
	(void)loop;
	rules_reload(arg);
}

static void on_notify(struct loop *loop, uint32_t events, void *arg)
{
	struct rules *r = arg;
	char buffer[16384] __attribute__((aligned(8)));

	(void)events;
	while (read(r->notify_fd, buffer, sizeof(buffer)) > 0)
		loop_timer_set(loop, &r->timer, clock_mono_us() + QUIET_US);
}

static int watch(struct rules *r, struct error *reterr)
{
	r->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->notify_fd < 0 ||
	    inotify_add_watch(r->notify_fd, r->dir,
			      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
				  IN_ATTRIB | IN_ONLYDIR) < 0 ||
	    stat(r->dir, &r->seen) < 0) {
		error_set(reterr, ERR_IO, "the directory of rules cannot be watched: %s", strerror(errno));
		return error_where(reterr, "%s", r->dir);
	}
	r->watch = (struct loop_watch){.fn = on_notify, .arg = r};
	return loop_add(r->loop, &r->watch, r->notify_fd, EPOLLIN, reterr);
}

static void unwatch(struct rules *r)
{
	if (r->notify_fd < 0)
		return;
	loop_remove(r->loop, &r->watch);
	close(r->notify_fd);
	r->notify_fd = -1;
}

/* Was it removed and made again, replaced by another, covered by a mount? */
static void on_look(struct loop *loop, void *arg)
{
	struct rules *r = arg;
	struct error e = {0};
	char line[ERROR_LINE_MAX];
	struct stat st;

	loop_timer_set(loop, &r->look_timer, clock_mono_us() + LOOK_EVERY_US);
	if (stat(r->dir, &st) < 0) {
		if (!r->gone)
			log_warn(
			    "the directory of rules is gone: the rules stay as they are until it is back",
			    log_text("dir", r->dir), log_text("error", strerror(errno)));
		r->gone = true;
		return;
	}
	if (!r->gone && st.st_dev == r->seen.st_dev && st.st_ino == r->seen.st_ino)
		return;
	unwatch(r);
	if (watch(r, &e) < 0) {
		unwatch(r);
		if (!r->gone)
			log_warn("the directory of rules was replaced by what cannot be watched",
				 log_error_field(&e, line, sizeof(line)));
		r->gone = true;
		return;
	}
	r->gone = false;
	log_warn("the directory of rules was replaced by another: it is read", log_text("dir", r->dir));
	rules_reload(r);
}

static bool is_rule(void *arg, const char *file)
{
	return rule_find(arg, file) != NULL;
}

int rules_open(struct loop *loop, const char *dir, const char *copies, struct rules **ret,
	       struct error *reterr)
{
	struct rules *r = check_calloc(1, sizeof(*r));
	int rc = 0;

	r->loop = loop;
	r->dir = strdup(dir);
	r->copies = strdup(copies);
	CHECK(r->dir != NULL && r->copies != NULL);
	r->notify_fd = -1;
	r->timer = (struct loop_timer){.fn = on_quiet, .arg = r};
	r->look_timer = (struct loop_timer){.fn = on_look, .arg = r};
	if (dir[0] != '\0')
		rc = watch(r, reterr);
	if (rc == 0 && dir[0] != '\0')
		rc = scan(r, reterr);
	if (rc < 0) {
		rules_close(r);
		return rc;
	}
	if (dir[0] != '\0')
		loop_timer_set(loop, &r->look_timer, clock_mono_us() + LOOK_EVERY_US);
	rule_copies_sweep(copies, is_rule, r);
	*ret = r;
	return 0;
}

void rules_close(struct rules *r)
{
	if (r == NULL)
		return;
	loop_timer_unset(r->loop, &r->timer);
	loop_timer_unset(r->loop, &r->look_timer);
	unwatch(r);
	for (size_t i = 0; i < r->count; i++)
		rule_fini(&r->items[i]);
	free(r->items);
	free(r->dir);
	free(r->copies);
	free(r);
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
	return error_where(reterr, "%s", rule != NULL ? rule->file : r->dir);
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
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].number == rule)
			r->items[i].matched++;
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
