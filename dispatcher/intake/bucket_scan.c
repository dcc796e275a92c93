/* Listing a bucket in slices, so that no turn of the loop takes long. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/intake/bucket.h"

#define ENTRIES_PER_TURN 256
#define PAUSE_US (200 * USEC_PER_MSEC)
#define SOON_US USEC_PER_SEC
/* A watermark that only time moved is written this often. */
#define WATERMARK_EVERY_US (600 * USEC_PER_SEC)

/* What is not in the list, but was taken when the list was whole; or the list has no room for it. */
static bool counts_as_taken(const struct bucket *b, const struct stat *st)
{
	usec_t changed_us = bucket_changed_us(st);

	return changed_us < b->taken_before_us ||
	       (taken_is_full(b->taken) && changed_us < b->watermark_us - BUCKET_MARGIN_US);
}

static bool visit_file(struct bucket *b, const char *path, struct stat *st)
{
	uint64_t key = bucket_key(b, path, st);

	if (taken_mark(b->taken, key))
		return true;
	if (counts_as_taken(b, st)) {
		taken_add(b->taken, key);
		return true;
	}
	if (bucket_is_being_written(b, path, st)) {
		bucket_keep_below(b, bucket_changed_us(st));
		return true;
	}
	key = bucket_key(b, path, st);
	return taken_mark(b->taken, key) || bucket_offer_file(b, path, st, key);
}

/* false: pause. */
static bool visit(struct bucket *b, struct bucket_dir *d, const char *name)
{
	enum bucket_left left = bucket_leaves_name(name);
	char path[BUCKET_PATH_MAX];
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return true;
	bucket_dirs_join(d, name, path);
	if (left == LEFT_NOTHING && fstatat(dirfd(d->dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return true;
		left = LEFT_UNREADABLE;
		b->scan_whole = false;
	} else if (left == LEFT_NOTHING && S_ISDIR(st.st_mode)) {
		if (bucket_dirs_push(&b->dirs, path))
			return true;
		left = LEFT_UNREADABLE;
		errno = ENAMETOOLONG;
	} else if (left == LEFT_NOTHING && !S_ISREG(st.st_mode)) {
		left = S_ISLNK(st.st_mode) ? LEFT_LINK : LEFT_SPECIAL;
	}
	if (left == LEFT_NOTHING)
		return visit_file(b, path, &st);
	bucket_leave_out(b, left, path);
	return true;
}

static void write_watermark(struct bucket *b)
{
	char text[96];

	if (b->offered == 0 && b->watermark_us - b->written_us < WATERMARK_EVERY_US)
		return;
	bucket_position(b, text, sizeof(text));
	b->written_us = b->watermark_us;
	b->offered = 0;
	port_submit(b->services->port, INPUT_WATERMARK,
		    &(struct input_watermark){.intake = bytes_of(b->intake), .position = bytes_of(text)},
		    NULL);
}

/* Files that are not there any more are forgotten, unless they may be in a folder that was not read. */
static void end_sweep(struct bucket *b)
{
	struct error e = {0};
	char line[ERROR_LINE_MAX];
	bool anew = b->taken_before_us > 0;

	if (!b->scan_whole)
		return;
	if (taken_sweep_end(b->taken, anew, &e) == 0)
		b->taken_before_us = 0;
	else
		log_warn("the list of files that were taken is not on the disk as it is in memory",
			 log_text("bucket", b->path), log_error_field(&e, line, sizeof(line)));
}

/* All that it found is durable, or stays above the watermark. */
static void finish(struct bucket *b)
{
	usec_t now = clock_mono_us();
	bool kept = b->low_us != USEC_NEVER;
	usec_t mark = b->low_us < b->scan_started_us ? b->low_us : b->scan_started_us;

	b->scanning = false;
	b->scanned = true;
	end_sweep(b);
	memcpy(b->left, b->left_counting, sizeof(b->left));
	if (mark > b->watermark_us)
		b->watermark_us = mark;
	b->low_us = USEC_NEVER;
	write_watermark(b);
	if (b->again) {
		b->again = false;
		bucket_scan(b);
		return;
	}
	loop_timer_set(b->services->loop, &b->timer,
		       now + (kept ? SOON_US : params_duration_us(b->services->params, PARAM_BUCKET_RESCAN)));
}

/* The topmost folder's next name; NULL: there is none, or it cannot be read. */
static const char *next_name(struct bucket *b, struct bucket_dir *d)
{
	struct dirent *entry = NULL;

	if (d->dir == NULL) {
		bucket_watch_dir(b, d->path); /* before it is read: what comes meanwhile is told */
		if (!bucket_dirs_open(b, d) && errno == ENOENT && d->path[0] != '\0')
			return NULL;
	}
	errno = d->dir != NULL ? 0 : errno;
	if (d->dir != NULL)
		entry = readdir(d->dir);
	if (entry == NULL && errno != 0) {
		b->scan_whole = false;
		if (errno != ENOENT)
			bucket_leave_out(b, LEFT_UNREADABLE, d->path);
		else if (d->path[0] == '\0')
			bucket_doubt_root(b);
	}
	return entry != NULL ? entry->d_name : NULL;
}

static void on_scan(struct loop *loop, void *arg)
{
	struct bucket *b = arg;

	for (int i = 0; b->dirs != NULL && i < ENTRIES_PER_TURN; i++) {
		struct bucket_dir *d = b->dirs;
		const char *name;

		if (b->paused)
			return;
		if (!bucket_may_offer(b)) {
			loop_timer_set(loop, &b->timer, clock_mono_us() + PAUSE_US);
			return;
		}
		if (b->offer_count >= BUCKET_OFFERS_MAX) /* goes on when they are answered */
			return;
		name = next_name(b, d);
		if (name == NULL) {
			bucket_dirs_pop(&b->dirs);
		} else if (!visit(b, d, name)) { /* the next scan, soon, finds it again */
			loop_timer_set(loop, &b->timer, clock_mono_us() + PAUSE_US);
			return;
		}
	}
	if (b->dirs != NULL)
		loop_defer(loop, &b->scan_task);
	else if (b->scanning && b->offer_count == 0)
		finish(b);
}

static void on_timer(struct loop *loop, void *arg)
{
	struct bucket *b = arg;

	if (b->dirs != NULL || b->scanning)
		loop_defer(loop, &b->scan_task);
	else
		bucket_scan(b);
}

void bucket_scan(struct bucket *b)
{
	if (b->scanning) {
		b->again = true;
		return;
	}
	b->scanning = b->scan_whole = true;
	b->scan_started_us = clock_wall_us();
	memset(b->left_counting, 0, sizeof(b->left_counting));
	taken_sweep_begin(b->taken);
	(void)bucket_dirs_push(&b->dirs, "");
	loop_defer(b->services->loop, &b->scan_task);
}

void bucket_scan_soon(struct bucket *b)
{
	if (!b->scanning && b->timer.deadline_us > clock_mono_us() + SOON_US)
		loop_timer_set(b->services->loop, &b->timer, clock_mono_us() + SOON_US);
}

void bucket_scan_below(struct bucket *b, const char *path)
{
	if (!bucket_dirs_push(&b->dirs, path))
		bucket_leave_out(b, LEFT_UNREADABLE, path);
	loop_defer(b->services->loop, &b->scan_task);
}

void bucket_scan_go_on(struct bucket *b)
{
	if (b->dirs != NULL || b->scanning)
		loop_defer(b->services->loop, &b->scan_task);
}

void bucket_scan_init(struct bucket *b)
{
	b->scan_task = (struct loop_task){.fn = on_scan, .arg = b};
	b->timer = (struct loop_timer){.fn = on_timer, .arg = b};
	b->low_us = USEC_NEVER;
}

void bucket_scan_fini(struct bucket *b)
{
	loop_defer_cancel(b->services->loop, &b->scan_task);
	loop_timer_unset(b->services->loop, &b->timer);
	while (b->dirs != NULL)
		bucket_dirs_pop(&b->dirs);
	b->scanning = b->scanned = b->again = false;
	b->low_us = USEC_NEVER;
	b->offered = 0;
}

void bucket_go_on(struct bucket *b)
{
	if (b->dirs != NULL || b->scanning)
		loop_defer(b->services->loop, &b->scan_task);
	bucket_scan_soon(b); /* for what inotify told meanwhile */
}
