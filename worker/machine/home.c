#include "worker/machine/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "jobs/ids.h"
#include "worker/run/nursery.h"
#include "worker/machine/tree.h"

static void remove_tree(const char *path)
{
	if (!tree_remove(AT_FDCWD, path))
		log_warn("a worker's directory stays behind", log_text("path", path),
			 log_text("error", strerror(errno)));
}

static void sweep_one(struct home *h, const char *scratch, const char *name, const struct uuid *id)
{
	char path[4096], lock[4200];
	struct error e;
	int fd;

	snprintf(path, sizeof path, "%s/%s", scratch, name);
	snprintf(lock, sizeof lock, "%s/lock", path);
	if (fs_lock_file(lock, &fd, NULL, &e) < 0)
		return; /* it lives, or something that it started does */
	log_info("the directory of a worker that has ended is removed", log_text("worker", name));
	remove_tree(path);
	close(fd);
	h->gone = check_realloc(h->gone, h->gone_count + 1, sizeof *h->gone);
	h->gone[h->gone_count++] = *id;
}

static void sweep(struct home *h, const char *scratch)
{
	DIR *dir = opendir(scratch);

	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
		struct uuid id;

		if (uuid_parse(bytes_of(d->d_name), &id, NULL) == 0 &&
		    (id.hi != h->worker.hi || id.lo != h->worker.lo))
			sweep_one(h, scratch, d->d_name, &id);
	}
	if (dir != NULL)
		closedir(dir);
}

/* One worker at a time makes its directory or sweeps: a directory without a held lock is then one whose
 * worker is gone, not one that is just being made. Blocks; let go by closing. */
static int enter(const char *scratch, struct error *reterr)
{
	char path[3100];
	int fd;

	snprintf(path, sizeof path, "%s/sweep.lock", scratch);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	error_set(reterr, ERR_IO, "cannot lock the directory of workers: %s", strerror(errno));
	error_where(reterr, "%s", path);
	if (fd >= 0)
		close(fd);
	return ERR_IO;
}

static int open_private_dir(const char *path, int *ret_fd, struct error *reterr)
{
	int rc = fs_make_private_dir(path, reterr);

	if (rc < 0)
		return rc;
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	error_set(reterr, ERR_IO, "cannot open the worker's directory: %s", strerror(errno));
	return error_where(reterr, "%s", path);
}

static int make(const char *path, int *ret_fd, int *ret_lock_fd, struct error *reterr)
{
	char lock[3100];
	int fd, rc = open_private_dir(path, &fd, reterr);

	if (rc < 0)
		return rc;
	snprintf(lock, sizeof lock, "%s/lock", path);
	rc = fs_lock_file(lock, ret_lock_fd, NULL, reterr);
	if (rc == 0)
		*ret_fd = fd;
	else
		close(fd);
	return rc;
}

int home_open(struct home *h, const char *scratch, struct error *reterr)
{
	struct home home = {.fd = -1, .lock_fd = -1};
	char id[UUID_TEXT_BYTES];
	int turn_fd, rc;

	if (getrandom(&home.worker, sizeof home.worker, 0) != (ssize_t)sizeof home.worker)
		return error_set(reterr, ERR_IO, "the system gives no random numbers: %s", strerror(errno));
	uuid_text(&home.worker, id);
	if ((size_t)snprintf(home.path, sizeof home.path, "%s/%s", scratch, id) >= sizeof home.path)
		return error_set(reterr, ERR_LIMIT, "the path of scratch_dir is too long");
	rc = fs_make_dirs(scratch, 0700, reterr);
	turn_fd = rc < 0 ? rc : enter(scratch, reterr);
	if (turn_fd < 0)
		return turn_fd;
	rc = make(home.path, &home.fd, &home.lock_fd, reterr);
	if (rc == 0) {
		pthread_mutex_init(&home.ensuring, NULL);
		sweep(&home, scratch);
		*h = home;
	}
	close(turn_fd);
	return rc;
}

/* "<scratch>/<id>" -> "<scratch>" */
static void root_of(const struct home *h, char ret[sizeof h->path])
{
	snprintf(ret, sizeof h->path, "%.*s", (int)(strrchr(h->path, '/') - h->path), h->path);
}

static bool leads_to(const struct home *h)
{
	struct stat by_name, ours;

	return lstat(h->path, &by_name) == 0 && fstat(h->fd, &ours) == 0 && by_name.st_dev == ours.st_dev &&
	       by_name.st_ino == ours.st_ino;
}

int home_share(struct home *h, const struct nursery *n, struct error *reterr)
{
	h->nursery = n;
	return nursery_hold(n, h->lock_fd, reterr);
}

bool home_is_locked(const struct home *h)
{
	return faccessat(h->fd, "lock", F_OK, 0) == 0;
}

static bool is_good(const struct home *h)
{
	struct stat st;

	return leads_to(h) && fstat(h->fd, &st) == 0 &&
	       ((st.st_mode & 07777) == 0700 || fchmod(h->fd, 0700) == 0) && home_is_locked(h);
}

/* Its descriptors keep their numbers: other threads use them. */
static int make_again(struct home *h, struct error *reterr)
{
	char root[sizeof h->path];
	int turn_fd, fd, lock_fd, rc;

	root_of(h, root);
	rc = fs_make_private_dir(root, reterr);
	turn_fd = rc < 0 ? rc : enter(root, reterr);
	if (turn_fd < 0)
		return turn_fd;
	if (!leads_to(h) && !tree_remove(AT_FDCWD, h->path)) {
		rc = error_set(reterr, ERR_IO,
			       "something that cannot be removed is where the worker's directory was: %s",
			       strerror(errno));
		error_where(reterr, "%s", h->path);
	}
	if (rc == 0)
		rc = make(h->path, &fd, &lock_fd, reterr);
	close(turn_fd);
	if (rc < 0)
		return rc;
	dup3(fd, h->fd, O_CLOEXEC);
	dup3(lock_fd, h->lock_fd, O_CLOEXEC);
	close(fd);
	close(lock_fd);
	if (h->nursery != NULL && nursery_hold(h->nursery, h->lock_fd, NULL) < 0)
		log_warn("the lock of the worker's directory may be free before its attempts have ended",
			 log_text("path", h->path));
	log_warn("somebody removed the worker's directory, or its lock: it was made again",
		 log_text("path", h->path));
	return 0;
}

int home_ensure(struct home *h, struct error *reterr)
{
	int rc = 0;

	pthread_mutex_lock(&h->ensuring);
	if (!is_good(h))
		rc = make_again(h, reterr);
	pthread_mutex_unlock(&h->ensuring);
	return rc;
}

void home_close(struct home *h)
{
	int turn_fd = -1;

	if (h->path[0] != '\0') {
		char root[sizeof h->path];

		root_of(h, root);
		turn_fd = enter(root, NULL);
		remove_tree(h->path);
		pthread_mutex_destroy(&h->ensuring);
	}
	if (h->fd >= 0)
		close(h->fd);
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	if (turn_fd >= 0)
		close(turn_fd);
	free(h->gone);
	*h = (struct home){.fd = -1, .lock_fd = -1};
}
