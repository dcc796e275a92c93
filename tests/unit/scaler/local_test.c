#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/fs.h"
#include "scaler/providers/local.h"
#include "tests/support/scratch.h"

#define DEADLINE_US (15 * USEC_PER_SEC)
/* A machine with room for three, whatever this one has. (Bindings of a synthetic machine bind nothing.) */
#define MACHINE "node:3 core:2 pu:1"

static struct loop *loop;
static struct provider *provider;
static int changes;

static void on_changed(void *arg)
{
	(void)arg;
	changes++;
}

/* A scaler begins. Its workers write down how they were started, and wait. */
static void open_with(const char *gpus)
{
	static const char *const arguments[] = {"--pool=p", NULL};
	struct local_options options = {.directory = scratch_path("records"),
					.program = scratch_path("worker"),
					.log_path = scratch_path("log"),
					.arguments = arguments,
					.gpus = gpus};
	struct error e;

	cr_assert_eq(local_provider_create(loop, &options, &provider, &e), 0, "%s", e.what);
	provider->changed = on_changed;
}

static void open_provider(void)
{
	open_with(NULL);
}

static void begin(void)
{
	struct error e;

	scratch_make();
	setenv("HWLOC_SYNTHETIC", MACHINE, 1);
	cr_assert_eq(fs_write_file(scratch_path("worker"),
				   bytes_of("#!/bin/sh\necho \"$@\"\nexec sleep 60\n"), 0700, &e),
		     0);
	cr_assert_eq(loop_create(&loop, &e), 0);
	open_provider();
}

/* What this test started, and nothing else. */
static void kill_worker(void *arg, const struct provider_worker *w)
{
	struct child c;
	char path[400];

	(void)arg;
	snprintf(path, sizeof path, "%s/%s", scratch_path("records"), w->id);
	if (child_adopt(path, &c, NULL, NULL) == 0) {
		child_signal(&c, SIGKILL);
		child_close(&c);
	}
}

static void end(void)
{
	provider->ops->list(provider, kill_worker, NULL);
	provider->ops->destroy(provider);
	loop_destroy(loop);
	scratch_remove();
}

TestSuite(local, .init = begin, .fini = end, .timeout = 60);

struct listing {
	struct provider_worker items[8];
	size_t count, ended;
};

static void visit(void *arg, const struct provider_worker *w)
{
	struct listing *l = arg;

	l->ended += w->ended;
	l->items[l->count++] = *w;
}

static struct listing listing(void)
{
	struct listing l = {.count = 0};

	provider->ops->list(provider, visit, &l);
	return l;
}

static void until_changes(int count)
{
	usec_t deadline = clock_mono_us() + DEADLINE_US;

	while (changes < count) {
		cr_assert_lt(clock_mono_us(), deadline, "no end was seen");
		loop_turn(loop, false);
	}
}

Test(local, starts_as_many_as_there_are_core_sets)
{
	char id[PROVIDER_ID_BYTES];
	struct resources offer;
	struct error e;

	cr_expect_eq(provider->ops->capacity(provider), 3);
	provider->ops->offer(provider, &offer);
	cr_expect_eq(offer.cpu_milli, 2000);
	cr_expect_eq(offer.gpu_milli, 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(provider->ops->start(provider, id, &e), 0, "%s", e.what);
	cr_expect_eq(provider->ops->start(provider, id, &e), ERR_LIMIT);
	cr_expect_eq(listing().count, 3);
}

Test(local, each_is_told_its_cores_and_who_it_is)
{
	usec_t deadline = clock_mono_us() + DEADLINE_US;
	char id[PROVIDER_ID_BYTES], expected[200];
	struct buf log = {0};

	cr_assert_eq(provider->ops->start(provider, id, NULL), 0);
	snprintf(expected, sizeof expected, "--cores=0-1 --provider-id=%s", id);
	while (strchr(buf_text(&log), '\n') == NULL) {
		cr_assert_lt(clock_mono_us(), deadline, "it wrote nothing");
		buf_clear(&log);
		(void)!fs_read_file(scratch_path("log"), 4096, &log, NULL);
	}
	cr_expect_eq(strncmp(buf_text(&log), expected, strlen(expected)), 0, "%s", buf_text(&log));
	cr_expect_not_null(strstr(buf_text(&log), " --pool=p\n"));
	buf_fini(&log);
}

static void until_log_has(const char *text)
{
	usec_t deadline = clock_mono_us() + DEADLINE_US;
	struct buf log = {0};

	while (strstr(buf_text(&log), text) == NULL) {
		cr_assert_lt(clock_mono_us(), deadline, "`%s` was not written: %s", text, buf_text(&log));
		buf_clear(&log);
		(void)!fs_read_file(scratch_path("log"), 4096, &log, NULL);
	}
	buf_fini(&log);
}

/* Four gpus, three places: the first worker gets the place that has two. The next scaler knows whose they
 * are. */
Test(local, gpus_are_dealt)
{
	char id[PROVIDER_ID_BYTES];
	struct resources offer;

	cr_assert_eq(fs_write_file(scratch_path("worker"),
				   bytes_of("#!/bin/sh\necho \"$CUDA_VISIBLE_DEVICES: $@\"\nexec sleep 60\n"),
				   0700, NULL),
		     0);
	unsetenv("CUDA_VISIBLE_DEVICES");
	unsetenv("HIP_VISIBLE_DEVICES");
	provider->ops->destroy(provider);
	open_with("4");
	provider->ops->offer(provider, &offer);
	cr_expect_eq(offer.gpu_milli, 2000);
	cr_assert_eq(provider->ops->start(provider, id, NULL), 0);
	until_log_has("0,3: --cores=0-1 ");
	until_log_has(" --gpus=2 ");
	provider->ops->destroy(provider);
	open_with("9,3"); /* dealt otherwise, and 3 is not free */
	cr_assert_eq(provider->ops->start(provider, id, NULL), 0);
	cr_expect_eq(provider->ops->start(provider, id, NULL), ERR_LIMIT);
	until_log_has(": --cores=4-5 ");
}

/* The scaler dies (its provider is left behind); the next one finds the worker, sees its cores taken,
 * and sees it end though it is not its parent. */
Test(local, the_next_scaler_adopts_and_sees_the_end)
{
	char first[PROVIDER_ID_BYTES], second[PROVIDER_ID_BYTES];
	struct listing l;

	cr_assert_eq(provider->ops->start(provider, first, NULL), 0);
	provider->ops->note(provider, first, "0123456789abcdef0123456789abcdef");
	provider->ops->destroy(provider);
	open_provider();
	l = listing();
	cr_assert_eq(l.count, 1);
	cr_expect_str_eq(l.items[0].id, first);
	cr_expect_str_eq(l.items[0].worker, "0123456789abcdef0123456789abcdef");
	cr_expect_not(l.items[0].ended);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(provider->ops->start(provider, second, NULL), 0);
	cr_expect_eq(provider->ops->start(provider, second, NULL), ERR_LIMIT, "cores were dealt twice");
	kill_worker(NULL, &l.items[0]);
	until_changes(1);
	cr_expect_eq(listing().ended, 1);
	cr_assert_eq(provider->ops->start(provider, second, NULL), 0, "its cores are free again");
}

/* Workers that end while no scaler runs: their worker ids are kept, so that GONE can be told. */
Test(local, ends_that_nobody_saw_are_found)
{
	char id[PROVIDER_ID_BYTES];
	struct listing l;

	cr_assert_eq(provider->ops->start(provider, id, NULL), 0);
	provider->ops->note(provider, id, "0123456789abcdef0123456789abcdef");
	provider->ops->list(provider, kill_worker, NULL);
	until_changes(1); /* the one that dies next does not tell anybody */
	provider->ops->destroy(provider);
	open_provider();
	l = listing();
	cr_assert_eq(l.count, 1);
	cr_expect(l.items[0].ended);
	cr_expect_str_eq(l.items[0].worker, "0123456789abcdef0123456789abcdef");
	provider->ops->forget(provider, l.items[0].id);
	cr_expect_eq(listing().count, 0);
	provider->ops->destroy(provider);
	open_provider();
	cr_expect_eq(listing().count, 0, "its record stayed behind");
}

Test(local, what_never_registered_may_be_asked_to_leave)
{
	char id[PROVIDER_ID_BYTES];
	struct listing l;

	cr_assert_eq(provider->ops->start(provider, id, NULL), 0);
	provider->ops->abandon(provider, id);
	provider->ops->abandon(provider, "local-none");
	until_changes(1);
	l = listing();
	/* what it had written by then, if anything, stands behind */
	cr_expect(strncmp(l.items[0].how, "signal 15 (Terminated)", 22) == 0, "%s", l.items[0].how);
}

Test(local, records_that_are_none_are_removed)
{
	cr_assert_eq(fs_write_file(scratch_path("records/local-broken"), bytes_of("x"), 0600, NULL), 0);
	cr_assert_eq(fs_write_file(scratch_path("records/notes"), bytes_of("x"), 0600, NULL), 0);
	provider->ops->destroy(provider);
	open_provider();
	cr_expect_eq(listing().count, 0);
	cr_expect_neq(access(scratch_path("records/local-broken"), F_OK), 0);
	cr_expect_eq(access(scratch_path("records/notes"), F_OK), 0, "it is not ours");
}
