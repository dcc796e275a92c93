/* History follows the journal: behind it, after it, built again from it, and never ahead of it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "jobs/kinds.h"
#include "tests/unit/store/history_kit.h"

static struct history_kit k;

static void setup(void)
{
	history_kit_begin(&k);
}

static void teardown(void)
{
	history_kit_end(&k);
}

TestSuite(history_follows, .init = setup, .fini = teardown);

/* Jobs with ranges, dead shards and ends. */
static void add_random(struct rng *r, int count)
{
	static uint8_t sha[32];

	for (int i = 0; i < count; i++) {
		uint64_t job = 1 + rng_below(r, 50);
		struct range s = {(uint32_t)rng_below(r, 1000), 1 + (uint32_t)rng_below(r, 9)};
		struct new_job n = {.job = job, .name = BYTES_LIT("j"), .definition = BYTES(sha, 32)};
		struct accepted a = {.wall_us = i, .jobs = {&n, 1}};
		struct shard_failure f = {
		    .first = s.first, .count = s.count, .kind = FAILURE_EXIT, .dead = true};
		struct outcome_taken o = {.token = {1, rng_below(r, 4)}, .job = job};
		struct outcomes_taken t = {.worker = {1, rng_below(r, 4)}, .outcomes = {&o, 1}};
		struct job_ended e = {.job = job, .state = JOB_FAILED, .definition = BYTES(sha, 32)};

		sha[0] = (uint8_t)rng_below(r, 5);
		switch (rng_below(r, 4)) {
		case 0:
			history_kit_add(&k, RECORD_ACCEPTED, &a);
			break;
		case 1:
			o.done = (struct range_list){&s, 1};
			history_kit_add(&k, RECORD_OUTCOMES, &t);
			break;
		case 2:
			o.failed = (struct shard_failure_list){&f, 1};
			history_kit_add(&k, RECORD_OUTCOMES, &t);
			break;
		default:
			history_kit_add(&k, RECORD_ENDED, &e);
		}
		if (rng_below(r, 10) == 0)
			history_kit_commit(&k);
	}
	history_kit_commit(&k);
}

static void remove_database(void)
{
	char path[128];

	unlink(k.path);
	snprintf(path, sizeof path, "%s-wal", k.path);
	unlink(path);
	snprintf(path, sizeof path, "%s-shm", k.path);
	unlink(path);
}

static void assert_same_when_built_again(void)
{
	struct buf first = {0}, again = {0};

	history_kit_dump(&k, &first);
	history_kit_close(&k);
	remove_database();
	history_kit_open(&k);
	cr_assert_eq(k.missing, 0);
	history_kit_wait(&k);
	history_kit_dump(&k, &again);
	cr_assert_str_eq(buf_text(&first), buf_text(&again));
	cr_assert_gt(first.size, 5000);
	buf_fini(&first);
	buf_fini(&again);
}

Test(history_follows, a_missing_one_is_built_again_and_is_the_same)
{
	struct rng r;

	rng_seed(&r, 1);
	history_kit_open(&k);
	for (int i = 0; i < 20; i++) {
		add_random(&r, 100);
		history_kit_wait(&k);
	}
	assert_same_when_built_again();
}

Test(history_follows, it_takes_each_record_once_however_often_it_stops)
{
	struct rng r;

	rng_seed(&r, 2);
	for (int i = 0; i < 15; i++) {
		if (i % 3 != 0)
			history_kit_open(&k);
		add_random(&r, 60);
		history_kit_close(&k);
	}
	history_kit_open(&k);
	history_kit_wait(&k);
	assert_same_when_built_again();
}

Test(history_follows, what_its_queue_does_not_hold_is_read_from_the_journal, .timeout = 60)
{
	struct buf event = {0};
	struct new_job n = {.job = 1, .event_id_hi = 1};
	struct accepted a = {.jobs = {&n, 1}};
	struct plan_piece piece = {.job = 1, .count = 1};
	uint64_t jobs = 200, behind = 0;

	kit_close(&k.kit);
	k.kit.options.segment_bytes = 4 * MIB;
	cr_assert_eq(journal_open(&k.kit.j, k.kit.journal, &k.kit.options, NULL), 0);
	cr_assert_eq(journal_start(k.kit.j, NULL), 0);
	history_kit_open(&k);
	buf_append_zeros(&event, 200000);
	memset(event.data, 'x', event.size);
	a.event = buf_bytes(&event);
	for (n.job = 1; n.job <= jobs; n.job++) {
		n.event_id_lo = n.job;
		history_kit_add(&k, RECORD_ACCEPTED, &a);
		history_kit_add(&k, RECORD_PLAN_PIECE, &piece);
		behind += history_lsn(k.h) < n.job;
	}
	cr_assert_gt(behind, 0);
	history_kit_write(&k);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM jobs"), (int64_t)jobs);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM events"), (int64_t)jobs);
	cr_assert_eq(history_kit_number(&k, "SELECT shards FROM jobs WHERE id = 1"), (int64_t)jobs,
		     "no record is taken twice");
	buf_fini(&event);
}

/* The writer is killed at any moment; what it said to have is there, and nothing is there twice. */
Test(history_follows, kill_9_of_the_writer, .timeout = 60)
{
	struct rng r;

	rng_seed(&r, 4);
	add_random(&r, 3000);
	kit_close(&k.kit);
	for (int i = 0; i < 12; i++) {
		uint64_t said = 0, more;
		int fds[2];
		pid_t pid;

		cr_assert_eq(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			k.kit.options.create = false;
			if (journal_open(&k.kit.j, k.kit.journal, &k.kit.options, NULL) < 0 ||
			    history_kit_try(&k) < 0)
				_exit(1);
			for (;;) {
				struct pollfd p = {.fd = history_fd(k.h), .events = POLLIN};
				uint64_t n, lsn = history_lsn(k.h);

				(void)!write(fds[1], &lsn, sizeof lsn);
				poll(&p, 1, 1000);
				(void)!read(p.fd, &n, sizeof n);
			}
		}
		close(fds[1]);
		for (uint64_t n = rng_below(&r, 3); n-- > 0;)
			cr_assert_eq(read(fds[0], &said, sizeof said), (ssize_t)sizeof said);
		kill(pid, SIGKILL);
		while (read(fds[0], &more, sizeof more) == sizeof more)
			said = more;
		waitpid(pid, NULL, 0);
		close(fds[0]);
		cr_assert_eq(
		    history_open(&k.h, k.path, k.kit.options.cluster_hi, k.kit.options.cluster_lo, &k.error),
		    0);
		cr_assert_geq(history_lsn(k.h), said);
		history_close(k.h);
		k.h = NULL;
	}
	cr_assert_eq(journal_open(&k.kit.j, k.kit.journal, &k.kit.options, NULL), 0);
	cr_assert_eq(journal_start(k.kit.j, NULL), 0);
	history_kit_open(&k);
	history_kit_wait(&k);
	assert_same_when_built_again();
}

Test(history_follows, a_journal_that_was_trimmed_leaves_a_gap_that_is_told)
{
	struct journal_stats s;
	struct rng r;

	rng_seed(&r, 5);
	add_random(&r, 2000);
	journal_stats(k.kit.j, &s);
	cr_assert_gt(s.segment_count, 2);
	journal_trim(k.kit.j, s.second_lsn);
	history_kit_open(&k);
	cr_assert_eq(k.missing, s.second_lsn - 1);
	history_kit_wait(&k);
	cr_assert_eq(history_kit_number(&k, "SELECT value FROM meta WHERE name = 'first_lsn'"),
		     (int64_t)s.second_lsn);
	history_kit_close(&k);
	history_kit_open(&k);
	cr_assert_eq(k.missing, 0);
}

static void assert_says(const char *words)
{
	char text[1024];

	error_text(&k.error, text, sizeof text);
	cr_assert_not_null(strstr(text, words), "expected \"%s\" in \"%s\"", words, text);
}

Test(history_follows, it_is_never_ahead_of_the_journal)
{
	struct rng r;

	rng_seed(&r, 6);
	history_kit_open(&k);
	add_random(&r, 50);
	history_kit_write(&k);
	history_kit_close(&k);
	kit_close(&k.kit);
	snprintf(k.kit.journal, sizeof k.kit.journal, "%s/journal2", k.kit.dir);
	cr_assert_eq(journal_open(&k.kit.j, k.kit.journal, &k.kit.options, NULL), 0);
	cr_assert_eq(journal_start(k.kit.j, NULL), 0);
	cr_assert_eq(history_kit_try(&k), ERR_CORRUPT);
	assert_says("history knows record 50, but the journal ends with record 0");
}

Test(history_follows, what_is_not_this_clusters_history_is_refused)
{
	FILE *f;

	history_kit_open(&k);
	history_kit_close(&k);
	k.kit.options.cluster_hi++;
	cr_assert_eq(history_kit_try(&k), ERR_DENIED);
	assert_says("history belongs to cluster 00000000000000c10000000000000005, this is cluster");
	k.kit.options.cluster_hi--;
	remove_database();
	f = fopen(k.path, "w");
	fprintf(
	    f, "This is a text of some length that nobody would take for a database, I should think. It goes "
	       "on for more than a hundred bytes.");
	fclose(f);
	cr_assert_eq(history_kit_try(&k), ERR_CORRUPT);
	assert_says("move the file away: it is built again from the journal");
	remove_database();
	snprintf(k.path, sizeof k.path, "%s/none/history.db", k.kit.dir);
	cr_assert_eq(history_kit_try(&k), ERR_NOT_FOUND);
}

/* There is no room for a while: it is told, and history comes on by itself when there is again. The bound
 * on the size of files lets the journal's small segments pass. */
Test(history_follows, a_full_disk_passes, .timeout = 60)
{
	struct rlimit small = {KIT_SEGMENT_BYTES, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct error error;
	struct rng r;

	rng_seed(&r, 7);
	history_kit_open(&k);
	add_random(&r, 500);
	history_kit_write(&k);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	add_random(&r, 500);
	history_kit_await_failure(&k, &error);
	cr_assert_not_null(strstr(error.what, "SQLite says"), "%s", error.what);
	cr_assert_lt(history_lsn(k.h), journal_durable_lsn(k.kit.j));
	cr_assert_not(journal_failed(k.kit.j, NULL));
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	history_kit_wait(&k);
	cr_assert_not(history_is_failing(k.h, NULL));
	cr_assert_eq(history_kit_number(&k, "SELECT value FROM meta WHERE name = 'lsn'"), 1000);
	assert_same_when_built_again();
}
