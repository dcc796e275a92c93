#include "worker/machine/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/quota.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/units.h"

#define PROBE_BYTES 65536
#define LOOK_SOONEST_US USEC_PER_MSEC
#define LOOK_LATEST_US (250 * USEC_PER_MSEC)
#define FILLED_BYTES_PER_US 4295 /* 4 GiB/s */

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

/* As a command sees it: for root also what is reserved for root. UINT64_MAX: it has no end, or cannot be
 * asked. */
static uint64_t room_bytes(int fd)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0 || v.f_blocks == 0)
		return UINT64_MAX;
	return (uint64_t)(geteuid() == 0 ? v.f_bfree : v.f_bavail) * v.f_frsize;
}

bool disk_is_full(int fd)
{
	return room_bytes(fd) < PROBE_BYTES || quota_is_full(fd);
}

usec_t disk_look(struct disk_watch *w, int fd, usec_t now_us)
{
	usec_t at_us = atomic_load(&w->look_at_us);
	uint64_t room, wait_us;

	if (now_us < at_us)
		return at_us;
	room = room_bytes(fd);
	wait_us = room / FILLED_BYTES_PER_US;
	if (room < PROBE_BYTES || quota_is_full(fd)) {
		atomic_store(&w->full_at_us, now_us);
		wait_us = 0;
	}
	if (wait_us < LOOK_SOONEST_US)
		wait_us = LOOK_SOONEST_US;
	at_us = now_us + (usec_t)(wait_us < LOOK_LATEST_US ? wait_us : LOOK_LATEST_US);
	atomic_store(&w->look_at_us, at_us);
	return at_us;
}

bool disk_was_full(struct disk_watch *w, usec_t since_us)
{
	return atomic_load(&w->full_at_us) >= since_us;
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
