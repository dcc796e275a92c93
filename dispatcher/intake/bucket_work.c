/* The thread of a watched directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/array.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/intake/bucket.h"

/* It does not answer: that is told. */
#define SLOW_US (10 * USEC_PER_SEC)
/* When a file cannot be asked whether it is open, it has to be this old. */
#define SETTLED_US (2 * USEC_PER_SEC)

static void run(struct history_reader *history, struct reading *r)
{
	struct bucket_work *w = (struct bucket_work *)r;

	(void)history;
	w->ran = true;
	w->run(w);
}

static void await(struct bucket *b)
{
	if (b->works > 0)
		loop_timer_set(b->services->loop, &b->slow_timer, clock_mono_us() + SLOW_US);
	else
		loop_timer_unset(b->services->loop, &b->slow_timer);
}

static void done(struct reading *r)
{
	struct bucket_work *w = (struct bucket_work *)r;
	struct bucket *b = w->bucket;

	b->works--;
	if (b->slow)
		log_info("a watched directory answers again", log_text("bucket", b->given));
	b->slow = false;
	await(b);
	w->done(w);
}

static void on_slow(struct loop *loop, void *arg)
{
	struct bucket *b = arg;

	(void)loop;
	b->slow = true;
	log_warn("a watched directory does not answer: no file of it is taken until it does",
		 log_text("bucket", b->given));
}

void bucket_ask(struct bucket *b, struct bucket_work *w)
{
	w->reading = (struct reading){.run = run, .done = done, .without_history = true};
	w->bucket = b;
	w->attached = b->attached;
	w->ran = false;
	if (b->works++ == 0)
		await(b);
	readers_ask(b->readers, &w->reading);
}

bool bucket_work_counts(const struct bucket_work *w)
{
	return w->ran && w->attached == w->bucket->attached;
}

int bucket_work_open(struct bucket *b, struct error *reterr)
{
	b->slow_timer = (struct loop_timer){.fn = on_slow, .arg = b};
	return readers_open(&b->readers, b->services->loop,
			    &(struct readers_config){.threads = 1, .lane_max = 1}, reterr);
}

void bucket_work_close(struct bucket *b)
{
	readers_close(b->readers);
	b->readers = NULL;
	loop_timer_unset(b->services->loop, &b->slow_timer);
}

/* ---- entries ---- */

struct bucket_entry *bucket_entries_add(struct bucket_entries *e, const char *path)
{
	struct bucket_entry *entry;

	ARRAY_GROW(e->items, e->capacity, e->count);
	entry = &e->items[e->count++];
	*entry = (struct bucket_entry){.path = strdup(path)};
	CHECK(entry->path != NULL);
	return entry;
}

void bucket_entries_drop(struct bucket_entries *e, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(e->items[i].path);
	e->count -= count;
	if (e->count > 0)
		memmove(e->items, e->items + count, e->count * sizeof(*e->items));
}

void bucket_entries_fini(struct bucket_entries *e)
{
	bucket_entries_drop(e, e->count);
	free(e->items);
	*e = (struct bucket_entries){0};
}

/* A read lease is granted only while nobody has the file open for writing. What was seen of the file before
 * that may be older than its last byte, so it is looked at again under the lease. */
static bool is_being_written(int dir_fd, const char *path, struct stat *st)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	bool granted, held;

	if (fd >= 0) {
		granted = fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
		held = !granted && errno == EAGAIN;
		if (granted && fstat(fd, st) < 0)
			held = true;
		if (granted)
			(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		close(fd);
		if (granted || held)
			return held;
	}
	return clock_wall_us() - bucket_changed_us(st) < SETTLED_US;
}

void bucket_look_at(int dir_fd, struct bucket_entry *e, bool always)
{
	e->number = fstatat(dir_fd, e->path, &e->st, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
	e->is_written = e->number == 0 && S_ISREG(e->st.st_mode) && (always || (e->mask & IN_CREATE)) &&
			is_being_written(dir_fd, e->path, &e->st);
}
