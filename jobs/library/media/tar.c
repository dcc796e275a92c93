#include "jobs/library/media/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define BLOCK 512
#define ZEROS_AT_END (2 * BLOCK)

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

static int write_all(int out, const void *data, size_t size, struct error *reterr)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(out, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(reterr, ERR_IO, "the result cannot be written: %s", strerror(errno));
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

static void fill(struct header *h, const char *name, uint64_t size)
{
	unsigned sum = 0;

	*h = (struct header){.type = '0', .magic = "ustar", .version = {'0', '0'}};
	CHECK(strlen(name) < sizeof h->name && size < 1ull << 33);
	memcpy(h->name, name, strlen(name));
	memcpy(h->mode, "0000644", 8);
	memcpy(h->uid, "0000000", 8);
	memcpy(h->gid, "0000000", 8);
	snprintf(h->size, sizeof h->size, "%011llo", (unsigned long long)size);
	memcpy(h->mtime, "00000000000", 12);
	memset(h->checksum, ' ', sizeof h->checksum);
	for (size_t i = 0; i < sizeof *h; i++)
		sum += ((const unsigned char *)h)[i];
	snprintf(h->checksum, sizeof h->checksum, "%06o", sum);
}

static int copy(int out, int in, uint64_t size, struct error *reterr)
{
	char block[64 * 1024];

	while (size > 0) {
		ssize_t n = read(in, block, size < sizeof block ? size : sizeof block);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(reterr, ERR_IO, "a file of the result cannot be read: %s",
					 n < 0 ? strerror(errno) : "it became shorter");
		rc = write_all(out, block, (size_t)n, reterr);
		if (rc < 0)
			return rc;
		size -= (uint64_t)n;
	}
	return 0;
}

int tar_add(int out, const char *name, const char *path, struct error *reterr)
{
	static const char zeros[BLOCK];
	int in = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct header h;
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0) {
		error_set(reterr, ERR_IO, "a file of the result cannot be read: %s", strerror(errno));
		if (in >= 0)
			close(in);
		return ERR_IO;
	}
	if (st.st_size >= 1ll << 33) {
		close(in);
		return error_set(reterr, ERR_LIMIT, "%s has %lld bytes; at most 8 GiB fit in the archive",
				 name, (long long)st.st_size);
	}
	fill(&h, name, (uint64_t)st.st_size);
	rc = write_all(out, &h, sizeof h, reterr);
	if (rc == 0)
		rc = copy(out, in, (uint64_t)st.st_size, reterr);
	if (rc == 0 && st.st_size % BLOCK != 0)
		rc = write_all(out, zeros, BLOCK - (size_t)(st.st_size % BLOCK), reterr);
	close(in);
	return rc;
}

int tar_end(int out, struct error *reterr)
{
	static const char zeros[ZEROS_AT_END];

	return write_all(out, zeros, sizeof zeros, reterr);
}
