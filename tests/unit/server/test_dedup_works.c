/* Buckets of keys become files, files become fewer, and leave with the window. The core is a fake one: its
 * buckets are numbers, its time is what the test says. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/constants.h"
#include "base/params.h"
#include "dispatcher/dedup/dedup_private.h"
#include "dispatcher/part.h"

#define KEYS 300u /* in a bucket: three blocks */
#define WIDTH_US (60 * USEC_PER_SEC)
#define FIRST_US (1750000000 * USEC_PER_SEC)
#define PATIENCE_US (30 * USEC_PER_SEC)

extern const struct part part_dedup;

static char dir[] = "/tmp/shardmill-works-XXXXXX";
static struct params params;
static struct services s;
static usec_t forget_before_us, sealing_us;
static uint32_t keys_before; /* of the buckets before this one */

/* ---- the core ---- */

struct port_view port_view(const struct port *p)
{
	(void)p;
	return (struct port_view){0};
}

void port_submit(struct port *p, enum input_type type, void *body, const struct ticket *ticket)
{
	const struct input_dedup_kept *kept = body;

	(void)p;
	(void)ticket;
	cr_assert_eq(type, INPUT_DEDUP_KEPT);
	cr_assert_eq(kept->bucket_wall_us, sealing_us);
	sealing_us = 0;
}

void dispatcher_view_counters(const struct dispatcher_core *core, struct view_counters *ret)
{
	(void)core;
	*ret = (struct view_counters){.dedup_forget_before_us = forget_before_us};
}

bool dispatcher_view_has_key(const struct dispatcher_core *core, uint64_t hi, uint64_t lo)
{
	(void)core;
	(void)hi;
	(void)lo;
	return false;
}

uint32_t dispatcher_view_sealing(const struct dispatcher_core *core, usec_t up_to_wall_us,
				 struct view_sealing *at, uint32_t max, struct dedup_entry *ret)
{
	uint32_t count = 0;

	(void)core;
	at->bucket_wall_us = up_to_wall_us;
	for (; at->next < KEYS && count < max; at->next++) {
		uint64_t n = ++keys_before;

		ret[count++] = (struct dedup_entry){n * 0x9e3779b97f4a7c15, n, n, 1};
	}
	return count;
}

/* ---- the world ---- */

static void start(void)
{
	struct readers_config c = {.threads = 2, .lane_max = 2};

	cr_assert_not_null(mkdtemp(dir));
	params_init(&params, PARAM_SCOPE_DISPATCHER);
	s.params = &params;
	s.state.path = dir;
	cr_assert_eq(loop_create(&s.loop, NULL), 0);
	cr_assert_eq(readers_open(&s.readers, s.loop, &c, NULL), 0);
	cr_assert_eq(part_dedup.open(&s, NULL), 0);
}

static void stop(void)
{
	char command[64];

	s.stopping = true;
	readers_close(s.readers);
	part_dedup.close(&s);
	loop_destroy(s.loop);
	params_fini(&params);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(works, .init = start, .fini = stop);

/* Nothing is under way, and nothing is due. */
static bool is_idle(void)
{
	return sealing_us == 0 && s.dedup->working == WORK_NONE && s.dedup->from[0] == NULL;
}

static void settle(void)
{
	usec_t deadline_us = clock_mono_us() + PATIENCE_US;

	while (!is_idle()) {
		cr_assert_lt(clock_mono_us(), deadline_us, "%u files", s.dedup->count);
		loop_turn(s.loop, true);
	}
}

static usec_t bucket(uint32_t n)
{
	return FIRST_US + n * WIDTH_US;
}

static void seal(uint32_t n)
{
	sealing_us = bucket(n);
	dedup_seal_up_to(&s, sealing_us);
	settle();
}

static uint64_t keys_in_files(void)
{
	struct dedup_figures f;

	dedup_figures(&s, &f);
	return f.keys;
}

static uint32_t files_on_disk(void)
{
	char command[64];
	uint32_t count = 0;
	FILE *f;

	snprintf(command, sizeof(command), "ls %s/dedup/*.keys | wc -l", dir);
	f = popen(command, "r");
	cr_assert_eq(fscanf(f, "%u", &count), 1);
	pclose(f);
	return count;
}

static void damage(uint32_t at)
{
	char *path = key_file_path(s.dedup->dir, s.dedup->files[at]->number);
	int fd = open(path, O_RDWR);
	uint8_t byte;

	cr_assert_eq(pread(fd, &byte, 1, 2 * KEY_BLOCK_BYTES + 100), 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, 2 * KEY_BLOCK_BYTES + 100), 1);
	close(fd);
	free(path);
}

/* ---- the tests ---- */

Test(works, neighbours_become_one_and_no_key_is_lost)
{
	for (uint32_t n = 0; n < 20; n++)
		seal(n);
	cr_assert_eq(s.dedup->count, DEDUP_FILES_MAX);
	cr_assert_eq(files_on_disk(), DEDUP_FILES_MAX);
	cr_assert_eq(keys_in_files(), 20 * KEYS);
	for (uint32_t i = 1; i < s.dedup->count; i++)
		cr_assert_lt(s.dedup->files[i - 1]->last_us, s.dedup->files[i]->first_us);
}

Test(works, files_leave_with_the_window)
{
	for (uint32_t n = 0; n < 6; n++)
		seal(n);
	cr_assert_eq(s.dedup->count, 6);
	forget_before_us = bucket(2);
	works_go_on(s.dedup);
	settle();
	cr_assert_eq(s.dedup->count, 4, "the two whose last bucket began before");
	cr_assert_eq(s.dedup->files[0]->first_us, bucket(2));
	cr_assert_eq(files_on_disk(), 4);
	cr_assert_eq(keys_in_files(), 4 * KEYS);
	/* A window of ten buckets that goes on: files come, become one, and go. */
	for (uint32_t n = 6; n < 60; n++) {
		forget_before_us = n > 10 ? bucket(n - 10) : forget_before_us;
		seal(n);
		cr_assert_leq(s.dedup->count, DEDUP_FILES_MAX);
		cr_assert_geq(s.dedup->files[0]->last_us, forget_before_us);
		cr_assert_eq(files_on_disk(), s.dedup->count);
	}
	cr_assert_leq(keys_in_files(), 20 * KEYS);
	forget_before_us = bucket(60);
	works_go_on(s.dedup);
	settle();
	cr_assert_eq(s.dedup->count, 0);
}

Test(works, a_damaged_file_is_tried_once_and_others_are_merged)
{
	struct key_file *bad;
	uint32_t number;

	for (uint32_t n = 0; n < 6; n++)
		seal(n);
	damage(0); /* of neighbours that are alike, the first are taken */
	bad = s.dedup->files[0];
	seal(6);
	cr_assert_eq(s.dedup->files[0], bad);
	cr_assert(atomic_load(&bad->is_unreadable));
	number = s.dedup->last_number;
	for (uint32_t n = 7; n < 30; n++) {
		seal(n);
		cr_assert_leq(s.dedup->count, DEDUP_FILES_MAX + 1);
		cr_assert_eq(s.dedup->files[0], bad);
	}
	cr_assert_leq(s.dedup->last_number - number, 2 * 23, "a file that is sealed, one that is merged");
	cr_assert_eq(keys_in_files(), 30 * KEYS);
	cr_assert_eq(files_on_disk(), s.dedup->count);
	/* It leaves as others do. */
	forget_before_us = bucket(1);
	works_go_on(s.dedup);
	settle();
	cr_assert_neq(s.dedup->files[0], bad);
	cr_assert_eq(s.dedup->count, DEDUP_FILES_MAX);
}

Test(works, with_each_second_file_damaged_new_ones_are_merged_all_the_same)
{
	for (uint32_t n = 0; n < 6; n++)
		seal(n);
	for (uint32_t i = 0; i < 6; i += 2)
		damage(i);
	for (uint32_t n = 6; n < 40; n++)
		seal(n);
	cr_assert_eq(s.dedup->count, DEDUP_FILES_MAX + 3);
	cr_assert_eq(keys_in_files(), 40 * KEYS);
}

Test(works, a_merge_that_fails_is_put_off_longer_each_time)
{
	struct key_file *const *files = s.dedup->files;
	char blocker[96];

	for (uint32_t n = 0; n < 6; n++)
		seal(n);
	/* The merged file's name is taken by a directory: it cannot be made. */
	snprintf(blocker, sizeof(blocker), "mkdir %s/dedup/%08x.keys", dir, s.dedup->last_number + 2);
	cr_assert_eq(system(blocker), 0);
	seal(6);
	cr_assert_eq(s.dedup->merges_failed, 1);
	cr_assert_gt(s.dedup->merge_after_us, clock_mono_us());
	files = s.dedup->files;
	for (uint32_t i = 0; i < s.dedup->count; i++)
		cr_assert_not(atomic_load(&files[i]->is_unreadable));
	seal(7);
	cr_assert_eq(s.dedup->count, 8, "it waits");
	s.dedup->merge_after_us = 0; /* the time has passed */
	works_go_on(s.dedup);
	settle();
	cr_assert_eq(s.dedup->merges_failed, 0);
	cr_assert_eq(s.dedup->count, DEDUP_FILES_MAX);
}
