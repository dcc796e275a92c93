#include "worker/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/leftovers.h"
#include "base/log.h"
#include "jobs/output_index.h"
#include "worker/tree.h"

static void remove_tree(const char *path)
{
	if (!tree_remove(path))
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
		return; /* it lives */
	log_info("a worker's leftovers were ended", log_text("worker", name),
		 log_u64("processes", leftovers_end(name)));
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

		if (uuid_parse(bytes_of(d->d_name), &id) == 0 &&
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

static int make(struct home *home, struct error *reterr)
{
	char lock[3100];
	int rc = fs_make_dirs(home->path, 0700, reterr);

	snprintf(lock, sizeof lock, "%s/lock", home->path);
	return rc < 0 ? rc : fs_lock_file(lock, &home->lock_fd, NULL, reterr);
}

int home_scratch(const char *said, char *ret, size_t size, struct error *reterr)
{
	const char *tmp = getenv("TMPDIR");
	int length;

	if (said[0] != '\0')
		length = snprintf(ret, size, "%s", said);
	else
		length = snprintf(ret, size, "%s/shardmill-%u", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp",
				  (unsigned)geteuid());
	if ((size_t)length >= size)
		return error_set(reterr, ERR_LIMIT, "the path of scratch_dir is too long");
	return said[0] != '\0' ? 0 : fs_make_private_dir(ret, reterr);
}

int home_open(struct home *h, const char *scratch, struct error *reterr)
{
	struct home home = {.lock_fd = -1};
	char id[33];
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
	rc = make(&home, reterr);
	if (rc == 0) {
		sweep(&home, scratch);
		*h = home;
	}
	close(turn_fd);
	return rc;
}

void home_close(struct home *h)
{
	int turn_fd = -1;

	if (h->path[0] != '\0') {
		char scratch[sizeof h->path];

		snprintf(scratch, sizeof scratch, "%.*s", (int)(strrchr(h->path, '/') - h->path), h->path);
		turn_fd = enter(scratch, NULL);
		remove_tree(h->path);
	}
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	if (turn_fd >= 0)
		close(turn_fd);
	free(h->gone);
	*h = (struct home){.lock_fd = -1};
}
