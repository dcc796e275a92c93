/* Calls that fail, disks that are full, power that goes: what was durable stays, and nothing else is
 * invented. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "tests/support/effort.h"
#include "tests/unit/store/fault_io.h"
#include "tests/unit/store/journal_kit.h"

static struct kit k;

static void setup(void)
{
	kit_begin(&k);
	k.options.io = &fault_io;
}

static void teardown(void)
{
	fault_reset();
	kit_end(&k);
}

TestSuite(journal_faults, .init = setup, .fini = teardown);

struct known {
	uint64_t durable; /* somebody was told so */
	uint64_t trimmed; /* trim was asked for up to here */
	uint32_t epoch;
};

/* A run of the dispatcher: open, write, trim, until the end or the fault. */
static void run(struct known *n, struct rng *r, int commits)
{
	if (kit_open(&k) < 0)
		return;
	n->durable = journal_durable_lsn(k.j);
	n->epoch = journal_epoch(k.j) + 1;
	for (int i = 0; i < commits; i++) {
		uint64_t durable;

		kit_write(&k, n->epoch, 1 + (uint32_t)rng_below(r, 12), true);
		durable = journal_durable_lsn(k.j);
		cr_assert_geq(durable, n->durable);
		n->durable = durable;
		if (rng_chance(r, 100000)) {
			uint64_t trimmed = 1 + rng_below(r, durable + 1);

			journal_trim(k.j, trimmed);
			n->trimmed = trimmed > n->trimmed ? trimmed : n->trimmed;
		}
	}
	kit_close(&k);
}

/* A start that only reads: all that was durable and not trimmed is there. */
static void verify(const struct known *n, const char *what, uint64_t i)
{
	char text[1024];
	uint64_t last;
	int rc;

	fault_arm(0, FAULT_ONCE, 0);
	k.options.create = n->durable == 0;
	rc = journal_open(&k.j, k.journal, &k.options, &k.error);
	cr_assert_eq(rc, 0, "%s %llu: %s", what, (unsigned long long)i,
		     error_text(&k.error, text, sizeof text));
	rc = kit_replay(&k, 0, &last);
	cr_assert_eq(rc, 0, "%s %llu: %s", what, (unsigned long long)i,
		     error_text(&k.error, text, sizeof text));
	cr_assert_geq(last, n->durable, "%s %llu", what, (unsigned long long)i);
	cr_assert_leq(journal_oldest_lsn(k.j), n->trimmed > 0 ? n->trimmed : 1, "%s %llu", what,
		      (unsigned long long)i);
	kit_close(&k);
	k.options.create = true;
}

/* Each call in turn fails, once or from then on; the process ends and starts again; then the power goes,
 * too: what a failed sync left in memory only must not have been taken for durable. */
static void fail_each_call(enum fault_kind kind, int error)
{
	bool hit = true;

	for (uint64_t nth = 1; hit; nth++) {
		struct known n = {0};
		struct rng r;

		rng_seed(&r, nth);
		fault_arm(nth, kind, error);
		run(&n, &r, 30);
		hit = fault_was_hit();
		verify(&n, "after the fault at call", nth);
		run(&n, &r, 3);
		cr_assert_gt(n.durable, 0);
		fault_power_cut(&r);
		verify(&n, "after the power cut behind call", nth);
		run(&n, &r, 10);
		kit_end(&k);
		fault_reset();
		kit_begin(&k);
		k.options.io = &fault_io;
		cr_assert_lt(nth, 5000);
	}
}

Test(journal_faults, any_call_fails_once_with_eio, .timeout = 120)
{
	fail_each_call(FAULT_ONCE, EIO);
}

Test(journal_faults, any_call_fails_and_all_that_follow, .timeout = 120)
{
	fail_each_call(FAULT_ALWAYS, EIO);
}

Test(journal_faults, the_disk_is_full_at_any_call, .timeout = 120)
{
	fail_each_call(FAULT_ONCE, ENOSPC);
	fail_each_call(FAULT_ALWAYS, ENOSPC);
}

Test(journal_faults, the_power_goes_at_any_moment, .timeout = 120)
{
	struct known n = {0};
	const uint64_t cuts = effort(200, 600, 6000);
	uint64_t seed = 42, torn = 0;
	struct rng r;

	rng_seed(&r, seed);
	for (uint64_t i = 0; i < cuts; i++) {
		fault_arm(1 + rng_below(&r, 150), FAULT_POWER, EIO);
		run(&n, &r, 60);
		kit_close(&k);
		fault_power_cut(&r);
		verify(&n, "cut", i);
		cr_assert_eq(journal_open(&k.j, k.journal, &k.options, NULL), 0);
		torn += journal_was_torn(k.j, NULL);
		kit_close(&k);
	}
	cr_assert_gt(torn, cuts / 10, "the cuts met %llu commits", (unsigned long long)torn);
	cr_assert_gt(n.durable, cuts * 8, "%llu records", (unsigned long long)n.durable);
}

Test(journal_faults, after_a_failed_sync_nothing_is_said_to_be_durable)
{
	struct error error;
	uint64_t last;

	kit_reopen(&k);
	last = kit_write(&k, 1, 1, true);
	fault_arm(2, FAULT_ONCE, EIO); /* a write, then its sync */
	kit_write(&k, 1, 1, true);
	cr_assert(journal_failed(k.j, &error));
	cr_assert_not_null(strstr(error.what, "cannot sync: Input/output error"), "%s", error.what);
	kit_write(&k, 1, 1, true);
	cr_assert_eq(journal_durable_lsn(k.j), last);
}

/* A file system with room for two segments and a half: a tmpfs if we may mount one, else a bound on the
 * size of files. Intake is told before anything accepted is in danger; when there is room again, what
 * waited becomes durable. */
static bool small_disk(rlim_t file_bytes_max)
{
	struct rlimit lim = {file_bytes_max, RLIM_INFINITY};
	char size[64];

	cr_assert_eq(mkdir(k.journal, 0700), 0);
	snprintf(size, sizeof size, "size=%zu", 5 * KIT_SEGMENT_BYTES / 2);
	if (mount("tmpfs", k.journal, "tmpfs", 0, size) == 0)
		return true;
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
	return false;
}

Test(journal_faults, a_full_disk_is_told_before_it_hurts_and_passes)
{
	uint64_t last = 0;
	bool mounted;

	k.options.io = NULL;
	mounted = small_disk(RLIM_INFINITY);
	kit_reopen(&k);
	if (!mounted)
		cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, RLIM_INFINITY}), 0);
	for (int i = 0; i < 1000 && journal_has_room(k.j, NULL) == 0; i++)
		last = kit_write(&k, 1, 2, true);
	cr_assert_eq(journal_has_room(k.j, &k.error), ERR_LIMIT);
	kit_says(&k, "make room on the file system of the state directory");
	cr_assert_not(journal_failed(k.j, NULL), "a full disk is not the end");
	cr_assert_lt(journal_durable_lsn(k.j), last, "what has no place waits");
	if (mounted)
		cr_assert_eq(mount("tmpfs", k.journal, "tmpfs", MS_REMOUNT, "size=16m"), 0);
	else
		cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
	last = kit_write(&k, 1, 1, true);
	cr_assert_eq(journal_durable_lsn(k.j), last);
	cr_assert_eq(journal_has_room(k.j, NULL), 0);
	kit_reopen(&k);
	cr_assert_eq(journal_durable_lsn(k.j), last);
	kit_close(&k);
	if (mounted)
		cr_assert_eq(umount(k.journal), 0);
}

static bool no_new_files;

static int refusing_openat(int dir_fd, const char *name, int flags, mode_t mode)
{
	if ((flags & O_CREAT) != 0 && __atomic_load_n(&no_new_files, __ATOMIC_RELAXED)) {
		errno = ENOSPC;
		return -1;
	}
	return store_io_system.openat(dir_fd, name, flags, mode);
}

/* The same with threads: intake is told, commits go on as long as the segment lasts, and the preparer tries
 * again by itself. */
Test(journal_faults, the_preparer_tries_again_by_itself)
{
	struct store_io io = store_io_system;
	struct timespec start, now;
	uint64_t last = 0;

	io.openat = refusing_openat;
	k.options.io = &io;
	kit_reopen(&k);
	kit_close(&k);
	no_new_files = true;
	k.options.no_threads = false;
	kit_reopen(&k);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		cr_assert_lt(now.tv_sec - start.tv_sec, 20);
	} while (journal_has_room(k.j, NULL) == 0);
	last = kit_write(&k, 1, 2, false);
	kit_wait(&k, last);
	for (int i = 0; i < 100; i++)
		last = kit_write(&k, 1, 2, false);
	__atomic_store_n(&no_new_files, false, __ATOMIC_RELAXED);
	kit_wait(&k, last);
	cr_assert_eq(journal_durable_lsn(k.j), last);
	cr_assert_eq(journal_has_room(k.j, NULL), 0);
	kit_close(&k);
}
