/* Listing a bucket in slices, so that no turn of the loop takes long. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/intake/bucket.h"

#define ENTRIES_PER_TURN 256
#define PAUSE_US (200 * USEC_PER_MSEC)
/* A watermark that only time moved is written this often. */
#define WATERMARK_EVERY_US (600 * USEC_PER_SEC)
/* When a file cannot be asked whether it is open, it has to be this old. */
#define SETTLED_US (2 * USEC_PER_SEC)
#define DEPTH_BYTES_MAX 4000 /* of a path below the bucket */

static void push(struct bucket *b, const char *path, usec_t since_us)
{
	size_t size = strlen(path) + 1;
	struct bucket_dir *d;

	if (size > DEPTH_BYTES_MAX) {
		log_warn("a folder lies too deep to be read", log_text("bucket", b->path));
		return;
	}
	d = check_calloc(1, sizeof(*d) + size);
	memcpy(d->path, path, size);
	d->since_us = since_us;
	d->next = b->dirs;
	b->dirs = d;
}

static void pop(struct bucket *b)
{
	struct bucket_dir *d = b->dirs;

	b->dirs = d->next;
	if (d->dir != NULL)
		closedir(d->dir);
	free(d);
}

/* A read lease is granted only while nobody has the file open for writing. */
static bool is_being_written(struct bucket *b, const char *path, const struct stat *st)
{
	int fd = openat(b->dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	int r, saved;

	if (fd >= 0) {
		r = fcntl(fd, F_SETLEASE, F_RDLCK);
		saved = errno;
		if (r == 0)
			(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		close(fd);
		if (r == 0 || saved == EAGAIN)
			return r != 0;
	}
	return clock_wall_us() - bucket_changed_us(st) < SETTLED_US;
}

/* false: pause. */
static bool visit(struct bucket *b, struct bucket_dir *d, const char *name)
{
	char path[8192];
	struct stat st;

	if (bucket_ignores(name))
		return true;
	snprintf(path, sizeof(path), "%s%s%s", d->path, d->path[0] != '\0' ? "/" : "", name);
	if (fstatat(b->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	if (S_ISDIR(st.st_mode)) {
		push(b, path, d->since_us);
		return true;
	}
	if (!S_ISREG(st.st_mode) || bucket_changed_us(&st) < d->since_us)
		return true;
	if (is_being_written(b, path, &st)) {
		bucket_keep_below(b, bucket_changed_us(&st));
		return true;
	}
	return bucket_offer_file(b, path, &st);
}

static void write_watermark(struct bucket *b)
{
	char text[64];

	if (b->offered == 0 && b->watermark_us - b->written_us < WATERMARK_EVERY_US)
		return;
	snprintf(text, sizeof(text), "1 %lld", (long long)b->watermark_us);
	b->written_us = b->watermark_us;
	b->offered = 0;
	server_later(b->server, INPUT_WATERMARK,
		     &(struct input_watermark){.intake = bytes_of(b->intake), .position = bytes_of(text)});
}

/* All that it found is durable, or stays above the watermark. */
static void finish(struct bucket *b)
{
	usec_t now = clock_mono_us();
	bool kept = b->low_us != USEC_NEVER;
	usec_t mark = b->low_us < b->scan_started_us ? b->low_us : b->scan_started_us;

	b->scanning = false;
	if (mark > b->watermark_us)
		b->watermark_us = mark;
	b->low_us = USEC_NEVER;
	write_watermark(b);
	if (b->again) {
		b->again = false;
		bucket_scan(b);
		return;
	}
	loop_timer_set(
	    b->server->loop, &b->timer,
	    now + (kept ? USEC_PER_SEC : params_duration_us(b->server->params, PARAM_BUCKET_RESCAN)));
}

static bool open_dir(struct bucket *b, struct bucket_dir *d)
{
	int fd;

	if (d->dir != NULL)
		return true;
	bucket_watch_dir(b, d->path); /* before it is read: what comes meanwhile is told */
	fd = openat(b->dir_fd, d->path[0] != '\0' ? d->path : ".",
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d->dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (d->dir == NULL && errno != ENOENT)
		log_warn("a folder cannot be read", log_text("bucket", b->path), log_text("folder", d->path),
			 log_text("error", strerror(errno)));
	if (d->dir == NULL && fd >= 0)
		close(fd);
	return d->dir != NULL;
}

static void on_scan(struct loop *loop, void *arg)
{
	struct bucket *b = arg;

	for (int i = 0; b->dirs != NULL && i < ENTRIES_PER_TURN; i++) {
		struct bucket_dir *d = b->dirs;
		struct dirent *entry;

		if (b->offer_count >= BUCKET_OFFERS_MAX) /* goes on when they are answered */
			return;
		entry = open_dir(b, d) ? readdir(d->dir) : NULL;
		if (entry == NULL)
			pop(b);
		else if (!visit(b, d, entry->d_name)) {
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
	usec_t since = b->watermark_us - BUCKET_MARGIN_US;

	if (b->scanning) {
		b->again = true;
		return;
	}
	b->scanning = true;
	b->scan_started_us = clock_wall_us();
	push(b, "", b->watermark_us == 0 ? 0 : since);
	loop_defer(b->server->loop, &b->scan_task);
}

void bucket_scan_below(struct bucket *b, const char *path)
{
	push(b, path, 0);
	loop_defer(b->server->loop, &b->scan_task);
}

void bucket_scan_go_on(struct bucket *b)
{
	if (b->dirs != NULL || b->scanning)
		loop_defer(b->server->loop, &b->scan_task);
}

void bucket_scan_init(struct bucket *b)
{
	b->scan_task = (struct loop_task){.fn = on_scan, .arg = b};
	b->timer = (struct loop_timer){.fn = on_timer, .arg = b};
	b->low_us = USEC_NEVER;
}

void bucket_scan_fini(struct bucket *b)
{
	loop_defer_cancel(b->server->loop, &b->scan_task);
	loop_timer_unset(b->server->loop, &b->timer);
	while (b->dirs != NULL)
		pop(b);
}
