#include "worker/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "jobs/output_index.h"

#define ENVIRON_BYTES_MAX ((size_t)4 << 20)
#define UNNAMED ".new" /* behind the id, until the lock is taken */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void remove_tree(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		log_warn("a worker's directory stays behind", log_text("path", path),
			 log_text("error", strerror(errno)));
}

/* Is `line` among the NUL-terminated lines of /proc/<pid>/environ? */
static bool has_environment(pid_t pid, const char *line)
{
	static char text[65536];
	char path[64];
	ssize_t got;
	size_t size = strlen(line) + 1;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return false;
	text[got] = '\0';
	for (char *at = text; at < text + got; at += strlen(at) + 1)
		if ((size_t)(text + got - at) >= size && memcmp(at, line, size) == 0)
			return true;
	return false;
}

/* Kills until none is found: a process may have made another while we looked. */
static uint32_t end_leftovers(const char *worker_id)
{
	char line[320];
	uint32_t ended = 0, found;

	snprintf(line, sizeof line, "SHARDMILL_WORKER=%s", worker_id);
	do {
		DIR *proc = opendir("/proc");

		found = 0;
		for (struct dirent *d; proc != NULL && (d = readdir(proc)) != NULL;) {
			pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

			if (pid <= 1 || pid == getpid() || !has_environment(pid, line))
				continue;
			if (kill(pid, SIGKILL) == 0)
				found++;
		}
		if (proc != NULL)
			closedir(proc);
		ended += found;
	} while (found > 0 && ended < 100000);
	return ended;
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
		 log_u64("processes", end_leftovers(name)));
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

int home_open(struct home *h, const char *scratch, struct error *reterr)
{
	struct home home = {.lock_fd = -1};
	char id[33], lock[3100], made[3050];
	int rc;

	if (getrandom(&home.worker, sizeof home.worker, 0) != (ssize_t)sizeof home.worker)
		return error_set(reterr, ERR_IO, "the system gives no random numbers: %s", strerror(errno));
	uuid_text(&home.worker, id);
	if ((size_t)snprintf(home.path, sizeof home.path, "%s/%s", scratch, id) >= sizeof home.path)
		return error_set(reterr, ERR_LIMIT, "the path of scratch_dir is too long");
	/* Locked before it has its name: another worker that starts now would take it for a leftover. */
	snprintf(made, sizeof made, "%s%s", home.path, UNNAMED);
	rc = fs_make_dirs(made, 0700, reterr);
	if (rc < 0)
		return rc;
	snprintf(lock, sizeof lock, "%s/lock", made);
	rc = fs_lock_file(lock, &home.lock_fd, NULL, reterr);
	if (rc < 0)
		return rc;
	if (rename(made, home.path) < 0) {
		error_set(reterr, ERR_IO, "cannot name the directory: %s", strerror(errno));
		close(home.lock_fd);
		return error_where(reterr, "%s", home.path);
	}
	sweep(&home, scratch);
	*h = home;
	return 0;
}

void home_close(struct home *h)
{
	if (h->path[0] != '\0')
		remove_tree(h->path);
	if (h->lock_fd >= 0)
		close(h->lock_fd);
	free(h->gone);
	*h = (struct home){.lock_fd = -1};
}
