#include "jobs/library/media/source.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/check.h"
#include "jobs/library/media/av.h"

#define IO_BYTES 65536

void stretches_add(struct stretches *s, const char *path, int64_t offset, int64_t length)
{
	ARRAY_GROW(s->items, s->capacity, s->count);
	s->items[s->count] = (struct stretch){strdup(path), offset, length};
	CHECK(s->items[s->count].path != NULL);
	s->count++;
}

void stretches_fini(struct stretches *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].path);
	free(s->items);
	*s = (struct stretches){0};
}

int stretches_read(struct stretches *s, const char *manifest, struct error *reterr)
{
	FILE *f = fopen(manifest, "r");
	int rc = 0;

	if (f == NULL) {
		error_set(reterr, ERR_IO, "the manifest cannot be opened: %s", strerror(errno));
		return error_where(reterr, "%.200s", manifest);
	}
	for (unsigned line = 1; rc == 0; line++) {
		json_t *map = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
		json_int_t offset, length;
		const char *path;

		if (map == NULL && feof(f))
			break;
		if (map == NULL || json_unpack(map, "{s:s, s:I, s:I}", "path", &path, "offset", &offset,
					       "length", &length) < 0) {
			rc = error_set(reterr, ERR_INVALID, "expected path, offset and length");
			error_where(reterr, "%.200s:%u", manifest, line);
		} else if (length > 0) {
			stretches_add(s, path, offset, length);
		}
		json_decref(map);
	}
	fclose(f);
	return rc;
}

static int io_read(void *opaque, uint8_t *buf, int size)
{
	struct source *s = opaque;
	int64_t left = s->end - s->at;
	ssize_t n;

	if (left <= 0)
		return AVERROR_EOF;
	do {
		n = pread(s->fd, buf, (size_t)(left < size ? left : size), s->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return AVERROR(errno);
	s->at += n;
	return n == 0 ? AVERROR_EOF : (int)n;
}

static int64_t io_seek(void *opaque, int64_t offset, int whence)
{
	struct source *s = opaque;

	switch (whence & ~AVSEEK_FORCE) {
	case AVSEEK_SIZE:
		return s->end - s->first;
	case SEEK_SET:
		s->at = s->first + offset;
		break;
	case SEEK_CUR:
		s->at += offset;
		break;
	case SEEK_END:
		s->at = s->end + offset;
		break;
	default:
		return AVERROR(EINVAL);
	}
	return s->at - s->first;
}

static int open_demuxer(struct source *s, struct error *reterr)
{
	uint8_t *room = av_malloc(IO_BYTES);
	int rc;

	CHECK(room != NULL);
	s->io = avio_alloc_context(room, IO_BYTES, 0, s, io_read, NULL, io_seek);
	s->in = avformat_alloc_context();
	CHECK(s->io != NULL && s->in != NULL);
	s->in->pb = s->io;
	rc = avformat_open_input(&s->in, NULL, av_find_input_format("nut"), NULL);
	if (rc >= 0)
		rc = avformat_find_stream_info(s->in, NULL);
	return rc < 0 ? av_fail(rc, "an encoded part cannot be read", reterr) : 0;
}

int source_open(struct source *s, const struct stretch *from, struct error *reterr)
{
	struct stat st;
	int rc = 0;

	*s = (struct source){.fd = open(from->path, O_RDONLY | O_CLOEXEC)};
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		rc = error_set(reterr, ERR_IO, "an encoded part cannot be opened: %s", strerror(errno));
	if (rc == 0) {
		s->first = s->at = from->offset;
		s->end = from->length > 0 ? from->offset + from->length : st.st_size;
		rc = open_demuxer(s, reterr);
	}
	if (rc < 0) {
		error_where(reterr, "%.200s", from->path);
		source_close(s);
	}
	return rc;
}

void source_close(struct source *s)
{
	if (s->in != NULL)
		avformat_close_input(&s->in);
	if (s->io != NULL)
		av_freep(&s->io->buffer);
	avio_context_free(&s->io);
	if (s->fd > 0)
		close(s->fd);
	*s = (struct source){0};
}
