#include "worker/machine/cgroup_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/ids.h"

int cgroup_root_make(const char *parent, const char *prefix, const struct uuid *worker,
		     struct cgroup_root *ret)
{
	struct stat at, held;
	char id[UUID_TEXT_BYTES];
	int code;

	uuid_text(worker, id);
	ret->fd = -1;
	if ((size_t)snprintf(ret->path, sizeof ret->path, "%s/%s%s", parent, prefix, id) >=
	    sizeof ret->path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (;;) { /* one that was just made may be swept before it is locked: then once more */
		if (mkdir(ret->path, 0755) < 0)
			return -1;
		ret->fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (ret->fd >= 0 && flock(ret->fd, LOCK_EX) == 0 && fstat(ret->fd, &held) == 0 &&
		    stat(ret->path, &at) == 0 && at.st_ino == held.st_ino)
			return 0;
		code = errno;
		if (ret->fd >= 0)
			close(ret->fd);
		else if (code != ENOENT) {
			rmdir(ret->path);
			errno = code;
			return -1;
		}
		ret->fd = -1;
	}
}

void cgroup_root_close(struct cgroup_root *r)
{
	if (r->fd < 0)
		return;
	rmdir(r->path);
	close(r->fd);
	r->fd = -1;
}

void cgroup_root_each(const char *path, void (*fn)(const char *path, void *arg), void *arg)
{
	DIR *dir = opendir(path);

	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
		char below[4400];

		if (d->d_type != DT_DIR || d->d_name[0] == '.' ||
		    (size_t)snprintf(below, sizeof below, "%s/%s", path, d->d_name) >= sizeof below)
			continue;
		fn(below, arg);
	}
	if (dir != NULL)
		closedir(dir);
}

struct sweep {
	const char *prefix;
	void (*remove)(const char *path, void *arg);
	void *arg;
};

static void sweep_one(const char *path, void *arg)
{
	const struct sweep *s = arg;
	const char *name = strrchr(path, '/') + 1;
	struct uuid id;
	int fd;

	if (strncmp(name, s->prefix, strlen(s->prefix)) != 0 ||
	    uuid_parse(bytes_of(name + strlen(s->prefix)), &id, NULL) < 0)
		return;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		cgroup_root_each(path, s->remove, s->arg);
		rmdir(path);
	}
	if (fd >= 0)
		close(fd);
}

void cgroup_root_sweep(const char *parent, const char *prefix, void (*remove)(const char *path, void *arg),
		       void *arg)
{
	struct sweep s = {prefix, remove, arg};

	cgroup_root_each(parent, sweep_one, &s);
}
