/* Offering what is in a watched directory already to one rule (`shardmill rules apply`).
 *
 * Each file starts the rule once: left out are files of which history knows a job of the rule, files that the
 * watch offers to all rules meanwhile, and files that it has yet to offer. So it begins when a scan was
 * finished and history knows all jobs of that moment. After a restart of the dispatcher it may begin anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "jobs/api/values.h"
#include "dispatcher/intake/bucket.h"
#include "dispatcher/intake/intake.h"
#include "dispatcher/rules.h"
#include "dispatcher/readers.h"
#include "dispatcher/store/history_reader.h"

#define ENTRIES_PER_TURN 64
#define PAUSE_US (50 * USEC_PER_MSEC)
#define OFFERS_MAX 256
/* Nobody asks for the result: it is forgotten. */
#define FORGET_US (600 * USEC_PER_SEC)

enum apply_state { APPLY_WAITS, APPLY_ASKS, APPLY_WALKS, APPLY_ENDED };

struct bucket_apply {
	struct bucket_apply *next;
	struct services *services;
	struct bucket *bucket;
	char rule[NAME_BYTES_MAX + 1];
	usec_t since_us;
	enum apply_state state;
	uint64_t history_lsn; /* to wait for */
	struct port_wait history;
	struct reading query;
	struct buf keys;      /* of events that history knows, in its thread */
	struct taken *events; /* of which the rule has made jobs */
	struct bucket_dir *dirs;
	struct bucket_entries listed; /* files that are looked through, */
	size_t at;		      /* from here */
	struct loop_task task;
	struct loop_timer timer;
	uint32_t open;	/* offers in the core's hands */
	bool asking;	/* history or the thread will answer */
	bool abandoned; /* the dispatcher stops: that answer frees it */
	usec_t ended_us;
	uint64_t files, started, already, unmatched, failed;
	char error[256];
};

static void end(struct bucket_apply *a, const char *why)
{
	if (a->state == APPLY_ENDED)
		return;
	snprintf(a->error, sizeof(a->error), "%s", why);
	a->state = APPLY_ENDED;
	a->ended_us = clock_mono_us();
	bucket_dirs_close(a->bucket, &a->dirs);
	bucket_entries_fini(&a->listed);
	log_info("a rule was applied to a watched directory", log_text("rule", a->rule),
		 log_text("bucket", a->bucket->given), log_u64("files", a->files),
		 log_u64("started", a->started), log_u64("already", a->already), log_text("error", why));
}

static void pause_for(struct bucket_apply *a, usec_t us)
{
	loop_timer_set(a->services->loop, &a->timer, clock_mono_us() + us);
}

static void apply_destroy(struct bucket_apply *a)
{
	struct loop *loop = a->services->loop;

	loop_defer_cancel(loop, &a->task);
	loop_timer_unset(loop, &a->timer);
	port_wait_cancel(&a->history);
	taken_close(a->events);
	buf_fini(&a->keys);
	free(a);
}

/* ---- what the rule has started already ---- */

static int take_event(void *arg, struct bytes event)
{
	struct bucket_apply *a = arg;

	if (event.size == 2 * sizeof(uint64_t))
		buf_append(&a->keys, event.data + sizeof(uint64_t), sizeof(uint64_t));
	return 0;
}

static void run_query(struct history_reader *reader, struct reading *q)
{
	struct bucket_apply *a = (struct bucket_apply *)((char *)q - offsetof(struct bucket_apply, query));

	q->rc = history_events_of(reader, a->rule, take_event, a, &q->error);
}

static void on_answer(struct reading *q)
{
	struct bucket_apply *a = (struct bucket_apply *)((char *)q - offsetof(struct bucket_apply, query));
	char line[ERROR_LINE_MAX];

	a->asking = false;
	if (a->abandoned) {
		apply_destroy(a);
		return;
	}
	if (a->state != APPLY_ASKS)
		return;
	if (q->rc < 0) {
		end(a, error_text(&q->error, line, sizeof(line)));
		return;
	}
	for (size_t at = 0; at < a->keys.size; at += sizeof(uint64_t)) {
		uint64_t key = 0;

		for (size_t i = 0; i < sizeof(key); i++)
			key = key << 8 | a->keys.data[at + i];
		taken_add(a->events, key);
	}
	buf_fini(&a->keys);
	a->state = APPLY_WALKS;
	(void)bucket_dirs_push(&a->dirs, "");
	loop_defer(a->services->loop, &a->task);
}

/* ---- the walk ---- */

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct bucket_apply *a = arg;

	a->open--;
	if (reply->code != ERR_OK)
		a->failed++;
	else if (reply->duplicate)
		a->already++;
	else
		a->started++;
	if (a->state == APPLY_WALKS)
		loop_defer(a->services->loop, &a->task);
}

static void offer(struct bucket_apply *a, const char *path, const struct stat *st)
{
	struct bucket *b = a->bucket;
	const struct principal by = bucket_principal(b);
	struct intake_result result = {0};
	struct dedup_key listing, own;
	struct error e = {0};
	struct event event;

	if (bucket_event(b, path, st, "listing", "", &event, &listing, &e) < 0) {
		a->failed++;
		return;
	}
	event_fini(&event);
	if (bucket_event(b, path, st, "apply", a->rule, &event, &own, &e) < 0) {
		a->failed++;
		return;
	}
	if (taken_has(a->events, listing.lo) || taken_has(a->events, own.lo)) {
		a->already++;
	} else {
		a->open++;
		intake_offer_to(b->services, a->rule, &event, own, &by, &(struct ticket){on_reply, a},
				&result);
		if (result.jobs == 0) {
			a->open--;
			a->unmatched++;
		}
	}
	event_fini(&event);
}

static void visit(struct bucket_apply *a, const struct bucket_entry *e)
{
	struct bucket *b = a->bucket;
	const char *slash = strrchr(e->path, '/');

	if (bucket_leaves_name(slash != NULL ? slash + 1 : e->path) != LEFT_NOTHING || e->number != 0)
		return;
	if (S_ISDIR(e->st.st_mode)) {
		(void)bucket_dirs_push(&a->dirs, e->path);
		return;
	}
	/* What the watch did not take yet, it will offer to all rules. */
	if (!S_ISREG(e->st.st_mode) || bucket_changed_us(&e->st) < a->since_us ||
	    !(taken_has(b->taken, bucket_key(b, e->path, &e->st)) || taken_is_full(b->taken)))
		return;
	a->files++;
	offer(a, e->path, &e->st);
}

static void on_listed(struct bucket_work *w)
{
	struct bucket_list *l = (struct bucket_list *)w;
	struct bucket_apply *a = l->arg;

	a->asking = false;
	if (a->state == APPLY_WALKS && bucket_work_counts(w)) {
		bucket_list_put_back(l, &a->dirs);
		a->listed = l->entries;
		a->at = 0;
		l->entries = (struct bucket_entries){0};
		loop_defer(a->services->loop, &a->task);
	}
	bucket_list_end(l);
	if (a->abandoned)
		apply_destroy(a);
}

static void list(struct bucket_apply *a)
{
	struct bucket_list *l = bucket_list_create(a->bucket, &a->dirs);

	bucket_entries_fini(&a->listed);
	a->at = 0;
	l->arg = a;
	l->work.done = on_listed;
	a->asking = true;
	bucket_ask(a->bucket, &l->work);
}

static void walk(struct bucket_apply *a)
{
	for (int i = 0; a->at < a->listed.count && i < ENTRIES_PER_TURN; i++) {
		if (a->open >= OFFERS_MAX) /* goes on when they are answered */
			return;
		if (!bucket_may_offer(a->bucket)) {
			pause_for(a, PAUSE_US);
			return;
		}
		visit(a, &a->listed.items[a->at++]);
	}
	if (a->asking)
		return;
	if (a->at < a->listed.count)
		loop_defer(a->services->loop, &a->task);
	else if (a->dirs != NULL)
		list(a);
	else if (a->open == 0)
		end(a, "");
}

static void on_history(void *arg);

static void wait(struct bucket_apply *a)
{
	struct bucket *b = a->bucket;

	if (!b->scanned || b->offer_count > 0) {
		pause_for(a, PAUSE_US);
		return;
	}
	if (port_view(b->services->port).history_lsn < a->history_lsn) {
		a->history = (struct port_wait){.fn = on_history, .arg = a};
		port_when_in_history(b->services->port, a->history_lsn, &a->history);
		return;
	}
	a->state = APPLY_ASKS;
	a->asking = true;
	a->query = (struct reading){.run = run_query, .done = on_answer};
	readers_ask(a->services->readers, &a->query);
}

static void on_task(struct loop *loop, void *arg)
{
	struct bucket_apply *a = arg;

	(void)loop;
	if (a->state == APPLY_WAITS)
		wait(a);
	else if (a->state == APPLY_WALKS)
		walk(a);
}

static void on_history(void *arg)
{
	on_task(NULL, arg);
}

/* ---- what others call ---- */

void bucket_applies_note(struct bucket *b, struct dedup_key key)
{
	for (struct bucket_apply *a = b->applies; a != NULL; a = a->next)
		if (a->state != APPLY_ENDED)
			taken_add(a->events, key.lo);
}

void bucket_applies_stop(struct bucket *b, const char *why)
{
	for (struct bucket_apply *a = b->applies; a != NULL; a = a->next)
		end(a, why);
}

/* Once nobody calls back any more. */
static void apply_remove(struct bucket *b, struct bucket_apply *a)
{
	struct bucket_apply **at = &b->applies;

	if (a->state != APPLY_ENDED || a->open > 0 || a->asking)
		return;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	apply_destroy(a);
}

void bucket_applies_fini(struct bucket *b)
{
	while (b->applies != NULL) {
		struct bucket_apply *a = b->applies;

		b->applies = a->next;
		end(a, "the dispatcher is stopping");
		a->abandoned = a->asking;
		if (!a->asking)
			apply_destroy(a);
	}
}

static struct bucket_apply *apply_create(struct bucket *b, const char *rule, usec_t since_us)
{
	struct bucket_apply *a = check_calloc(1, sizeof(*a));

	a->services = b->services;
	a->bucket = b;
	a->since_us = since_us;
	a->history_lsn = port_view(b->services->port).last_lsn;
	snprintf(a->rule, sizeof(a->rule), "%s", rule);
	a->task = (struct loop_task){.fn = on_task, .arg = a};
	a->timer = (struct loop_timer){.fn = on_task, .arg = a};
	CHECK(taken_open(NULL, &a->events, NULL, NULL) == 0);
	a->next = b->applies;
	b->applies = a;
	loop_defer(b->services->loop, &a->task);
	return a;
}

static struct bucket_apply *apply_find(struct bucket *b, const char *rule, usec_t since_us)
{
	struct bucket_apply *a = b->applies, *found = NULL;

	while (a != NULL) {
		struct bucket_apply *next = a->next;

		if (strcmp(a->rule, rule) == 0 && a->since_us == since_us)
			found = a;
		else if (clock_mono_us() - a->ended_us > FORGET_US)
			apply_remove(b, a);
		a = next;
	}
	return found;
}

static json_t *apply_json(const struct bucket_apply *a)
{
	const struct api_applied applied = {
	    .ended = a->state == APPLY_ENDED,
	    .bucket = bytes_of(a->bucket->given),
	    .files = a->files,
	    .started = a->started,
	    .already = a->already,
	    .unmatched = a->unmatched,
	    .failed = a->failed,
	    .error = bytes_of(a->error),
	};

	return object_write(object_applied(), &applied);
}

static struct bucket *bucket_find(const struct services *s, const char *path, struct error *reterr)
{
	struct bucket *b = s->buckets != NULL ? s->buckets->first : NULL;

	if (b == NULL) {
		error_set(reterr, ERR_NOT_FOUND, "no directory is watched");
		error_help(reterr, "the dispatcher's --bucket names one");
		return NULL;
	}
	if (path == NULL && b->next == NULL)
		return b;
	while (b != NULL && path != NULL && strcmp(path, b->given) != 0 &&
	       (b->path == NULL || strcmp(path, b->path) != 0))
		b = b->next;
	if (path != NULL && b != NULL)
		return b;
	if (path == NULL)
		error_set(reterr, ERR_INVALID, "several directories are watched: which one is meant?");
	else
		error_set(reterr, ERR_NOT_FOUND, "this directory is not watched");
	error_help(reterr, "`shardmill status` lists those that are watched");
	(void)error_where(reterr, "%.200s", path != NULL ? path : "bucket");
	return NULL;
}

int buckets_apply(struct services *s, const char *rule, const char *bucket, usec_t since_us, json_t **ret,
		  struct error *reterr)
{
	struct bucket *b = bucket_find(s, bucket, reterr);
	struct bucket_apply *a;

	if (b == NULL)
		return ERR_NOT_FOUND;
	if (!rules_have(s->rules, rule)) {
		error_set(reterr, ERR_NOT_FOUND, "there is no rule of this name");
		error_help(reterr, "`shardmill rules` lists them");
		return error_where(reterr, "%.100s", rule);
	}
	if (b->path == NULL) {
		error_set(reterr, ERR_NOT_FOUND, "the directory cannot be read now: %.200s", b->gone);
		return error_where(reterr, "%.200s", b->given);
	}
	a = apply_find(b, rule, since_us);
	if (a == NULL)
		a = apply_create(b, rule, since_us);
	*ret = apply_json(a);
	apply_remove(b, a);
	return 0;
}
