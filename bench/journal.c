/* What the journal costs on top of its disk: commits of one 4 KiB frame, each waited for, against a bare
 * loop of pwrite + fdatasync on a file that was zero-filled ahead, as the journal's segments are. They
 * take turns, so that both meet the same disk; the ratio is the median of the rounds'. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "dispatcher/store/journal.h"

#define ROUNDS 9
#define COMMITS 300
#define FILE_BYTES ((size_t)(16 * MIB))

static double per_second(usec_t start_us)
{
	return COMMITS * 1e6 / (double)(clock_mono_us() - start_us);
}

static int make_file(const char *path)
{
	static const uint8_t zeros[64 * KIB];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (size_t at = 0; fd >= 0 && at < FILE_BYTES; at += sizeof zeros)
		if (pwrite(fd, zeros, sizeof zeros, (off_t)at) != (ssize_t)sizeof zeros)
			return -1;
	return fd >= 0 && fsync(fd) == 0 ? fd : -1;
}

static double bare_round(int fd, int round)
{
	static uint8_t block[FRAME_BLOCK_BYTES];
	usec_t start_us = clock_mono_us();

	for (size_t i = 0; i < COMMITS; i++) {
		off_t at = (off_t)(((size_t)round * COMMITS + i) * sizeof block % FILE_BYTES);

		memset(block, (int)i + 1, 100);
		if (pwrite(fd, block, sizeof block, at) < 0 || fdatasync(fd) < 0)
			abort();
	}
	return per_second(start_us);
}

static double journal_round(struct journal *j, bool alone)
{
	usec_t start_us = clock_mono_us();
	uint8_t payload[100];

	for (size_t i = 0; i < COMMITS; i++) {
		uint64_t lsn, n;

		memset(payload, (int)i + 1, sizeof payload);
		lsn = journal_submit(j, 1, BYTES(payload, sizeof payload), 1, alone);
		while (journal_durable_lsn(j) < lsn && !journal_failed(j, NULL))
			if (read(journal_fd(j), &n, sizeof n) < 0)
				usleep(0);
	}
	return per_second(start_us);
}

/* Without waiting for each: the records of many submits share a commit. */
static double grouped_round(struct journal *j)
{
	usec_t start_us = clock_mono_us();
	uint8_t payload[100] = {1};
	uint64_t lsn = 0, n;

	for (size_t i = 0; i < COMMITS; i++)
		lsn = journal_submit(j, 1, BYTES(payload, sizeof payload), 1, false);
	while (journal_durable_lsn(j) < lsn && !journal_failed(j, NULL))
		if (read(journal_fd(j), &n, sizeof n) < 0)
			usleep(0);
	return per_second(start_us);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof *values, compare);
	return values[ROUNDS / 2];
}

/* As bench/run.py reads it. */
static void row(const char *figure, const char *unit, double value, double limit, double ratio)
{
	printf("row\t%s\t%.0f %s/s\tbare pwrite + fdatasync: %.0f/s\t%.3f\n", figure, value, unit, limit,
	       ratio);
}

static int run(struct journal *j, int fd)
{
	double bare[ROUNDS], alone[ROUNDS], threaded[ROUNDS], grouped[ROUNDS];
	double alone_ratio[ROUNDS], threaded_ratio[ROUNDS];
	struct error error;

	for (int i = 0; i < ROUNDS; i++) {
		bare[i] = bare_round(fd, i);
		alone[i] = journal_round(j, true);
		threaded[i] = journal_round(j, false);
		grouped[i] = grouped_round(j);
		alone_ratio[i] = alone[i] / bare[i];
		threaded_ratio[i] = threaded[i] / bare[i];
	}
	if (journal_failed(j, &error)) {
		fprintf(stderr, "%s\n", error.what);
		return 1;
	}
	row("journal commit, by the caller", "commits", median(alone), median(bare), median(alone_ratio));
	row("journal commit, by its thread", "commits", median(threaded), median(bare),
	    median(threaded_ratio));
	row("journal, not waiting", "submits", median(grouped), median(bare), median(grouped) / median(bare));
	return 0;
}

int main(int argc, char **argv)
{
	char dir[512], path[600];
	struct journal_options options = {.segment_bytes = FILE_BYTES, .create = true};
	struct journal *j = NULL;
	struct error error;
	int fd, rc;

	/* The build directory by default: /tmp may be memory. */
	snprintf(dir, sizeof dir, "%s/bench-journal-XXXXXX", argc > 1 ? argv[1] : ".");
	if (mkdtemp(dir) == NULL) {
		perror(dir);
		return 1;
	}
	snprintf(path, sizeof path, "%s/bare", dir);
	fd = make_file(path);
	if (fd < 0 || journal_open(&j, dir, &options, &error) < 0 || journal_start(j, &error) < 0) {
		fprintf(stderr, "cannot begin in %s\n", dir);
		return 1;
	}
	rc = run(j, fd);
	journal_close(j);
	close(fd);
	unlink(path);
	for (int i = 1; i < 100; i++) {
		snprintf(path, sizeof path, "%s/%020d.segment", dir, i);
		unlink(path);
	}
	rmdir(dir);
	return rc;
}
