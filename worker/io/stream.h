/* One standard stream (stdout or stderr) of one attempt: a file of its own, without a name.
 *
 * The attempt gets one open file description of it, and we hold that one too. When all processes of the
 * attempt are gone, stream_end opens the file anew and asks for a write lease (fcntl(2), F_SETLEASE): the
 * kernel grants it only if nobody else has the file open or mapped. So a process that was left behind is
 * found whoever its parent is, and its file is never used again.
 *
 * Seeking and truncating behave as they do with any file. Opening it by name (/dev/stdout, /proc/self/fd/1)
 * would remove with O_TRUNC what the attempt had written before, as shells do for `> /dev/stdout`. While the
 * attempt runs, a lease on its own description makes such an open wait until stream_look has put the bytes
 * aside; they are the first part of the output. (An open with O_NONBLOCK is refused once with EAGAIN.)
 *
 * Thread: the slot's, with all signals blocked. The kernel tells it of such an open by SIGIO. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct stream {
	int fd;	       /* for the attempt, and ours; -1: none is made */
	bool leased;   /* nobody but we and the attempt has opened it since */
	bool asks;     /* the file system has leases: it is known who has the file open */
	bool linkable; /* the file may be given a name */
	bool held;     /* after stream_end: somebody still has it open, or that is not known */
	bool as_new;   /* after stream_end: an attempt would find the file as it was made */
	uint64_t size; /* after stream_end: of the whole output */
	int aside_fd;  /* what was written before somebody opened it by name; -1: nothing */
	uint64_t aside_size;
	int failed; /* errno: something could not be put aside */
};

#define STREAM_NONE ((struct stream){.fd = -1, .aside_fd = -1})

/* Makes the file in that directory unless it is there, empty. *ret_errno is of the step that failed. */
int stream_begin(struct stream *s, int dir_fd, int *ret_errno) MUST_CHECK;
/* The same where the file system cannot make files without a name: for tests, else stream_begin does it. */
int stream_begin_named(struct stream *s, int dir_fd, int *ret_errno) MUST_CHECK;
/* The attempt runs, and SIGIO came, or a moment has passed while it was not leased. dir_fd: as above. */
void stream_look(struct stream *s, int dir_fd);
/* All processes of the attempt are gone: sets size and held. From now on fd is nobody's but ours. */
void stream_end(struct stream *s, int dir_fd);
/* The output was kept. An empty file that nobody else has open serves the next attempt as well. */
void stream_reset(struct stream *s);
void stream_close(struct stream *s);

/* What the attempt has written, also while it runs. As pread(2). */
int64_t stream_read(const struct stream *s, uint64_t from, void *to, size_t size);

/* How much that is. */
uint64_t stream_written(const struct stream *s);

/* Copies bytes between files. crc may be NULL; else the CRC-32C goes on. false: errno tells why; EPIPE: the
 * source has become shorter. */
bool stream_copy(int from_fd, uint64_t from, uint64_t size, int to_fd, uint64_t to, uint32_t *crc) MUST_CHECK;
/* The same of bytes in memory. */
bool stream_write(int fd, struct bytes bytes, uint64_t to) MUST_CHECK;
