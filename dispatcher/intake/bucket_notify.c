#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "dispatcher/intake/bucket.h"

#define READS_MAX 1 /* in one turn: the descriptor stays readable */
#define WATCH_MASK                                                                                           \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR |             \
	 IN_DONT_FOLLOW | IN_EXCL_UNLINK)

static struct bucket_watch *find(struct bucket *b, int wd)
{
	struct bucket_watch *w = NULL;

	HASH_FIND_INT(b->watches, &wd, w);
	return w;
}

static void forget(struct bucket *b, struct bucket_watch *w)
{
	if (w == NULL)
		return;
	HASH_DELETE(hh, b->watches, w);
	free(w->path);
	free(w);
}

void bucket_watch_dir(struct bucket *b, const char *path)
{
	char full[BUCKET_PATH_MAX];
	struct bucket_watch *w;
	int wd;

	snprintf(full, sizeof(full), "%s/%s", b->path, path);
	wd = inotify_add_watch(b->notify_fd, full, WATCH_MASK);
	if (wd < 0) {
		if (errno == ENOSPC && !b->watches_full) {
			b->watches_full = true;
			log_warn("the system allows no more watches: files are found by scans alone, later",
				 log_text("bucket", b->path),
				 log_text("help", "raise fs.inotify.max_user_watches"));
		}
		return;
	}
	w = find(b, wd); /* a folder that was moved keeps its watch */
	if (w == NULL) {
		w = check_calloc(1, sizeof(*w));
		w->wd = wd;
		HASH_ADD_INT(b->watches, wd, w);
	}
	free(w->path);
	w->path = strdup(path);
	CHECK(w->path != NULL);
}

/* A name that was created may be a hard link to a file that is whole: then nobody closes it. One that is
 * being written will be closed, unless it was opened by another name. */
static void on_file(struct bucket *b, const char *path, uint32_t mask)
{
	struct stat st;
	uint64_t key;

	if (fstatat(b->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISREG(st.st_mode)) {
		bucket_leave_out(b, S_ISLNK(st.st_mode) ? LEFT_LINK : LEFT_SPECIAL, path);
		return;
	}
	key = bucket_key(b, path, &st);
	if (taken_has(b->taken, key))
		return;
	if ((mask & IN_CREATE) && bucket_is_being_written(b, path, &st)) {
		if (st.st_nlink > 1)
			bucket_scan_soon(b);
		return;
	}
	key = bucket_key(b, path, &st);
	if (taken_has(b->taken, key))
		return;
	(void)bucket_offer_file(b, path, &st, key);
}

static void on_event(struct bucket *b, const struct inotify_event *e)
{
	struct bucket_watch *w = find(b, e->wd);
	char path[BUCKET_PATH_MAX];
	enum bucket_left left;

	if (e->mask & IN_Q_OVERFLOW) {
		log_warn("notifications were lost: scanning", log_text("bucket", b->path));
		bucket_scan(b);
		return;
	}
	if (w != NULL && w->path[0] == '\0' && (e->mask & (IN_IGNORED | IN_MOVE_SELF | IN_DELETE_SELF)))
		bucket_doubt_root(b);
	if (e->mask & IN_IGNORED) {
		forget(b, w);
		return;
	}
	if (w == NULL || e->len == 0)
		return;
	snprintf(path, sizeof(path), "%s%s%s", w->path, w->path[0] != '\0' ? "/" : "", e->name);
	left = bucket_leaves_name(e->name);
	if (left != LEFT_NOTHING) {
		if (e->mask & (IN_CREATE | IN_MOVED_TO))
			bucket_leave_out(b, left, path);
		return;
	}
	if (!(e->mask & IN_ISDIR))
		on_file(b, path, e->mask);
	else if (e->mask & (IN_CREATE | IN_MOVED_TO))
		bucket_scan_below(b, path);
}

static void on_notify(struct loop *loop, uint32_t events, void *arg)
{
	struct bucket *b = arg;
	char buffer[16384] __attribute__((aligned(8)));

	(void)loop;
	(void)events;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t size = read(b->notify_fd, buffer, sizeof(buffer));

		for (ssize_t at = 0; at < size;) { /* no event ends the watch: bucket_doubt_root waits */
			const struct inotify_event *e = (const struct inotify_event *)(buffer + at);

			on_event(b, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
		if (size <= 0)
			return;
	}
}

int bucket_notify_open(struct bucket *b, struct error *reterr)
{
	b->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (b->notify_fd < 0)
		return error_set(reterr, ERR_IO, "the directory cannot be watched: %s", strerror(errno));
	b->watch = (struct loop_watch){.fn = on_notify, .arg = b};
	return loop_add(b->services->loop, &b->watch, b->notify_fd, EPOLLIN, reterr);
}

void bucket_notify_close(struct bucket *b)
{
	struct bucket_watch *w, *next;

	HASH_ITER (hh, b->watches, w, next) {
		forget(b, w);
	}
	if (b->notify_fd >= 0) {
		loop_remove(b->services->loop, &b->watch);
		close(b->notify_fd);
	}
	b->notify_fd = -1;
	b->watches_full = false;
}
