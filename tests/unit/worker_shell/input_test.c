/* What shards read: together the whole file, each record once; a file that changed is refused. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "jobs/file_tag.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "worker/io/input.h"

static char dir[] = "/tmp/shardmill-input-XXXXXX";
static char url[200];
static struct arena arena;
static struct phase_run run;
static struct job_parameters parameters;
static struct worker_arm arm;
static struct slice slice;

static void write_object(const char *text)
{
	snprintf(url, sizeof url, "file://%s/object", dir);
	cr_assert_eq(fs_write_file(url + strlen("file://"), bytes_of(text), 0644, NULL), 0);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	arena_init(&arena, 0);
	run.run.input = FEED_STDIN;
	arm = (struct worker_arm){.run = &run, .parameters = &parameters};
	slice = (struct slice){0};
}

static void teardown(void)
{
	char command[100];

	arena_fini(&arena);
	snprintf(command, sizeof command, "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(input, .init = setup, .fini = teardown);

static void plan_bytes(const char *text, uint64_t step, uint8_t align)
{
	write_object(text);
	parameters.plan = (struct plan){.kind = PLAN_BYTES,
					.url = bytes_of(url),
					.size_bytes = strlen(text),
					.step_bytes = step,
					.align = align};
	cr_assert_eq(plan_bytes_count(strlen(text), step, &parameters.plan.shard_count, NULL), 0);
}

static int open_shard(uint32_t shard, struct input *in, struct error *e)
{
	struct input_request rq = {.arm = &arm,
				   .slice = &slice,
				   .shard = shard,
				   .scratch = dir,
				   .output_root = dir,
				   .arena = &arena};

	return input_open(&rq, in, e);
}

/* What the child would read on stdin; all of it fits into the pipe. */
static size_t drain(struct input *in, char *ret, size_t size)
{
	int fd = in->stdin_fd < 0 ? -1 : dup(in->stdin_fd);
	ssize_t got;

	if (fd < 0)
		return 0;
	input_started(in);
	while (in->feed_fd >= 0)
		cr_assert_geq(input_feed(in, NULL), 0);
	got = read(fd, ret, size);
	close(fd);
	return got > 0 ? (size_t)got : 0;
}

static void expect_whole(const char *text)
{
	char all[4096];
	size_t used = 0;

	for (uint32_t n = 0; n < parameters.plan.shard_count; n++) {
		struct error e = {0};
		struct input in;

		cr_assert_eq(open_shard(n, &in, &e), 0, "%s", e.what);
		used += drain(&in, all + used, sizeof all - used);
		input_close(&in);
	}
	cr_assert_eq(used, strlen(text));
	cr_assert_eq(memcmp(all, text, used), 0);
}

Test(input, lines_and_records_come_whole_once_and_in_order_for_any_step)
{
	static const char lines[] = "one\ntwo\n\nfour is a longer line\nfive\nno newline at the end";
	static const char reads[] =
	    "@a\nACGT\n+\n@@@@\n@b\nAC\n+b\n+@\n@c\r\nACGTACGT\r\n+\r\nIIIIIIII\r\n@d\nA\n+\nI";

	for (uint64_t step = 1; step < 70; step++) {
		plan_bytes(lines, step, ALIGN_LINE);
		expect_whole(lines);
		plan_bytes(reads, step, ALIGN_FASTQ);
		expect_whole(reads);
		plan_bytes(reads, step, ALIGN_NONE);
		expect_whole(reads);
	}
}

Test(input, a_file_gets_what_stdin_would_get)
{
	struct input in;
	struct buf got = {0};
	char path[200];

	run.run.input = FEED_FILE;
	plan_bytes("first\nsecond\nthird\n", 7, ALIGN_LINE);
	cr_assert_eq(open_shard(1, &in, NULL), 0);
	cr_assert_eq(fs_read_file((const char *)in.file.data, 100, &got, NULL), 0);
	cr_assert_str_eq(buf_text(&got), "third\n");
	snprintf(path, sizeof path, "%s", (const char *)in.file.data);
	input_close(&in);
	cr_assert_eq(access(path, F_OK), -1);
	buf_fini(&got);
}

Test(input, an_object_that_changed_or_went_away_is_refused_in_words)
{
	char tag[FILE_TAG_BYTES_MAX];
	struct stat st;
	struct error e;
	struct input in;

	plan_bytes("a\nb\n", 2, ALIGN_LINE);
	cr_assert_eq(stat(url + strlen("file://"), &st), 0);
	file_tag((uint64_t)st.st_ino, (uint64_t)st.st_size,
		 st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec, tag);
	parameters.plan.etag = bytes_of(tag);
	cr_assert_eq(open_shard(0, &in, &e), 0);
	input_close(&in);
	write_object("a\nc\n");
	cr_assert_eq(open_shard(0, &in, &e), ERR_INVALID);
	cr_assert_not_null(strstr(e.what, "changed"));
	cr_assert_str_eq(e.where, url);
	unlink(url + strlen("file://"));
	cr_assert_eq(open_shard(0, &in, &e), ERR_NOT_FOUND);
	parameters.plan.url = BYTES_LIT("gopher://x/y");
	cr_assert_eq(open_shard(0, &in, &e), ERR_INVALID);
}

Test(input, items_come_from_the_slice_or_from_the_plan)
{
	static struct text_item some[2] = {{BYTES_LIT("x\0y")}, {BYTES_LIT("")}};
	struct input in;
	char text[10];

	parameters.plan = (struct plan){.kind = PLAN_ITEMS, .shard_count = 9};
	arm.range = (struct range){5, 1}; /* a part of the lease 4+2 */
	arm.slice_first = 4;
	slice.items = (struct text_item_list){some, 2};
	cr_assert_eq(open_shard(4, &in, NULL), 0);
	cr_assert_eq(drain(&in, text, sizeof text), 3);
	cr_assert_eq(memcmp(text, "x\0y", 3), 0);
	input_close(&in);
	cr_assert_eq(open_shard(5, &in, NULL), 0);
	cr_assert_eq(drain(&in, text, sizeof text), 0);
	input_close(&in);
	cr_assert_eq(open_shard(7, &in, NULL), ERR_CORRUPT);
}
