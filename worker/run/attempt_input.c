/* An attempt's input, and the next one's. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/run/attempt.h"

/* The input, asked for by an attempt that has no process yet. */
static bool woken_early(void *arg)
{
	struct attempt *a = arg;
	uint64_t count;
	ssize_t got = read(a->slot->wake_fd, &count, sizeof count);

	(void)got;
	slot_release_emptied(a->slot);
	a->stopped = atomic_load(&a->slot->stop[a->slot->turn]);
	return a->stopped;
}

struct input_request attempt_input_request(struct attempt *a)
{
	const struct slot_shared *shared = a->slot->shared;

	return (struct input_request){
	    .arm = &a->work->arm,
	    .slice = &a->work->slice,
	    .shard = a->shard,
	    .scratch = a->slot->scratch.path,
	    .output_root = shared->output_root,
	    .arena = &a->slot->arena,
	    .s3 = shared->s3,
	    .read_ahead_bytes = shared->read_ahead_bytes,
	    .ahead = &a->slot->ahead,
	    .wake_fd = a->slot->wake_fd,
	    .woken = woken_early,
	    .woken_arg = a,
	};
}

/* Each attempt has a file of its own: where it reads in it is its affair. */
static int give_bytes(struct attempt *a, struct bytes bytes)
{
	int fd = memfd_create("stdin", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes.data, bytes.size, 0) != (ssize_t)bytes.size) {
		error_set(&a->why, ERR_EXHAUSTED, "cannot make a file for stdin: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return ERR_EXHAUSTED;
	}
	a->input.stdin_fd = fd;
	return 0;
}

/* A file that is not there may be there later, or on another worker. */
static int give_file(struct attempt *a, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would block */
	int code = fd < 0 ? errno : 0;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) < 0)
		code = errno;
	else if (fd >= 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		code = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	if (code == 0 && fcntl(fd, F_SETFL, 0) == 0) {
		a->input.stdin_fd = fd;
		return 0;
	}
	error_set(&a->why, error_code_of_errno(code), "cannot open the file for stdin: %s",
		  code == EINVAL ? "it is no file" : strerror(code));
	if (fd >= 0)
		close(fd);
	return error_where(&a->why, "%.200s", path);
}

int attempt_open_stdin(struct attempt *a)
{
	const struct run_spec *run = &a->work->arm.run->run;
	struct template_values values = attempt_values(a);
	struct buf path = {0};
	int rc;

	if (run->stdin_bytes.size > 0)
		return give_bytes(a, run->stdin_bytes);
	if (run->stdin_file.size == 0)
		return 0;
	rc = template_expand(&a->work->stdin_file, &values, &path, &a->why);
	if (rc == 0 && (path.size == 0 || path.data[0] != '/'))
		rc = error_set(&a->why, ERR_INVALID, "expected an absolute path for stdin, found %.200s",
			       buf_text(&path));
	if (rc == 0)
		rc = give_file(a, buf_text(&path));
	buf_fini(&path);
	return rc;
}

/* The shard that this slot will run next, as far as it is known now. */
static const struct worker_arm *next_arm(const struct slot *s, uint32_t *ret_shard)
{
	for (uint32_t i = 0; i < SLOT_CELLS; i++) {
		uint32_t cell = (s->turn + i) % SLOT_CELLS;
		struct cell_view v;

		if (!cell_is_armed(&s->cells[cell]))
			continue;
		v = cell_peek(&s->cells[cell]);
		*ret_shard = v.next;
		if (v.next < v.end)
			return &s->arms[cell];
	}
	return NULL;
}

void attempt_read_ahead(struct attempt *a)
{
	struct input_request rq;
	const struct worker_arm *arm;
	uint32_t shard = 0;

	if (!a->slot->shared->prefetch)
		return;
	arm = next_arm(a->slot, &shard);
	if (arm == NULL || arm->run->run.kind != RUN_EXEC || arm->run->run.input == FEED_NONE)
		return;
	rq = attempt_input_request(a);
	rq.shard = shard;
	input_read_ahead(&rq, &arm->parameters->plan, &a->input);
}

int64_t attempt_input_code(const struct attempt *a)
{
	return input_error_is_final(&a->work->arm.parameters->plan, a->why.code) ? FAILURE_CODE_FINAL : 0;
}
