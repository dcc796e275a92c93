#include "worker/io/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/url.h"

static int file_error(const char *verb, const char *path, struct error *reterr)
{
	int code = errno;

	error_set(reterr, code == ENOSPC || code == EDQUOT ? ERR_BUSY : ERR_IO, "cannot %s the result: %s",
		  verb, strerror(code));
	error_where(reterr, "%.200s", path);
	return code == ENOSPC || code == EDQUOT ? ERR_BUSY : ERR_IO;
}

static int copy_range(const struct publication *p, int to, const char *path, struct error *reterr)
{
	off_t at = (off_t)p->offset;
	uint64_t left = p->size;

	while (left > 0) {
		ssize_t moved = sendfile(to, p->fd, &at, left);

		if (moved < 0 && errno == EINTR)
			continue;
		if (moved <= 0)
			return file_error("write", path, reterr);
		left -= (uint64_t)moved;
	}
	return fsync(to) < 0 ? file_error("sync", path, reterr) : 0;
}

/* The file gets its name when it is whole and synced. */
static int publish_file(const struct publication *p, struct error *reterr)
{
	const char *path = url_path_or(p->url), *name = strrchr(path, '/') + 1;
	char directory[4096], part[4096];
	int fd, rc;

	if (snprintf(directory, sizeof directory, "%.*s", (int)(name - path), path) >=
		(int)sizeof directory ||
	    snprintf(part, sizeof part, "%s.%s.part-%s", directory, name, p->attempt) >= (int)sizeof part)
		return error_set(reterr, ERR_INVALID, "the result's path is too long: %.200s", path);
	rc = fs_make_dirs(directory, 0755, reterr);
	if (rc < 0)
		return rc;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return file_error("write", part, reterr);
	rc = copy_range(p, fd, part, reterr);
	close(fd);
	if (rc == 0 && rename(part, path) < 0)
		rc = file_error("name", path, reterr);
	if (rc < 0)
		unlink(part);
	return rc < 0 ? rc : fs_sync_dir(directory, reterr);
}

static int publish_object(const struct publication *p, struct error *reterr)
{
	struct s3_name name;
	struct s3_put put = {
	    .name = &name, .fd = p->fd, .offset = p->offset, .size = p->size, .cancel = p->cancel};
	int rc = s3_name_parse(bytes_of(p->url), &name, reterr);

	if (rc == 0 && p->s3 == NULL)
		rc = error_set(reterr, ERR_INVALID, "this worker has no object store");
	return rc < 0 ? rc : s3_put(p->s3, &put, reterr);
}

int publish(const struct publication *p, struct error *reterr)
{
	if (url_scheme(bytes_of(p->url)) == URL_FILE)
		return publish_file(p, reterr);
	return publish_object(p, reterr);
}

bool publish_error_is_final(int code)
{
	return s3_error_is_final(code);
}
