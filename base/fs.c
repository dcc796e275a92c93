#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"

static int fail(const char *doing, const char *path, struct error *reterr)
{
	int code = errno == ENOENT					 ? ERR_NOT_FOUND
		   : errno == EACCES || errno == EPERM || errno == EROFS ? ERR_DENIED
		   : error_code_of_errno(errno) == ERR_EXHAUSTED	 ? ERR_EXHAUSTED
									 : ERR_IO;

	error_set(reterr, code, "cannot %s: %s", doing, strerror(errno));
	error_where(reterr, "%s", path);
	return code;
}

static int read_all(int fd, const char *path, size_t max_bytes, struct buf *out, struct error *reterr)
{
	size_t total = 0;

	for (;;) {
		size_t room = max_bytes - total < 65536 ? max_bytes - total + 1 : 65536;
		ssize_t got = read(fd, buf_reserve(out, room), room);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail("read", path, reterr);
		if (got == 0)
			return 0;
		total += (size_t)got;
		out->size += (size_t)got;
		if (total > max_bytes) {
			error_set(reterr, ERR_LIMIT, "expected at most %zu bytes, found more", max_bytes);
			error_where(reterr, "%s", path);
			return ERR_LIMIT;
		}
	}
}

int fs_read_file(const char *path, size_t max_bytes, struct buf *ret, struct error *reterr)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct buf content = {0};
	struct stat st;
	int r;

	if (fd < 0)
		return fail("open", path, reterr);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		error_set(reterr, ERR_INVALID, "expected a file, found a %s",
			  S_ISDIR(st.st_mode) ? "directory" : "pipe or device");
		error_where(reterr, "%s", path);
		close(fd);
		return ERR_INVALID;
	}
	r = read_all(fd, path, max_bytes, &content, reterr);
	close(fd);
	if (r == 0)
		buf_append_bytes(ret, buf_bytes(&content));
	buf_fini(&content);
	return r;
}

int fs_make_private_dir(const char *path, struct error *reterr)
{
	struct stat st;
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fail("make", path, reterr);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
		error_set(reterr, ERR_DENIED, "expected a directory of our own, found a link or a file");
	} else if (fd < 0 || fstat(fd, &st) < 0) {
		fail("open", path, reterr);
	} else if (st.st_uid != geteuid()) {
		error_set(reterr, ERR_DENIED, "expected a directory of our own, found one of user %u",
			  (unsigned)st.st_uid);
	} else if ((st.st_mode & 077) != 0) {
		error_set(reterr, ERR_DENIED,
			  "expected a directory for us alone (mode 0700), found mode %04o",
			  (unsigned)(st.st_mode & 07777));
	} else {
		close(fd);
		return 0;
	}
	if (fd >= 0)
		close(fd);
	error_help(reterr, "look who made it, then remove it, or name another");
	error_where(reterr, "%s", path);
	return ERR_DENIED;
}

int fs_sync_dir(const char *path, struct error *reterr)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return fail("open", path, reterr);
	r = fsync(fd) == 0 ? 0 : fail("sync", path, reterr);
	close(fd);
	return r;
}

/* "a/b" -> "a", "/a" -> "/", "a" -> "."; free it. */
static char *parent_of(const char *path)
{
	size_t length = strlen(path);
	char *parent;

	while (length > 1 && path[length - 1] == '/')
		length--;
	while (length > 0 && path[length - 1] != '/')
		length--;
	while (length > 1 && path[length - 1] == '/')
		length--;
	parent = check_calloc(length + 2, 1);
	if (length == 0)
		parent[0] = '.';
	else
		memcpy(parent, path, length);
	return parent;
}

static int sync_parent(const char *path, struct error *reterr)
{
	char *parent = parent_of(path);
	int r = fs_sync_dir(parent, reterr);

	free(parent);
	return r;
}

static int write_all(int fd, const char *path, struct bytes content, struct error *reterr)
{
	while (content.size > 0) {
		ssize_t done = write(fd, content.data, content.size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return fail("write", path, reterr);
		content = BYTES(content.data + done, content.size - (size_t)done);
	}
	return 0;
}

int fs_write_file(const char *path, struct bytes content, mode_t mode, struct error *reterr)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	struct buf temporary = {0};
	const char *temp;
	int fd, r;

	buf_printf(&temporary, "%.*s.%s.tmp-%d", (int)(name - path), path, name, (int)getpid());
	temp = buf_text(&temporary);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0) {
		r = fail("create", temp, reterr);
		buf_fini(&temporary);
		return r;
	}
	r = write_all(fd, temp, content, reterr);
	if (r == 0 && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		r = fail("sync", temp, reterr);
	close(fd);
	if (r == 0 && rename(temp, path) != 0)
		r = fail("rename", path, reterr);
	if (r != 0)
		unlink(temp);
	buf_fini(&temporary);
	return r == 0 ? sync_parent(path, reterr) : r;
}

int fs_make_dirs(const char *path, mode_t mode, struct error *reterr)
{
	struct stat st;
	char *parent;
	int r;

	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
		return fail("make the directory", path, reterr);
	}
	if (errno != ENOENT || *path == '\0')
		return fail("make the directory", path, reterr);
	parent = parent_of(path);
	r = fs_make_dirs(parent, mode, reterr);
	free(parent);
	if (r != 0)
		return r;
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return fail("make the directory", path, reterr);
	return sync_parent(path, reterr);
}

static pid_t read_holder(int fd)
{
	char text[32] = "";
	ssize_t got = pread(fd, text, sizeof text - 1, 0);

	return got > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

int fs_lock_file(const char *path, int *ret_fd, pid_t *ret_holder, struct error *reterr)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	char text[32];
	int length;

	if (fd < 0)
		return fail("open the lock", path, reterr);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int r = errno == EWOULDBLOCK ? ERR_EXISTS : fail("lock", path, reterr);
		pid_t holder = read_holder(fd);

		close(fd);
		if (r != ERR_EXISTS)
			return r;
		/* Between its lock and its write a holder has no name yet. */
		if (holder > 0)
			error_set(reterr, ERR_EXISTS, "it is held by process %d", (int)holder);
		else
			error_set(reterr, ERR_EXISTS, "it is held by another process");
		error_where(reterr, "%s", path);
		if (ret_holder != NULL)
			*ret_holder = holder;
		return ERR_EXISTS;
	}
	length = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
		int r = fail("write the lock", path, reterr);

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

const char *fs_network_name_of(unsigned long type)
{
	/* From the kernel's include/uapi/linux/magic.h and the file systems' own headers. */
	static const struct {
		unsigned long type;
		const char *name;
	} known[] = {
	    {0x6969, "NFS"},	    {0x517b, "SMB"},	    {0xfe534d42, "SMB"},
	    {0xff534d42, "SMB"},    {0x5346414f, "AFS"},    {0x01021997, "9p"},
	    {0x00c36400, "CephFS"}, {0x0bd00bd0, "Lustre"}, {0x73757245, "Coda"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (known[i].type == type)
			return known[i].name;
	return NULL;
}

const char *fs_network_name(const char *path)
{
	struct statfs st;

	if (statfs(path, &st) != 0)
		return NULL;
	return fs_network_name_of((unsigned long)st.f_type & 0xffffffffu);
}
