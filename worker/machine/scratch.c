#include "worker/machine/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "worker/machine/tree.h"

static int make(struct scratch *s, struct error *reterr)
{
	static _Atomic unsigned made;
	struct stat st;
	int rc = home_ensure(s->home, reterr);

	if (rc < 0)
		return rc;
	/* A name that was never used before: the slot that had this number may not have ended yet. */
	snprintf(s->name, sizeof s->name, "slot-%u.%u%s", s->slot, atomic_fetch_add(&made, 1), s->suffix);
	snprintf(s->path, sizeof s->path, "%s/%s", s->home->path, s->name);
	s->fd = -1;
	if (mkdirat(s->home->fd, s->name, 0700) == 0)
		s->fd = openat(s->home->fd, s->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd >= 0 && fchmod(s->fd, 0700) == 0 && fstat(s->fd, &st) == 0) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
		return 0;
	}
	error_set(reterr, ERR_IO, "cannot make a directory for attempts: %s", strerror(errno));
	error_where(reterr, "%s", s->path);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	return ERR_IO;
}

int scratch_open(struct scratch *s, struct home *home, unsigned slot, const char *suffix,
		 struct error *reterr)
{
	*s = (struct scratch){.home = home, .slot = slot, .suffix = suffix, .fd = -1};
	return make(s, reterr);
}

/* By its path, as the attempt will see it. */
static bool is_good(const struct scratch *s)
{
	struct stat st;

	return s->fd >= 0 && lstat(s->path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_dev == s->device &&
	       st.st_ino == s->inode && (st.st_mode & 07777) == 0700 && st.st_uid == geteuid() &&
	       home_is_locked(s->home) && tree_is_empty(s->fd);
}

static void drop(struct scratch *s)
{
	if (s->fd >= 0) {
		tree_clear(s->fd); /* also where it was moved to */
		close(s->fd);
	}
	s->fd = -1;
	if (!tree_remove(s->home->fd, s->name))
		log_warn("an attempt's directory stays behind", log_text("path", s->path),
			 log_text("error", strerror(errno)));
}

int scratch_ready(struct scratch *s, struct error *reterr)
{
	if (is_good(s))
		return 0;
	drop(s);
	return make(s, reterr);
}

void scratch_tidy(struct scratch *s)
{
	if (s->fd >= 0 && !tree_is_empty(s->fd))
		tree_clear(s->fd);
}

void scratch_close(struct scratch *s)
{
	if (s->home == NULL)
		return;
	drop(s);
	*s = (struct scratch){.fd = -1};
}
