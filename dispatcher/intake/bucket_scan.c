/* Listing a bucket in steps: the thread lists a few names; the loop knows which of them were taken; the
 * thread looks at the others, and the loop offers them. One step is under way at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/intake/bucket.h"

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

static void visit_file(struct bucket *b, const struct bucket_entry *e)
{
	uint64_t key = bucket_key(b, e->path, &e->st);

	if (taken_mark(b->taken, key))
		return;
	if (counts_as_taken(b, &e->st))
		taken_add(b->taken, key);
	else
		bucket_entries_add(&b->candidates, e->path);
}

static void visit(struct bucket *b, const struct bucket_entry *e)
{
	const char *slash = strrchr(e->path, '/');
	enum bucket_left left = bucket_leaves_name(slash != NULL ? slash + 1 : e->path);
	int number = e->number;

	if (left == LEFT_NOTHING && number != 0) {
		if (number == ENOENT)
			return;
		left = LEFT_UNREADABLE;
		b->scan_whole = false;
	} else if (left == LEFT_NOTHING && S_ISDIR(e->st.st_mode)) {
		if (bucket_dirs_push(&b->dirs, e->path))
			return;
		left = LEFT_UNREADABLE;
		number = ENAMETOOLONG;
	} else if (left == LEFT_NOTHING && !S_ISREG(e->st.st_mode)) {
		left = S_ISLNK(e->st.st_mode) ? LEFT_LINK : LEFT_SPECIAL;
	}
	errno = number;
	if (left == LEFT_NOTHING)
		visit_file(b, e);
	else
		bucket_leave_out(b, left, e->path);
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
	if (b->scan_whole)
		taken_sweep_end(b->taken, b->taken_before_us > 0);
}

/* All that it found is durable, or stays above the watermark. */
static void finish(struct bucket *b)
{
	usec_t now = clock_mono_us();
	bool kept = b->low_us != USEC_NEVER;
	usec_t mark = b->low_us < b->scan_started_us ? b->low_us : b->scan_started_us;

	b->scanning = false;
	b->scanned = true;
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
	bucket_scan_go_on(b); /* with directories that were told of meanwhile */
}

/* The list has to be on the disk before the watermark moves: behind the write under way, one more has all. */
static void begin_finish(struct bucket *b)
{
	bool writing = b->writing;

	end_sweep(b);
	b->finishing = writing ? 2 : 1;
	if (!writing && !bucket_flush(b)) {
		b->finishing = 0;
		finish(b);
	}
}

void bucket_scan_note_written(struct bucket *b, bool whole)
{
	if (whole && b->finishing > 0)
		b->taken_before_us = 0;
	if (b->finishing > 0 && (--b->finishing == 0 || !b->writing)) {
		b->finishing = 0;
		finish(b);
	}
}

/* ---- a folder's next names ---- */

static void tell_unread(struct bucket *b, const struct bucket_list *l)
{
	if (l->opened && l->number == ENOENT && l->dir->path[0] != '\0')
		return;
	b->scan_whole = false;
	errno = l->number;
	if (l->number != ENOENT)
		bucket_leave_out(b, LEFT_UNREADABLE, l->dir->path);
	else if (l->dir->path[0] == '\0')
		bucket_doubt_root(b);
}

static void on_listed(struct bucket_work *w)
{
	struct bucket_list *l = (struct bucket_list *)w;
	struct bucket *b = w->bucket;

	if (bucket_work_counts(w)) {
		b->stepping = false;
		if (l->watches)
			bucket_note_watch(b, l);
		if (l->over && l->number != 0)
			tell_unread(b, l);
		bucket_list_put_back(l, &b->dirs);
		for (size_t i = 0; i < l->entries.count; i++)
			visit(b, &l->entries.items[i]);
		bucket_scan_go_on(b);
	}
	bucket_list_end(l);
}

static void list(struct bucket *b)
{
	struct bucket_list *l = bucket_list_create(b, &b->dirs);

	l->watches = l->dir->dir == NULL;
	b->watching += l->watches;
	l->work.done = on_listed;
	b->stepping = true;
	bucket_ask(b, &l->work);
}

/* ---- files that were not taken yet ---- */

struct closer_look {
	struct bucket_work work;
	int dir_fd;
	struct bucket_entry *items; /* of the candidates */
	size_t count;
};

static void run_look(struct bucket_work *w)
{
	struct closer_look *k = (struct closer_look *)w;

	for (size_t i = 0; i < k->count && !atomic_load(&w->reading.cancelled); i++)
		bucket_look_at(k->dir_fd, &k->items[i], true);
}

/* false: nothing can be taken now; it is looked at again. */
static bool take(struct bucket *b, const struct bucket_entry *e)
{
	uint64_t key;

	if (!bucket_may_offer(b))
		return false;
	if (e->number != 0 || !S_ISREG(e->st.st_mode)) /* it went away, or is another: told, or found again */
		return true;
	if (e->is_written) {
		bucket_keep_below(b, bucket_changed_us(&e->st));
		return true;
	}
	key = bucket_key(b, e->path, &e->st);
	return taken_mark(b->taken, key) || bucket_offer_file(b, e->path, &e->st, key);
}

static void on_look(struct bucket_work *w)
{
	struct closer_look *k = (struct closer_look *)w;
	struct bucket *b = w->bucket;
	size_t taken = 0;

	if (bucket_work_counts(w)) {
		b->stepping = false;
		while (taken < k->count && take(b, &k->items[taken]))
			taken++;
		for (size_t i = 0; i < k->count; i++)
			b->candidates.items[i] = k->items[i];
		bucket_entries_drop(&b->candidates, taken);
		bucket_scan_go_on(b);
	} else {
		for (size_t i = 0; i < k->count; i++)
			free(k->items[i].path);
	}
	free(k->items);
	free(k);
}

static void look(struct bucket *b)
{
	struct closer_look *k = check_calloc(1, sizeof(*k));

	k->count = b->candidates.count < BUCKET_LOOK_MAX ? b->candidates.count : BUCKET_LOOK_MAX;
	k->items = check_calloc(k->count, sizeof(*k->items));
	for (size_t i = 0; i < k->count; i++) {
		k->items[i] = b->candidates.items[i];
		b->candidates.items[i].path = NULL; /* lent */
	}
	k->dir_fd = b->dir_fd;
	k->work.run = run_look;
	k->work.done = on_look;
	b->stepping = true;
	bucket_ask(b, &k->work);
}

static void on_scan(struct loop *loop, void *arg)
{
	struct bucket *b = arg;
	bool is_over = b->candidates.count == 0 && b->dirs == NULL;

	if (b->stepping || b->finishing > 0)
		return;
	if (is_over) {
		if (b->scanning && b->offer_count == 0)
			begin_finish(b);
		return;
	}
	if (b->paused)
		return;
	if (!bucket_may_offer(b)) {
		loop_timer_set(loop, &b->timer, clock_mono_us() + PAUSE_US);
		return;
	}
	if (b->offer_count >= BUCKET_OFFERS_MAX) /* goes on when they are answered */
		return;
	if (b->candidates.count > 0)
		look(b);
	else
		list(b);
}

static bool has_work(const struct bucket *b)
{
	return b->dirs != NULL || b->candidates.count > 0 || b->scanning;
}

static void on_timer(struct loop *loop, void *arg)
{
	struct bucket *b = arg;

	if (has_work(b))
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
	if (has_work(b))
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
	bucket_dirs_close(b, &b->dirs);
	bucket_entries_fini(&b->candidates);
	b->stepping = false;
	b->finishing = 0;
	b->scanning = b->scanned = b->again = false;
	b->low_us = USEC_NEVER;
	b->offered = 0;
}

void bucket_go_on(struct bucket *b)
{
	if (has_work(b))
		loop_defer(b->services->loop, &b->scan_task);
	bucket_scan_soon(b); /* for what inotify told meanwhile */
}
