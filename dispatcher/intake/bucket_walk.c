/* Folders that are still to be listed: the topmost is read first, so that few are open at once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "dispatcher/intake/bucket.h"

#define DEPTH_BYTES_MAX 4000 /* of a path below the bucket */

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

bool bucket_dirs_open(const struct bucket *b, struct bucket_dir *d)
{
	int fd = openat(b->dir_fd, d->path[0] != '\0' ? d->path : ".",
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	d->dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (d->dir == NULL && fd >= 0)
		close(fd);
	return d->dir != NULL;
}

void bucket_dirs_join(const struct bucket_dir *d, const char *name, char path[static BUCKET_PATH_MAX])
{
	snprintf(path, BUCKET_PATH_MAX, "%s%s%s", d->path, d->path[0] != '\0' ? "/" : "", name);
}
