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

static int cannot(int number, struct error *reterr)
{
	return error_set(reterr, number == ENOENT ? ERR_NOT_FOUND : ERR_INVALID,
			 "the directory to watch cannot be read: %s", strerror(number));
}

int bucket_look(const struct bucket *b, struct error *reterr)
{
	struct bucket_root now;
	int r = root_of(AT_FDCWD, b->given, &now);

	if (r < 0) {
		(void)cannot(-r, reterr);
		return ERR_NOT_FOUND;
	}
	if (b->path != NULL && now.device == b->root.device && now.inode == b->root.inode &&
	    now.born_us == b->root.born_us)
		return 0;
	return error_set(reterr, ERR_EXISTS, "another directory stands there");
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
static void list_name(const struct bucket *b, char prefix[static 24], char name[static 64])
{
	static const uint8_t no_secret[DEDUP_SECRET_BYTES];
	char root[64] = "";
	struct bytes path = bytes_of(b->intake), which;

	if (b->inodes_last)
		snprintf(root, sizeof(root), "%" PRIu64 " %" PRId64, b->root.inode, b->root.born_us);
	which = bytes_of(root);
	snprintf(prefix, 24, "%016" PRIx64 "-", dedup_key_of("bucket", &path, 1, no_secret).lo);
	snprintf(name, 64, "%s%016" PRIx64 ".files", prefix, dedup_key_of("root", &which, 1, no_secret).lo);
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

static int open_list(struct bucket *b, struct error *reterr)
{
	char *folder = statedir_path(&b->services->state, "taken");
	char prefix[24], name[64];
	enum taken_state state;
	struct buf path = {0};
	usec_t any_us;
	int r = fs_make_dirs(folder, 0750, reterr);

	list_name(b, prefix, name);
	buf_printf(&path, "%s/%s", folder, name);
	if (r == 0)
		r = taken_open(buf_text(&path), &b->taken, &state, reterr);
	if (r == 0) {
		read_watermark(b, &any_us);
		tell_list(b, state, name, any_us);
		remove_old_lists(folder, prefix);
	}
	buf_fini(&path);
	free(folder);
	return r;
}

static int open_dir(struct bucket *b, struct error *reterr)
{
	struct buf intake = {0};
	int r;

	b->dir_fd = open(b->given, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b->path = b->dir_fd >= 0 ? realpath(b->given, NULL) : NULL;
	if (b->path == NULL)
		return cannot(errno, reterr);
	r = root_of(b->dir_fd, "", &b->root);
	if (r < 0)
		return cannot(-r, reterr);
	b->inodes_last = inodes_last(b->dir_fd);
	b->name = strrchr(b->path, '/') + 1;
	buf_printf(&intake, "bucket:%s", b->path);
	buf_text(&intake);
	b->intake = (char *)intake.data;
	return 0;
}

int bucket_attach(struct bucket *b, struct error *reterr)
{
	int r = open_dir(b, reterr);

	b->attached++;
	if (r == 0)
		r = open_list(b, reterr);
	if (r == 0)
		r = bucket_notify_open(b, reterr);
	if (r < 0)
		bucket_detach(b);
	return r;
}

void bucket_detach(struct bucket *b)
{
	bucket_applies_stop(b, "the watched directory is gone, or another one");
	bucket_scan_fini(b);
	bucket_notify_close(b);
	loop_defer_cancel(b->services->loop, &b->flush_task);
	taken_close(b->taken);
	if (b->dir_fd >= 0)
		close(b->dir_fd);
	free(b->path);
	free(b->intake);
	b->taken = NULL;
	b->path = b->intake = NULL;
	b->name = NULL;
	b->dir_fd = -1;
}
