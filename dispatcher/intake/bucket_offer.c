#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/intake/bucket.h"
#include "dispatcher/intake/intake.h"
#include "dispatcher/rules.h"
#include "jobs/event_bucket.h"
#include "jobs/file_tag.h"
#include "jobs/kinds.h"

static bool ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name), size = strlen(suffix);

	return length >= size && strcmp(name + length - size, suffix) == 0;
}

enum bucket_left bucket_leaves_name(const char *name)
{
	if (name[0] == '.')
		return LEFT_HIDDEN;
	return ends_with(name, ".tmp") || ends_with(name, ".part") ? LEFT_UNFINISHED : LEFT_NOTHING;
}

void bucket_leave_out(struct bucket *b, enum bucket_left why, const char *path)
{
	static const char *const words[LEFT_COUNT] = {
	    [LEFT_HIDDEN] = "its name begins with a dot",
	    [LEFT_UNFINISHED] = "its name ends in .tmp or .part, as of what is not whole yet",
	    [LEFT_LINK] = "it is a symbolic link; a hard link would be taken",
	    [LEFT_SPECIAL] = "it is neither a file nor a folder",
	    [LEFT_UNREADABLE] = "it cannot be read",
	};
	int number = errno;

	b->left_counting[why]++;
	if (!b->scanning)
		b->left[why]++;
	if (b->left_told[why])
		return;
	b->left_told[why] = true;
	if (why == LEFT_UNREADABLE)
		log_warn("left out of a watched directory; more of this kind are counted in status",
			 log_text("bucket", b->path), log_text("path", path), log_text("why", words[why]),
			 log_text("error", strerror(number)));
	else
		log_info("left out of a watched directory; more of this kind are counted in status",
			 log_text("bucket", b->path), log_text("path", path), log_text("why", words[why]));
}

usec_t bucket_changed_us(const struct stat *st)
{
	return (usec_t)st->st_ctim.tv_sec * USEC_PER_SEC + st->st_ctim.tv_nsec / 1000;
}

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

struct principal bucket_principal(const struct bucket *b)
{
	struct principal by = {.kind = BY_BUCKET, .name = bytes_of(b->given)};

	if (by.name.size > KEY_BYTES_MAX)
		by.name.size = KEY_BYTES_MAX;
	return by;
}

uint64_t bucket_key(const struct bucket *b, const char *path, const struct stat *st)
{
	static const uint8_t no_secret[DEDUP_SECRET_BYTES];
	char tag[FILE_TAG_BYTES_MAX];
	struct bytes parts[2] = {bytes_of(path)};

	parts[1] =
	    BYTES(tag, file_tag(b->inodes_last ? st->st_ino : 0, (uint64_t)st->st_size, mtime_ns(st), tag));
	return dedup_key_of("taken", parts, 2, no_secret).lo;
}

void bucket_keep_below(struct bucket *b, usec_t changed_us)
{
	if (changed_us < b->low_us)
		b->low_us = changed_us;
}

/* Nothing was taken: a scan has to find it again. */
static void put_back(struct bucket *b, uint64_t key, usec_t changed_us)
{
	taken_remove(b->taken, key);
	bucket_keep_below(b, changed_us);
	bucket_scan_soon(b);
}

/* ---- the list of files that were taken: one write at a time ---- */

struct write {
	struct bucket_work work;
	struct taken *taken;
};

static void run_write(struct bucket_work *w)
{
	taken_write_make(((struct write *)w)->taken);
}

/* A list that is not this directory's any more is with the thread: taken_close ends its write. */
static void on_written(struct bucket_work *w)
{
	struct bucket *b = w->bucket;
	struct error e = {0};
	char line[ERROR_LINE_MAX];
	bool whole = false, counts = bucket_work_counts(w);
	int r = counts ? taken_write_end(b->taken, &whole, &e) : 0;

	free(w);
	if (!counts)
		return;
	b->writing = false;
	if (r < 0 && !b->flush_told)
		log_warn("the list of files that were taken cannot be written: it is tried again",
			 log_text("bucket", b->path), log_error_field(&e, line, sizeof(line)));
	b->flush_told = r < 0;
	if (r == 0)
		(void)bucket_flush(b);
	bucket_scan_note_written(b, whole);
}

bool bucket_flush(struct bucket *b)
{
	struct write *w;

	if (b->writing || !taken_write_begin(b->taken))
		return b->writing;
	w = check_calloc(1, sizeof(*w));
	w->taken = b->taken;
	w->work.run = run_write;
	w->work.done = on_written;
	b->writing = true;
	bucket_ask(b, &w->work);
	return true;
}

void bucket_on_flush(struct loop *loop, void *arg)
{
	(void)loop;
	(void)bucket_flush(arg);
}

/* From now on it was taken, whatever happens to us. */
static void keep(struct bucket *b, uint64_t key)
{
	taken_keep(b->taken, key);
	if (taken_is_pending(b->taken))
		loop_defer(b->services->loop, &b->flush_task);
}

static void offer_close(struct bucket_offer *o)
{
	struct bucket *b = o->bucket;

	DL_DELETE(b->offers, o);
	b->offer_count--;
	free(o);
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct bucket_offer *o = arg;
	struct bucket *b = o->bucket;
	bool is_same = b->taken != NULL && o->attached == b->attached;

	if (reply->code != ERR_OK && reply->code != ERR_BUSY)
		log_error("a file starts nothing", log_text("bucket", b->given),
			  log_text("error", reply->why));
	if (is_same && reply->code == ERR_BUSY)
		put_back(b, o->key, o->changed_us);
	else if (is_same)
		keep(b, o->key);
	offer_close(o);
	bucket_scan_go_on(b);
}

int bucket_event(const struct bucket *b, const char *path, const struct stat *st, const char *key_space,
		 const char *rule, struct event *ret, struct dedup_key *ret_key, struct error *reterr)
{
	char full[BUCKET_PATH_MAX], tag[FILE_TAG_BYTES_MAX];
	struct bucket_file f = {.bucket = b->name,
				.key = bytes_of(path),
				.size_bytes = (uint64_t)st->st_size,
				.inode = (uint64_t)st->st_ino,
				.mtime_ns = mtime_ns(st),
				.wall_us = clock_wall_us()};
	struct bytes parts[3];
	int r;

	snprintf(full, sizeof(full), "%s/%s", strcmp(b->path, "/") == 0 ? "" : b->path, path);
	f.path = bytes_of(full);
	r = event_bucket_created(&f, ret, reterr);
	if (r < 0)
		return error_where(reterr, "%s", full);
	parts[0] = f.path;
	parts[1] = BYTES(tag, file_tag(f.inode, f.size_bytes, f.mtime_ns, tag));
	parts[2] = bytes_of(rule);
	*ret_key = dedup_key_of(key_space, parts, rule[0] != '\0' ? 3 : 2, b->services->dedup_secret);
	return 0;
}

static void offer(struct bucket *b, const struct event *event, struct dedup_key dedup, uint64_t key,
		  usec_t changed_us)
{
	const struct principal by = bucket_principal(b);
	struct intake_result result = {0};
	struct bucket_offer *o = check_calloc(1, sizeof(*o));

	o->bucket = b;
	o->attached = b->attached;
	o->key = key;
	o->changed_us = changed_us;
	DL_APPEND(b->offers, o);
	b->offer_count++;
	bucket_applies_note(b, dedup);
	intake_offer(b->services, event, dedup, &by, &(struct ticket){on_reply, o}, &result);
	if (result.jobs > 0) {
		b->offered++;
		return;
	}
	keep(b, key);
	offer_close(o);
}

bool bucket_may_offer(const struct bucket *b)
{
	return !b->paused && rules_are_ready(b->services->rules, NULL) == 0 &&
	       port_has_room(b->services->port, NULL) == 0;
}

bool bucket_offer_file(struct bucket *b, const char *path, const struct stat *st, uint64_t key)
{
	struct error e = {0};
	struct event event;
	struct dedup_key dedup;
	char line[ERROR_LINE_MAX];

	if (!bucket_may_offer(b)) {
		put_back(b, key, bucket_changed_us(st));
		return false;
	}
	taken_add(b->taken, key);
	if (bucket_event(b, path, st, "listing", "", &event, &dedup, &e) < 0) {
		log_error("a file cannot be told as an event", log_error_field(&e, line, sizeof(line)));
		return true;
	}
	offer(b, &event, dedup, key, bucket_changed_us(st));
	event_fini(&event);
	return true;
}

void bucket_offers_fini(struct bucket *b)
{
	while (b->offers != NULL)
		offer_close(b->offers);
}
