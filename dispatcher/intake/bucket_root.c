/* The watched directory itself: which one it is, and what is known of it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "dispatcher/intake/bucket.h"

#define LISTS_MAX 8 /* of directories that stood at one path, the newest */

/* File systems that give numbers to files as they are met: after a mount they are others. */
static bool inodes_last(int dir_fd)
{
	static const unsigned long passing[] = {0x4d44 /* vfat */,     0x2011BAB0 /* exfat */,
						0x65735546 /* fuse */, 0xFF534D42 /* cifs */,
						0xFE534D42 /* smb2 */, 0x01021997 /* 9p */};
	struct statfs fs;

	if (fstatfs(dir_fd, &fs) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(passing); i++)
		if ((unsigned long)fs.f_type == passing[i])
			return false;
	return true;
}

static int root_of(int dir_fd, const char *path, struct bucket_root *ret)
{
	struct statx x;

	if (statx(dir_fd, path, path[0] == '\0' ? AT_EMPTY_PATH : 0, STATX_INO | STATX_TYPE | STATX_BTIME,
		  &x) < 0)
		return -errno;
	if (!S_ISDIR(x.stx_mode))
		return -ENOTDIR;
	*ret = (struct bucket_root){.device = makedev(x.stx_dev_major, x.stx_dev_minor), .inode = x.stx_ino};
	if (x.stx_mask & STATX_BTIME)
		ret->born_us = x.stx_btime.tv_sec * USEC_PER_SEC + x.stx_btime.tv_nsec / 1000;
	return 0;
}

/* A directory as it was opened, until the bucket takes it. */
struct opened {
	int dir_fd;
	char *path, *intake;
	struct bucket_root root;
	bool inodes_last;
	struct taken *taken;
	enum taken_state state;
	char list[64];
	int rc;
	struct error error;
};

static int cannot(int number, struct error *reterr)
{
	return error_set(reterr, number == ENOENT ? ERR_NOT_FOUND : ERR_INVALID,
			 "the directory to watch cannot be read: %s", strerror(number));
}

void bucket_position(const struct bucket *b, char *buf, size_t size)
{
	snprintf(buf, size, "2 %" PRId64 " %" PRIu64 " %" PRId64, b->watermark_us, b->root.inode,
		 b->root.born_us);
}

/* Version 1 had no directory's identity: it was the one that is there. */
static void read_watermark(struct bucket *b, usec_t *ret_any_us)
{
	struct bytes position = dispatcher_view_watermark(services_core(b->services), bytes_of(b->intake));
	char text[96] = "";
	int64_t at = 0, born = b->root.born_us;
	uint64_t inode = b->root.inode;

	if (position.size < sizeof(text) && position.size > 0)
		memcpy(text, position.data, position.size);
	if (sscanf(text, "1 %" SCNd64, &at) != 1 &&
	    sscanf(text, "2 %" SCNd64 " %" SCNu64 " %" SCNd64, &at, &inode, &born) != 3)
		at = 0;
	*ret_any_us = at;
	if (b->inodes_last && (inode != b->root.inode || born != b->root.born_us))
		at = 0;
	b->watermark_us = b->written_us = at;
}

struct list_file {
	char name[NAME_MAX + 1];
	struct timespec time;
};

static int older_last(const void *a, const void *b)
{
	const struct list_file *x = a, *y = b;

	if (x->time.tv_sec != y->time.tv_sec)
		return x->time.tv_sec < y->time.tv_sec ? 1 : -1;
	return (x->time.tv_nsec < y->time.tv_nsec) - (x->time.tv_nsec > y->time.tv_nsec);
}

/* A directory that is removed and made again each day leaves a list each day. */
static void remove_old_lists(const char *folder, const char *prefix)
{
	struct list_file *files = NULL;
	size_t count = 0, length = strlen(prefix);
	DIR *dir = opendir(folder);
	struct dirent *entry;
	struct stat st;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, prefix, length) != 0 ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		files = check_realloc(files, count + 1, sizeof(*files));
		files[count].time = st.st_mtim;
		snprintf(files[count++].name, sizeof(files->name), "%s", entry->d_name);
	}
	if (count > LISTS_MAX)
		qsort(files, count, sizeof(*files), older_last);
	for (size_t i = LISTS_MAX; i < count; i++)
		(void)unlinkat(dirfd(dir), files[i].name, 0);
	if (dir != NULL)
		closedir(dir);
	free(files);
}

/* "<path>-<directory>.files", both as hashes. */
static void list_name(struct opened *o, char prefix[static 24])
{
	static const uint8_t no_secret[DEDUP_SECRET_BYTES];
	char root[64] = "";
	struct bytes path = bytes_of(o->intake), which;

	if (o->inodes_last)
		snprintf(root, sizeof(root), "%" PRIu64 " %" PRId64, o->root.inode, o->root.born_us);
	which = bytes_of(root);
	snprintf(prefix, 24, "%016" PRIx64 "-", dedup_key_of("bucket", &path, 1, no_secret).lo);
	snprintf(o->list, sizeof(o->list), "%s%016" PRIx64 ".files", prefix,
		 dedup_key_of("root", &which, 1, no_secret).lo);
}

static void tell_list(struct bucket *b, enum taken_state state, const char *name, usec_t any_us)
{
	b->taken_before_us = 0;
	if (state == TAKEN_MISSING && b->watermark_us > 0)
		b->taken_before_us = b->watermark_us - BUCKET_MARGIN_US;
	else if (state == TAKEN_DAMAGED && any_us > 0)
		b->taken_before_us = any_us - BUCKET_MARGIN_US;
	if (b->taken_before_us > 0)
		log_warn(state == TAKEN_MISSING
			     ? "the list of files that were taken from a watched directory is missing: files "
			       "that changed before the last scan count as taken"
			     : "the list of files that were taken from a watched directory is damaged: files "
			       "that changed before the last scan count as taken",
			 log_text("bucket", b->path), log_text("list", name),
			 log_text("help", "a folder of older files that was moved in meanwhile is offered by "
					  "`shardmill rules apply`"));
	else if (state == TAKEN_DAMAGED)
		log_warn("the list of files that were taken from a watched directory is damaged: they are "
			 "offered again, and their keys in the deduplication window tell repeats",
			 log_text("bucket", b->path), log_text("list", name));
}

static int open_list(struct opened *o, const char *folder)
{
	char prefix[24];
	struct buf path = {0};
	int r = fs_make_dirs(folder, 0750, &o->error);

	list_name(o, prefix);
	buf_printf(&path, "%s/%s", folder, o->list);
	if (r == 0)
		r = taken_open(buf_text(&path), &o->taken, &o->state, &o->error);
	if (r == 0)
		remove_old_lists(folder, prefix);
	buf_fini(&path);
	return r;
}

static int open_dir(struct opened *o, const char *given)
{
	struct buf intake = {0};
	int r;

	o->dir_fd = open(given, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	o->path = o->dir_fd >= 0 ? realpath(given, NULL) : NULL;
	if (o->path == NULL)
		return cannot(errno, &o->error);
	r = root_of(o->dir_fd, "", &o->root);
	if (r < 0)
		return cannot(-r, &o->error);
	o->inodes_last = inodes_last(o->dir_fd);
	buf_printf(&intake, "bucket:%s", o->path);
	buf_text(&intake);
	o->intake = (char *)intake.data;
	return 0;
}

static void open_all(struct opened *o, const char *given, const char *folder)
{
	o->rc = open_dir(o, given);
	if (o->rc == 0)
		o->rc = open_list(o, folder);
}

static void opened_fini(struct opened *o)
{
	taken_close(o->taken);
	if (o->dir_fd >= 0)
		close(o->dir_fd);
	free(o->path);
	free(o->intake);
	*o = (struct opened){.dir_fd = -1};
}

/* Takes what was opened. */
static int take(struct bucket *b, struct opened *o, struct error *reterr)
{
	usec_t any_us;
	int r;

	b->attached++;
	if (o->rc < 0) {
		*reterr = o->error;
		return o->rc;
	}
	b->dir_fd = o->dir_fd;
	b->path = o->path;
	b->intake = o->intake;
	b->root = o->root;
	b->inodes_last = o->inodes_last;
	b->taken = o->taken;
	b->name = strrchr(b->path, '/') + 1;
	read_watermark(b, &any_us);
	tell_list(b, o->state, o->list, any_us);
	*o = (struct opened){.dir_fd = -1};
	r = bucket_notify_open(b, reterr);
	if (r < 0)
		bucket_detach(b);
	return r;
}

int bucket_attach(struct bucket *b, struct error *reterr)
{
	char *folder = statedir_path(&b->services->state, "taken");
	struct opened o = {.dir_fd = -1};
	int r;

	open_all(&o, b->given, folder);
	r = take(b, &o, reterr);
	opened_fini(&o);
	free(folder);
	return r;
}

/* ---- what is left to the thread ---- */

struct leaving {
	struct bucket_work work;
	struct opened opened;
	int notify_fd;
};

static void run_leave(struct bucket_work *w)
{
	struct leaving *l = (struct leaving *)w;

	opened_fini(&l->opened);
	if (l->notify_fd >= 0)
		close(l->notify_fd);
	l->notify_fd = -1;
}

static void on_left(struct bucket_work *w)
{
	run_leave(w);
	free(w);
}

/* What the thread does with it now ends first; what comes of that counts no more. */
void bucket_detach(struct bucket *b)
{
	struct leaving *l = check_calloc(1, sizeof(*l));

	bucket_applies_stop(b, "the watched directory is gone, or another one");
	bucket_scan_fini(b);
	bucket_notify_close(b);
	loop_defer_cancel(b->services->loop, &b->flush_task);
	b->attached++;
	b->writing = false;
	l->opened =
	    (struct opened){.dir_fd = b->dir_fd, .path = b->path, .intake = b->intake, .taken = b->taken};
	l->notify_fd = b->notify_fd;
	b->taken = NULL;
	b->path = b->intake = NULL;
	b->name = NULL;
	b->dir_fd = b->notify_fd = -1;
	l->work.run = run_leave;
	l->work.done = on_left;
	bucket_ask(b, &l->work);
}

/* ---- is it still the one? ---- */

struct looking {
	struct bucket_work work;
	const char *given;
	bool is_watched;
	struct bucket_root root;
	int rc;
	struct error error;
	char *folder; /* of the lists */
	struct opened opened;
};

static void run_look(struct bucket_work *w)
{
	struct looking *l = (struct looking *)w;
	struct bucket_root now;
	int r = root_of(AT_FDCWD, l->given, &now);

	if (r < 0) {
		(void)cannot(-r, &l->error);
		l->rc = ERR_NOT_FOUND;
	} else if (!l->is_watched || now.device != l->root.device || now.inode != l->root.inode ||
		   now.born_us != l->root.born_us) {
		l->rc = error_set(&l->error, ERR_EXISTS, "another directory stands there");
	}
}

static void run_open(struct bucket_work *w)
{
	struct looking *l = (struct looking *)w;

	open_all(&l->opened, l->given, l->folder);
}

static void end_look(struct looking *l)
{
	opened_fini(&l->opened);
	free(l->folder);
	free(l);
}

static void on_opened(struct bucket_work *w)
{
	struct looking *l = (struct looking *)w;
	struct bucket *b = w->bucket;
	struct error e = {0};

	if (bucket_work_counts(w))
		bucket_attached(b, take(b, &l->opened, &e), &e);
	end_look(l);
}

/* What is watched no more is left behind first: both may have the same list. */
static void on_look(struct bucket_work *w)
{
	struct looking *l = (struct looking *)w;
	struct bucket *b = w->bucket;

	if (!bucket_work_counts(w)) {
		end_look(l);
		return;
	}
	bucket_looked(b, l->rc, &l->error);
	if (l->rc != ERR_EXISTS) {
		end_look(l);
		return;
	}
	w->run = run_open;
	w->done = on_opened;
	bucket_ask(b, w);
}

void bucket_look(struct bucket *b)
{
	struct looking *l = check_calloc(1, sizeof(*l));

	l->given = b->given;
	l->is_watched = b->path != NULL;
	l->root = b->root;
	l->folder = statedir_path(&b->services->state, "taken");
	l->opened.dir_fd = -1;
	l->work.run = run_look;
	l->work.done = on_look;
	bucket_ask(b, &l->work);
}
