#include "worker/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/quota.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/units.h"

#define PROBE_BYTES 65536

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* the same on all machines; Linux 5.14 */
#endif

/* Of our user. A file system that keeps no quotas is asked once. */
static bool quota_is_full(int fd)
{
	static _Atomic bool has_none;
	struct dqblk q = {0};

	if (atomic_load(&has_none))
		return false;
	if (syscall(SYS_quotactl_fd, fd, QCMD((unsigned)Q_GETQUOTA, USRQUOTA), geteuid(), &q) < 0) {
		if (errno != ENOENT && errno != EINTR)
			atomic_store(&has_none, true);
		return false;
	}
	return q.dqb_bhardlimit != 0 && q.dqb_curspace >= q.dqb_bhardlimit * 1024 /* its blocks */;
}

bool disk_is_full(int fd)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return false;
	/* As a command sees it: for root also what is reserved for root. */
	if (v.f_blocks != 0 && v.f_bavail == 0 && (geteuid() != 0 || v.f_bfree == 0))
		return true;
	return quota_is_full(fd);
}

bool disk_is_too_small(int fd, uint64_t bytes, struct error *reterr)
{
	char holds[UNITS_TEXT_MAX];
	struct statvfs v;
	uint64_t room;

	if (fstatvfs(fd, &v) < 0)
		return false;
	room = (uint64_t)v.f_blocks * v.f_frsize;
	if (room == 0 || bytes <= room / 2)
		return false;
	error_set(reterr, ERR_LIMIT, "%llu bytes were written, and the whole disk for them holds %s",
		  (unsigned long long)bytes, units_format_size(room, holds, sizeof holds));
	error_help(reterr,
		   "a worker needs twice as much room as the longest input and output: --scratch-dir, "
		   "--output-dir");
	return true;
}

bool disk_refuses(int fd, uint64_t size)
{
	if (size > INT64_MAX - PROBE_BYTES)
		return false;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)size, PROBE_BYTES) == 0)
		return false;
	return errno == ENOSPC || errno == EDQUOT;
}
