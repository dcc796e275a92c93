/* From a directory to a journal that knows where it stands. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "dispatcher/store/journal_private.h"

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The numbers of all segments, sorted; free them. Other names are not ours to judge. */
static int list_segments(const struct journal *j, uint64_t **ret, size_t *ret_count, struct error *reterr)
{
	int fd = openat(j->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t *numbers = NULL;
	size_t count = 0;

	if (d == NULL) {
		int rc = store_error(j, "list", "", reterr);

		if (fd >= 0)
			close(fd);
		return rc;
	}
	while ((e = readdir(d)) != NULL) {
		unsigned long long n;
		char name[SEGMENT_NAME_SIZE];

		if (sscanf(e->d_name, "%20llu.segment", &n) != 1)
			continue;
		segment_name(n, name);
		if (strcmp(name, e->d_name) != 0)
			continue;
		numbers = check_realloc(numbers, count + 1, sizeof *numbers);
		numbers[count++] = n;
	}
	closedir(d);
	if (count > 0)
		qsort(numbers, count, sizeof *numbers, compare_numbers);
	*ret = numbers;
	*ret_count = count;
	return 0;
}

/* The errors of the pure part say "byte N"; here the file's name comes before it. */
static int at_segment(const struct journal *j, uint64_t number, int rc, struct error *reterr)
{
	char where[sizeof reterr->where], name[SEGMENT_NAME_SIZE];

	if (rc >= 0 || reterr == NULL)
		return rc;
	segment_name(number, name);
	snprintf(where, sizeof where, "%s", reterr->where);
	error_where(reterr, "%.150s/%s%s%.60s", j->dir, name, where[0] ? ", " : "", where);
	return rc;
}

static int missing(const struct journal *j, struct error *reterr)
{
	error_set(reterr, ERR_CORRUPT, "the journal is missing: there is no segment that was ever begun");
	error_where(reterr, "%s", j->dir);
	error_help(reterr, "is the disk mounted? a missing journal is never taken for an empty one");
	return ERR_CORRUPT;
}

static int read_header(struct journal *j, uint64_t number, struct segment_ref *ret, struct error *reterr)
{
	uint8_t block[FRAME_BLOCK_BYTES];
	char name[SEGMENT_NAME_SIZE];
	struct frame_segment s;
	off_t size;
	int fd, rc;

	segment_name(number, name);
	fd = j->io->openat(j->dir_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return store_error(j, "open", name, reterr);
	size = lseek(fd, 0, SEEK_END);
	rc = store_read(j, fd, name, BYTES(block, sizeof block), 0, reterr);
	close(fd);
	if (rc < 0)
		return rc;
	rc = at_segment(j, number, frame_segment_decode(BYTES(block, (size_t)size), &s, reterr), reterr);
	if (rc < 0)
		return rc;
	*ret = (struct segment_ref){number, s.first_lsn, s.segment_bytes, s.segment_bytes};
	return 0;
}

static bool all_zero(const uint8_t *p, size_t size)
{
	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

/* The last segment's header is not valid. That is no damage if it never held a frame: it was prepared
 * and not begun, or the power went while it was begun. Either way it is nothing yet, and a new one will
 * take its name, unless it can be used as it is. */
static int take_unbegun(struct journal *j, uint64_t number, struct error *reterr)
{
	struct buf bytes = {0};
	char name[SEGMENT_NAME_SIZE];
	struct error ignored;
	size_t header;
	int rc = segment_load(j, number, &bytes, &ignored);

	header = bytes.size < FRAME_BLOCK_BYTES ? bytes.size : FRAME_BLOCK_BYTES;
	if (rc < 0 || !all_zero(bytes.data + header, bytes.size - header)) {
		buf_fini(&bytes);
		return ERR_CORRUPT; /* reterr says what is wrong with the header */
	}
	segment_name(number, name);
	if (bytes.size == j->options.segment_bytes && all_zero(bytes.data, header))
		j->next_fd = j->io->openat(j->dir_fd, name, O_RDWR, 0);
	buf_fini(&bytes);
	if (reterr != NULL)
		reterr->code = ERR_OK;
	return 0;
}

static int read_headers(struct journal *j, const uint64_t *numbers, size_t count, struct error *reterr)
{
	for (size_t i = 0; i < count; i++) {
		struct segment_ref ref;
		int rc;

		if (i > 0 && numbers[i] != numbers[i - 1] + 1) {
			error_set(reterr, ERR_CORRUPT,
				  "segments %llu and %llu are there, but not those between",
				  (unsigned long long)numbers[i - 1], (unsigned long long)numbers[i]);
			error_where(reterr, "%s", j->dir);
			return ERR_CORRUPT;
		}
		rc = read_header(j, numbers[i], &ref, reterr);
		if (rc == ERR_CORRUPT && i + 1 == count)
			return take_unbegun(j, numbers[i], reterr);
		if (rc < 0)
			return rc;
		segment_add(j, &ref);
	}
	return 0;
}

static int begin_first(struct journal *j, struct error *reterr)
{
	int rc = 0;

	j->chain = (struct frame_chain){.lsn = 1};
	if (j->next_fd < 0)
		rc = segment_prepare(j, 1, &j->next_fd, reterr);
	return rc < 0 ? rc : segment_begin(j, reterr);
}

/* Where the last segment ends. */
static int find_end(struct journal *j, struct error *reterr)
{
	struct segment_ref *ref = &j->segments[j->segment_count - 1];
	struct frame_expect e = {.cluster_hi = j->options.cluster_hi,
				 .cluster_lo = j->options.cluster_lo,
				 .is_first = true,
				 .is_last = true};
	struct buf bytes = {0};
	struct frame_cursor c;
	enum frame_status status = FRAME_DAMAGED;
	struct frame f;
	struct error error;
	int rc = segment_load(j, ref->number, &bytes, reterr);

	if (rc == 0)
		rc = at_segment(j, ref->number, frame_recover(&c, buf_bytes(&bytes), &e, reterr), reterr);
	while (rc == 0 && (status = frame_next(&c, &f, &error)) == FRAME_OK)
		j->last_frame = f.offset;
	buf_fini(&bytes);
	if (rc < 0)
		return rc;
	if (status != FRAME_END)
		at_segment(j, ref->number, ERR_CORRUPT, &error);
	if (status == FRAME_DAMAGED) {
		if (reterr != NULL)
			*reterr = error;
		return ERR_CORRUPT;
	}
	if (status == FRAME_TORN) {
		j->was_torn = true;
		j->torn = error;
		j->torn_first = c.torn_first;
		j->torn_end = c.torn_end;
	}
	ref->used_bytes = c.offset;
	j->number = ref->number;
	j->segment = c.segment;
	j->offset = c.offset;
	j->chain = c.chain;
	return 0;
}

static int open_dir(struct journal *j, struct error *reterr)
{
	int flags = O_RDONLY | O_DIRECTORY, parent, rc;

	j->dir_fd = j->io->openat(AT_FDCWD, j->dir, flags, 0);
	if (j->dir_fd >= 0)
		return 0;
	if (errno != ENOENT)
		return store_error(j, "open", "", reterr);
	if (!j->options.create)
		return missing(j, reterr);
	if (j->io->mkdir(j->dir, 0700) < 0)
		return store_error(j, "make", "", reterr);
	j->dir_fd = j->io->openat(AT_FDCWD, j->dir, flags, 0);
	if (j->dir_fd < 0)
		return store_error(j, "open", "", reterr);
	parent = j->io->openat(j->dir_fd, "..", flags, 0);
	rc = parent < 0 || j->io->fsync(parent) < 0 ? store_error(j, "sync", "..", reterr) : 0;
	if (parent >= 0)
		close(parent);
	return rc;
}

static int read_dir(struct journal *j, struct error *reterr)
{
	uint64_t *numbers = NULL;
	size_t count = 0;
	int rc = open_dir(j, reterr);

	if (rc == 0)
		rc = list_segments(j, &numbers, &count, reterr);
	if (rc == 0)
		rc = read_headers(j, numbers, count, reterr);
	if (rc == 0 && j->segment_count == 0) {
		bool nothing_lost = count == 0 || (count == 1 && numbers[0] == 1);

		rc = j->options.create && nothing_lost ? begin_first(j, reterr) : missing(j, reterr);
	}
	free(numbers);
	return rc < 0 ? rc : find_end(j, reterr);
}

static void init_locks(struct journal *j)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->wake_committer, &attr);
	pthread_cond_init(&j->wake_preparer, &attr);
	pthread_condattr_destroy(&attr);
}

int journal_open(struct journal **ret, const char *dir, const struct journal_options *options,
		 struct error *reterr)
{
	struct journal *j;
	uint64_t size =
	    (options->segment_bytes + FRAME_BLOCK_BYTES - 1) / FRAME_BLOCK_BYTES * FRAME_BLOCK_BYTES;
	int rc;

	if (size < SEGMENT_BYTES_MIN || size > SEGMENT_BYTES_MAX)
		return error_set(reterr, ERR_INVALID,
				 "expected a segment size of %zu to %zu bytes, found %llu", SEGMENT_BYTES_MIN,
				 SEGMENT_BYTES_MAX, (unsigned long long)size);
	j = check_calloc(1, sizeof *j);
	j->options = *options;
	j->options.segment_bytes = size;
	j->io = options->io != NULL ? options->io : &store_io_system;
	j->fd = j->next_fd = j->dir_fd = j->event_fd = -1;
	init_locks(j);
	j->dir = check_calloc(strlen(dir) + 1, 1);
	memcpy(j->dir, dir, strlen(dir));
	j->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = j->event_fd < 0 ? store_error(j, "make an eventfd for", "", reterr) : read_dir(j, reterr);
	if (rc < 0) {
		journal_close(j);
		return rc;
	}
	j->next_lsn = j->chain.lsn;
	j->durable_lsn = j->chain.lsn - 1;
	j->epoch = j->chain.epoch;
	*ret = j;
	return 0;
}
