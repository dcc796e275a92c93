#include "worker/io/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/url.h"
#include "jobs/border.h"
#include "jobs/file_tag.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "worker/machine/disk.h"
#include "worker/io/fetch.h"
#include "worker/io/gather.h"

#define SEARCH_BLOCK ((size_t)65536)
#define PIPE_BYTES (1024 * 1024)

static int where(struct error *reterr, struct bytes url)
{
	return error_where(reterr, "%.*s", (int)(url.size < 200 ? url.size : 200), (const char *)url.data);
}

/* The file behind the plan's URL, unchanged since it was planned. */
static int open_object(const struct plan *p, struct arena *arena, int *ret, struct error *reterr)
{
	struct url named = url_of(p->url);
	char tag[FILE_TAG_BYTES_MAX];
	struct bytes path;
	struct stat st;
	int fd;

	if (named.scheme != URL_FILE || memchr(p->url.data, '\0', p->url.size) != NULL) {
		error_set(reterr, ERR_INVALID, "expected an object at file:///path or s3://bucket/key");
		return where(reterr, p->url);
	}
	path = arena_copy(arena, named.rest);
	fd = open((const char *)path.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would block */
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		close(fd);
		error_set(reterr, ERR_INVALID, "the input is no regular file");
		return where(reterr, p->url);
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_set(reterr, errno == ENOENT ? ERR_NOT_FOUND : error_code_of_errno(errno),
			  "cannot read the input: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return where(reterr, p->url);
	}
	file_tag((uint64_t)st.st_ino, (uint64_t)st.st_size,
		 st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec, tag);
	if (p->etag.size > 0 && !bytes_equal(p->etag, bytes_of(tag))) {
		close(fd);
		error_set(reterr, ERR_INVALID, "the input changed while its job ran");
		error_help(reterr, "submit a new job for the new content");
		return where(reterr, p->url);
	}
	*ret = fd;
	return 0;
}

/* cut(at) of jobs/border.h, reading the file. */
static int find_border(int fd, const struct plan *p, uint64_t at, uint64_t *ret, struct error *reterr)
{
	static _Thread_local uint8_t block[SEARCH_BLOCK];
	struct border_search s;
	int rc = border_search_init(&s, p->align, at, p->size_bytes, RECORD_BYTES_MAX, reterr);

	while (rc == BORDER_NEED_MORE) {
		ssize_t got = pread(fd, block, sizeof block, (off_t)s.offset);

		if (got < 0)
			return error_set(reterr, ERR_IO, "cannot read the input: %s", strerror(errno));
		rc = border_search_feed(&s, BYTES(block, (size_t)got), reterr);
	}
	if (rc == BORDER_FOUND)
		*ret = s.found;
	return rc < 0 ? rc : 0;
}

static int open_range(const struct input_request *rq, struct input *in, struct error *reterr)
{
	const struct plan *p = &rq->arm->parameters->plan;
	uint64_t first, end;
	int rc = open_object(p, rq->arena, &in->file_fd, reterr);

	if (rc < 0)
		return rc;
	plan_bytes_range(p, rq->shard, &first, &end);
	rc = find_border(in->file_fd, p, first, &in->at, reterr);
	if (rc == 0)
		rc = find_border(in->file_fd, p, end, &in->end, reterr);
	if (rc < 0)
		return where(reterr, p->url), rc;
	in->first_byte = in->at;
	in->ranged = true;
	return 0;
}

bool input_is_object(const struct plan *plan)
{
	return plan_row(plan->kind)->input == PLAN_INPUT_PART && url_scheme(plan->url) == URL_S3;
}

/* Until the fetch has something to say. */
static int await_fetch(const struct input_request *rq, const struct fetch *f, struct error *reterr)
{
	struct pollfd fds[2] = {{fetch_fd(f), POLLIN, 0}, {rq->wake_fd, POLLIN, 0}};

	if (poll(fds, 2, -1) > 0 && fds[1].revents != 0 && rq->woken(rq->woken_arg))
		return error_set(reterr, ERR_CLOSED, "the attempt was ended while its input was on its way");
	return 0;
}

static int start_fetch(const struct input_request *rq, const struct plan *p, uint64_t first_byte, bool held,
		       struct fetch **ret, struct error *reterr)
{
	const struct fetch_range range = {p, rq->shard, first_byte, held};

	if (rq->s3 == NULL)
		return error_set(reterr, ERR_INVALID, "this worker has no object store");
	return fetch_start(rq->s3, &range, rq->read_ahead_bytes, ret, reterr);
}

static int open_fetch(const struct input_request *rq, struct input *in, struct error *reterr)
{
	const struct plan *p = &rq->arm->parameters->plan;
	int rc = 0;

	/* One that failed may have done so long ago. */
	if (*rq->ahead != NULL && fetch_is(*rq->ahead, p, rq->shard) && !fetch_has_failed(*rq->ahead)) {
		in->fetch = *rq->ahead;
		*rq->ahead = NULL;
		fetch_go(in->fetch);
	} else {
		fetch_stop(*rq->ahead);
		*rq->ahead = NULL;
		rc = start_fetch(rq, p, FETCH_UNKNOWN, false, &in->fetch, reterr);
	}
	while (rc == 0) {
		rc = fetch_borders(in->fetch, &in->at, &in->end, reterr);
		if (rc != 0)
			break;
		rc = await_fetch(rq, in->fetch, reterr);
	}
	if (rc < 0)
		return rc;
	in->first_byte = in->at;
	in->ranged = true;
	return 0;
}

/* The end of the shard before is where the next one begins. */
static uint64_t known_first(const struct input_request *rq, const struct plan *plan, const struct input *in)
{
	if (rq->shard > 0 && in->fetch != NULL && fetch_is(in->fetch, plan, rq->shard - 1))
		return in->end;
	return FETCH_UNKNOWN;
}

void input_read_ahead(const struct input_request *rq, const struct plan *plan, const struct input *in)
{
	bool go = in->fetch == NULL || fetch_is_almost_whole(in->fetch);

	if (!input_is_object(plan))
		return;
	if (*rq->ahead == NULL || !fetch_is(*rq->ahead, plan, rq->shard)) {
		fetch_stop(*rq->ahead);
		*rq->ahead = NULL;
		/* When its turn comes, what was wrong is told. */
		if (start_fetch(rq, plan, known_first(rq, plan, in), !go, rq->ahead, NULL) < 0)
			*rq->ahead = NULL;
	}
	if (go && *rq->ahead != NULL)
		fetch_go(*rq->ahead);
}

bool input_error_is_final(const struct plan *plan, int code)
{
	if (input_is_object(plan))
		return s3_error_is_final(code);
	return plan_row(plan->kind)->input == PLAN_INPUT_PART && (code == ERR_INVALID || code == ERR_LIMIT);
}

/* A file for the attempt was not written for rc. What no disk of that size could hold, whatever is freed
 * there, is the shard's trouble. */
static int not_written(int rc, const char *path, struct error *reterr)
{
	struct stat st;
	int fd = rc == ERR_EXHAUSTED ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && disk_is_too_small(fd, (uint64_t)st.st_size, reterr)) {
		rc = reterr->code = ERR_IO; /* another worker may have a larger one */
		error_where(reterr, "%.200s", path);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int open_gather(const struct input_request *rq, struct input *in, struct error *reterr)
{
	char path[4096];

	in->gather = gather_open(rq->output_root, rq->slice,
				 plan_gather_inputs(&rq->arm->parameters->plan, rq->shard));
	in->missing = gather_missing(in->gather);
	snprintf(path, sizeof path, "%s/manifest.jsonl", rq->scratch);
	in->manifest = arena_copy(rq->arena, bytes_of(path));
	return not_written(gather_write_manifest(in->gather, path, reterr), path, reterr);
}

static int open_item(const struct input_request *rq, struct input *in, struct error *reterr)
{
	const struct plan *p = &rq->arm->parameters->plan;
	uint32_t place = rq->shard - rq->arm->slice_first;

	if (rq->slice->items.count > place)
		in->item = rq->slice->items.items[place].text;
	else if (p->items.count > rq->shard)
		in->item = p->items.items[rq->shard].text;
	else
		return error_set(reterr, ERR_CORRUPT, "the lease came without the item of shard %u",
				 rq->shard);
	in->end = in->item.size;
	return 0;
}

static int make_pipe(struct input *in, struct error *reterr)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set(reterr, ERR_EXHAUSTED, "cannot make a pipe for stdin: %s", strerror(errno));
	fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES); /* larger is faster; the default works too */
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	in->stdin_fd = fds[0];
	in->feed_fd = fds[1];
	return 0;
}

static bool is_empty(const struct input *in)
{
	return in->gather == NULL && in->at >= in->end;
}

/* Blocking: the child starts when its file is whole. */
static int write_file(const struct input_request *rq, struct input *in, struct error *reterr)
{
	char path[4096];
	int rc;

	snprintf(path, sizeof path, "%s/input", rq->scratch);
	in->file = arena_copy(rq->arena, bytes_of(path));
	in->feed_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (in->feed_fd < 0)
		return error_set(reterr, ERR_EXHAUSTED, "cannot write the input file %s: %s", path,
				 strerror(errno));
	while ((rc = input_feed(in, reterr)) > 0)
		if (in->fetch != NULL && fetch_is_empty(in->fetch)) {
			rc = await_fetch(rq, in->fetch, reterr);
			if (rc < 0)
				break;
		}
	if (in->feed_fd >= 0)
		close(in->feed_fd);
	in->feed_fd = -1;
	return not_written(rc, path, reterr);
}

int input_open(const struct input_request *rq, struct input *ret, struct error *reterr)
{
	const struct plan *p = &rq->arm->parameters->plan;
	uint8_t mode = rq->arm->run->run.input;
	uint8_t kind = plan_row(p->kind)->input;
	struct input in = {.stdin_fd = -1, .feed_fd = -1, .file_fd = -1};
	int rc = 0;

	if (kind == PLAN_INPUT_ITEM)
		rc = open_item(rq, &in, reterr); /* also for {{shard.item}} */
	else if (kind == PLAN_INPUT_OUTPUTS)
		rc = open_gather(rq, &in, reterr);
	else if (kind == PLAN_INPUT_PART && mode != FEED_NONE)
		rc = input_is_object(p) ? open_fetch(rq, &in, reterr) : open_range(rq, &in, reterr);
	if (rc == 0 && mode == FEED_FILE)
		rc = write_file(rq, &in, reterr);
	else if (rc == 0 && (mode == FEED_STDIN || kind == PLAN_INPUT_OUTPUTS) && !is_empty(&in))
		rc = make_pipe(&in, reterr);
	if (rc < 0)
		input_close(&in);
	else
		*ret = in;
	return rc;
}

void input_started(struct input *in)
{
	if (in->stdin_fd >= 0)
		close(in->stdin_fd);
	if (in->fetch != NULL && in->stdin_fd >= 0 && in->feed_fd >= 0)
		fetch_attach(in->fetch, in->feed_fd);
	in->stdin_fd = -1;
}

/* copy_file_range may share blocks, but not every pair of file systems can do it. */
static ssize_t copy_some(int from, off_t *at, int to, size_t size)
{
	ssize_t moved = copy_file_range(from, at, to, NULL, size, 0);

	if (moved < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
		moved = sendfile(to, from, at, size);
	return moved;
}

/* 1: moved some; 0: nothing more, or nobody reads; 2: the pipe is full. */
static int feed_once(struct input *in, struct error *reterr)
{
	off_t at = (off_t)in->at;
	ssize_t moved;

	if (in->at >= in->end)
		return 0;
	if (in->item.data != NULL)
		moved = write(in->feed_fd, in->item.data + in->at, in->end - in->at);
	else if (in->stdin_fd < 0 && in->file.size == 0)
		moved = splice(in->file_fd, &at, in->feed_fd, NULL, (size_t)(in->end - in->at),
			       SPLICE_F_NONBLOCK);
	else
		moved = copy_some(in->file_fd, &at, in->feed_fd, (size_t)(in->end - in->at));
	if (moved < 0 && errno == EAGAIN)
		return 2;
	if (moved < 0)
		return errno == EPIPE ? 0
				      : error_set(reterr, error_code_of_errno(errno),
						  "cannot hand over the input: %s", strerror(errno));
	if (moved == 0)
		return error_set(reterr, ERR_INVALID, "the input became shorter while its job ran");
	in->at += (uint64_t)moved;
	return 1;
}

int input_feed(struct input *in, struct error *reterr)
{
	int rc;

	if (in->gather != NULL) {
		rc = gather_feed(in->gather, in->feed_fd, reterr);
	} else if (in->fetch != NULL) {
		rc = fetch_feed(in->fetch, in->feed_fd, reterr);
	} else {
		do
			rc = feed_once(in, reterr);
		while (rc == 1);
		rc = rc == 2 ? 1 : rc;
	}
	if (rc <= 0) {
		if (in->fetch != NULL)
			fetch_attach(in->fetch, -1);
		close(in->feed_fd);
		in->feed_fd = -1;
	}
	return rc;
}

int input_poll(const struct input *in, short *ret_events)
{
	bool waits = in->feed_fd >= 0 && in->fetch != NULL && fetch_is_empty(in->fetch);

	*ret_events = waits ? POLLIN : POLLOUT;
	return waits ? fetch_fd(in->fetch) : in->feed_fd;
}

void input_close(struct input *in)
{
	input_started(in);
	fetch_stop(in->fetch);
	if (in->feed_fd >= 0)
		close(in->feed_fd);
	if (in->file_fd >= 0)
		close(in->file_fd);
	gather_close(in->gather);
	if (in->file.size > 0)
		unlink((const char *)in->file.data);
	if (in->manifest.size > 0)
		unlink((const char *)in->manifest.data);
	*in = (struct input){.stdin_fd = -1, .feed_fd = -1, .file_fd = -1};
}
