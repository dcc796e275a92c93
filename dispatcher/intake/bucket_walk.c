/* Folders that are still to be listed: the topmost is read first, so that few are open at once. The thread
 * lists a few names of it at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/check.h"
#include "dispatcher/intake/bucket.h"

#define DEPTH_BYTES_MAX 4000 /* of a path below the bucket */
#define WATCH_MASK                                                                                           \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR |             \
	 IN_DONT_FOLLOW | IN_EXCL_UNLINK)

bool bucket_dirs_push(struct bucket_dir **dirs, const char *path)
{
	size_t size = strlen(path) + 1;
	struct bucket_dir *d;

	if (size > DEPTH_BYTES_MAX)
		return false;
	d = check_calloc(1, sizeof(*d) + size);
	memcpy(d->path, path, size);
	d->next = *dirs;
	*dirs = d;
	return true;
}

void bucket_dirs_pop(struct bucket_dir **dirs)
{
	struct bucket_dir *d = *dirs;

	*dirs = d->next;
	if (d->dir != NULL)
		closedir(d->dir);
	free(d);
}

/* ---- closing ---- */

struct closing {
	struct bucket_work work;
	struct bucket_dir *dirs;
};

static void run_close(struct bucket_work *w)
{
	struct closing *c = (struct closing *)w;

	while (c->dirs != NULL)
		bucket_dirs_pop(&c->dirs);
}

static void on_closed(struct bucket_work *w)
{
	run_close(w);
	free(w);
}

void bucket_dirs_close(struct bucket *b, struct bucket_dir **dirs)
{
	struct closing *c;

	if (*dirs == NULL)
		return;
	c = check_calloc(1, sizeof(*c));
	c->dirs = *dirs;
	*dirs = NULL;
	c->work.run = run_close;
	c->work.done = on_closed;
	bucket_ask(b, &c->work);
}

/* ---- listing ---- */

static void watch(struct bucket_list *l)
{
	char full[BUCKET_PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", l->root, l->dir->path);
	l->wd = inotify_add_watch(l->notify_fd, full, WATCH_MASK);
	l->wd_number = l->wd < 0 ? errno : 0;
}

static int open_dir(struct bucket_list *l)
{
	struct bucket_dir *d = l->dir;
	int fd = openat(l->dir_fd, d->path[0] != '\0' ? d->path : ".",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int number;

	d->dir = fd >= 0 ? fdopendir(fd) : NULL;
	number = d->dir == NULL ? errno : 0;
	if (d->dir == NULL && fd >= 0)
		close(fd);
	return number;
}

/* What is left out by its name is listed, too: it is counted. */
static void list_name(struct bucket_list *l, const char *name)
{
	char path[BUCKET_PATH_MAX];
	struct bucket_entry *e;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	snprintf(path, sizeof(path), "%s%s%s", l->dir->path, l->dir->path[0] != '\0' ? "/" : "", name);
	e = bucket_entries_add(&l->entries, path);
	if (bucket_leaves_name(name) == LEFT_NOTHING &&
	    fstatat(dirfd(l->dir->dir), name, &e->st, AT_SYMLINK_NOFOLLOW) < 0)
		e->number = errno;
}

static void run_list(struct bucket_work *w)
{
	struct bucket_list *l = (struct bucket_list *)w;
	struct bucket_dir *d = l->dir;
	struct dirent *entry = NULL;

	l->opened = d->dir == NULL;
	if (l->opened && l->watches)
		watch(l);
	if (l->opened)
		l->number = open_dir(l);
	while (d->dir != NULL && l->entries.count < BUCKET_LIST_MAX && !atomic_load(&w->reading.cancelled)) {
		errno = 0;
		entry = readdir(d->dir);
		l->number = errno;
		if (entry == NULL)
			break;
		list_name(l, entry->d_name);
	}
	l->over = entry == NULL && !atomic_load(&w->reading.cancelled);
	if (l->over && d->dir != NULL) {
		closedir(d->dir);
		d->dir = NULL;
	}
}

struct bucket_list *bucket_list_create(struct bucket *b, struct bucket_dir **dirs)
{
	struct bucket_list *l = check_calloc(1, sizeof(*l));

	l->dir = *dirs;
	*dirs = l->dir->next;
	l->dir->next = NULL;
	l->dir_fd = b->dir_fd;
	l->notify_fd = b->notify_fd;
	l->root = b->path;
	l->wd = -1;
	l->work.run = run_list;
	return l;
}

void bucket_list_put_back(struct bucket_list *l, struct bucket_dir **dirs)
{
	if (l->over)
		return;
	l->dir->next = *dirs;
	*dirs = l->dir;
	l->dir = NULL;
}

void bucket_list_end(struct bucket_list *l)
{
	if (l->dir != NULL && l->dir->dir == NULL)
		bucket_dirs_pop(&l->dir);
	bucket_dirs_close(l->work.bucket, &l->dir);
	bucket_entries_fini(&l->entries);
	free(l);
}
