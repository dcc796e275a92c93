#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "dispatcher/intake/bucket.h"

#define READS_MAX 1		   /* in one turn: the descriptor stays readable */
#define EARLY_BYTES_MAX (1u << 20) /* of events whose folder is not known yet; above, a scan finds them */

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

/* ---- files that it told of: looked at in the thread ---- */

struct told {
	struct bucket_work work;
	int dir_fd;
	struct bucket_entries entries;
};

/* A name that was created may be a hard link to a file that is whole: then nobody closes it. One that is
 * being written will be closed, unless it was opened by another name. */
static void take_told(struct bucket *b, const struct bucket_entry *e)
{
	uint64_t key;

	if (e->number != 0)
		return;
	if (!S_ISREG(e->st.st_mode)) {
		bucket_leave_out(b, S_ISLNK(e->st.st_mode) ? LEFT_LINK : LEFT_SPECIAL, e->path);
		return;
	}
	key = bucket_key(b, e->path, &e->st);
	if (taken_has(b->taken, key))
		return;
	if (!e->is_written)
		(void)bucket_offer_file(b, e->path, &e->st, key);
	else if (e->st.st_nlink > 1)
		bucket_scan_soon(b);
}

static void look_at_told(struct bucket *b);

static void run_told(struct bucket_work *w)
{
	struct told *t = (struct told *)w;

	for (size_t i = 0; i < t->entries.count && !atomic_load(&w->reading.cancelled); i++)
		bucket_look_at(t->dir_fd, &t->entries.items[i], false);
}

static void on_told(struct bucket_work *w)
{
	struct told *t = (struct told *)w;
	struct bucket *b = w->bucket;

	if (bucket_work_counts(w)) {
		for (size_t i = 0; i < t->entries.count; i++)
			take_told(b, &t->entries.items[i]);
		b->told_is_looked_at = false;
		look_at_told(b);
	}
	bucket_entries_fini(&t->entries);
	free(t);
}

/* While too many wait, the kernel keeps the others, and tells when it loses some. */
static void set_notify(struct bucket *b, bool listens)
{
	if (b->notify_stopped != listens)
		return;
	b->notify_stopped = !listens;
	loop_change(b->services->loop, &b->watch, listens ? EPOLLIN : 0);
}

static void look_at_told(struct bucket *b)
{
	struct told *t;
	size_t count = b->told.count < BUCKET_LOOK_MAX ? b->told.count : BUCKET_LOOK_MAX;

	set_notify(b, b->told.count < BUCKET_TOLD_MAX);
	if (b->told_is_looked_at || count == 0)
		return;
	t = check_calloc(1, sizeof(*t));
	t->entries.items = check_calloc(count, sizeof(*t->entries.items));
	t->entries.count = t->entries.capacity = count;
	memcpy(t->entries.items, b->told.items, count * sizeof(*t->entries.items));
	b->told.count -= count;
	memmove(b->told.items, b->told.items + count, b->told.count * sizeof(*b->told.items));
	t->dir_fd = b->dir_fd;
	t->work.run = run_told;
	t->work.done = on_told;
	b->told_is_looked_at = true;
	bucket_ask(b, &t->work);
}

/* ---- what it tells ---- */

/* The thread has watched the folder, and the loop is yet to hear its number. */
static void keep_early(struct bucket *b, const struct inotify_event *e)
{
	if (b->early.size + sizeof(*e) + e->len > EARLY_BYTES_MAX)
		bucket_scan(b);
	else
		buf_append(&b->early, e, sizeof(*e) + e->len);
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
	if (w == NULL && b->watching > 0) {
		keep_early(b, e);
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
		bucket_entries_add(&b->told, path)->mask = e->mask;
	else if (e->mask & (IN_CREATE | IN_MOVED_TO))
		bucket_scan_below(b, path);
}

static void on_events(struct bucket *b, const uint8_t *events, size_t size)
{
	for (size_t at = 0; at < size;) { /* no event ends the watch: bucket_doubt_root waits */
		struct inotify_event head;

		memcpy(&head, events + at, sizeof(head));
		on_event(b, (const struct inotify_event *)(events + at));
		at += sizeof(head) + head.len;
	}
}

static void on_notify(struct loop *loop, uint32_t events, void *arg)
{
	struct bucket *b = arg;
	uint8_t buffer[16384] __attribute__((aligned(8)));

	(void)loop;
	(void)events;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t size = read(b->notify_fd, buffer, sizeof(buffer));

		if (size <= 0)
			break;
		on_events(b, buffer, (size_t)size);
	}
	look_at_told(b);
}

static void add_watch(struct bucket *b, int wd, const char *path)
{
	struct bucket_watch *w = find(b, wd); /* a folder that was moved keeps its watch */

	if (w == NULL) {
		w = check_calloc(1, sizeof(*w));
		w->wd = wd;
		HASH_ADD_INT(b->watches, wd, w);
	}
	free(w->path);
	w->path = strdup(path);
	CHECK(w->path != NULL);
}

void bucket_note_watch(struct bucket *b, const struct bucket_list *l)
{
	struct buf early = b->early;

	b->watching--;
	if (l->wd >= 0) {
		add_watch(b, l->wd, l->dir->path);
	} else if (l->wd_number == ENOSPC && !b->watches_full) {
		b->watches_full = true;
		log_warn("the system allows no more watches: files are found by scans alone, later",
			 log_text("bucket", b->path), log_text("help", "raise fs.inotify.max_user_watches"));
	}
	b->early = (struct buf){0};
	on_events(b, early.data, early.size);
	buf_fini(&early);
	look_at_told(b);
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
	if (b->notify_fd >= 0)
		loop_remove(b->services->loop, &b->watch);
	b->watches_full = b->notify_stopped = b->told_is_looked_at = false;
	b->watching = 0;
	buf_fini(&b->early);
	bucket_entries_fini(&b->told);
}
