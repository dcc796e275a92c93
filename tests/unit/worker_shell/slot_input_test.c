/* What a slot hands to its commands: stdin, files, arguments and environment, whatever the values. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "jobs/slice.h"
#include "tests/unit/worker_shell/slot_rig.h"

#define LARGE_BYTES ((size_t)3 << 20) /* more than a pipe holds */

static struct slot_rig rig;
static struct rig_work work, other;
static struct buf text;
static char url[400];

static void setup(void)
{
	rig_open(&rig, &(struct rig_options){.shard_count = 5000});
}

static void teardown(void)
{
	rig_close(&rig);
	rig_work_fini(&work);
	rig_work_fini(&other);
	buf_fini(&text);
}

TestSuite(slot_input, .init = setup, .fini = teardown, .timeout = 60);

static void plan_bytes(struct rig_work *w, const char *path, struct bytes content, uint64_t step,
		       uint8_t align)
{
	snprintf(url, sizeof url, "file://%s", path);
	cr_assert_eq(fs_write_file(path, content, 0644, NULL), 0);
	w->parameters.plan = (struct plan){.kind = PLAN_BYTES,
					   .url = bytes_of(url),
					   .size_bytes = content.size,
					   .step_bytes = step,
					   .align = align};
	cr_assert_eq(plan_bytes_count(content.size, step, &w->parameters.plan.shard_count, NULL), 0);
	w->phase.run.input = FEED_STDIN;
}

static struct bytes large(void)
{
	static uint8_t bytes[LARGE_BYTES];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = i % 61 == 60 ? '\n' : (uint8_t)('a' + i % 26);
	return BYTES(bytes, sizeof bytes);
}

static void expect_output(uint32_t shard, const char *expected)
{
	rig_output(&rig, shard, "out", &text);
	cr_assert_str_eq(buf_text(&text), expected, "shard %u: %s", shard, rig.shards[shard].why);
}

Test(slot_input, a_range_larger_than_a_pipe_is_fed_whole)
{
	struct bytes all = large();

	rig_work_init(&work, (const char *const[]){"cat", NULL});
	plan_bytes(&work, rig_path(&rig, "object"), all, all.size, ALIGN_LINE);
	rig_run(&rig, &work, 0, 1);
	rig_output(&rig, 0, "out", &text);
	cr_assert(bytes_equal(buf_bytes(&text), all), "%zu bytes, %s", text.size, rig.shards[0].why);
}

Test(slot_input, a_command_that_does_not_read_neither_hangs_nor_hides_its_timeout)
{
	struct bytes all = large();

	rig_work_shell(&work, "exit 0");
	plan_bytes(&work, rig_path(&rig, "object"), all, all.size, ALIGN_LINE);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].end, RIG_DONE);
	rig_work_shell(&work, "exec sleep 3600");
	plan_bytes(&work, rig_path(&rig, "object"), all, all.size, ALIGN_LINE);
	work.phase.run.timeout_us = 200000;
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].kind, FAILURE_TIMEOUT);
	work.phase.run.timeout_us = 0;
	rig_arm(&rig, &work, 0, 1);
	rig_stop(&rig, rig_last(&rig));
	rig_await_release(&rig, rig_last(&rig));
}

Test(slot_input, a_command_that_closes_stdin_early_goes_on)
{
	struct bytes all = large();

	rig_work_shell(&work, "head -c 4; exec 0<&-; echo; for i in 1 2 3; do echo $i; done");
	plan_bytes(&work, rig_path(&rig, "object"), all, all.size, ALIGN_LINE);
	rig_run(&rig, &work, 0, 1);
	expect_output(0, "abcd\n1\n2\n3\n");
}

Test(slot_input, a_shard_in_which_no_record_begins_is_done_without_a_command)
{
	rig_work_shell(&work, "cat; echo ran");
	plan_bytes(&work, rig_path(&rig, "object"), BYTES_LIT("one very long line\nx\n"), 5, ALIGN_LINE);
	rig_run(&rig, &work, 0, work.parameters.plan.shard_count);
	cr_assert_eq(rig.failed, 0);
	expect_output(0, "one very long line\nran\n");
	expect_output(1, "");
	expect_output(2, "");
	expect_output(3, "x\nran\n");
}

Test(slot_input, the_only_shard_of_an_empty_object_is_run)
{
	rig_work_shell(&work, "cat; echo ran");
	plan_bytes(&work, rig_path(&rig, "object"), BYTES_LIT(""), 5, ALIGN_LINE);
	rig_run(&rig, &work, 0, 1);
	expect_output(0, "ran\n");
}

Test(slot_input, a_file_of_another_file_system_gets_the_range_too)
{
	char path[] = "/dev/shm/shardmill-object-XXXXXX";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	close(fd);
	rig_work_shell(&work, "cat $SHARDMILL_INPUT_FILE");
	plan_bytes(&work, path, BYTES_LIT("first\nsecond\n"), 6, ALIGN_LINE);
	work.phase.run.input = FEED_FILE;
	rig_run(&rig, &work, 0, 2);
	unlink(path);
	expect_output(0, "first\n");
	expect_output(1, "second\n");
}

Test(slot_input, a_pipe_in_place_of_the_object_is_refused_and_does_not_hang)
{
	const char *path = rig_path(&rig, "object");

	rig_work_shell(&work, "cat");
	plan_bytes(&work, path, BYTES_LIT("x\n"), 6, ALIGN_LINE);
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].kind, FAILURE_INPUT);
	cr_assert_not_null(strstr(rig.shards[0].why, "no regular file"), "%s", rig.shards[0].why);
}

/* Outputs of another lease, then their gather. */
static void make_outputs(uint32_t count, const char *script)
{
	rig_work_shell(&other, script);
	rig_run(&rig, &other, 0, count);
}

static void plan_gather(uint32_t inputs, const struct slice_winner *winners, uint32_t count)
{
	struct range missing[] = {{1, 1}};
	struct slice slice = {.winners = {(struct slice_winner *)(uintptr_t)winners, count},
			      .missing = {missing, 1}};

	buf_clear(&work.slice);
	slice_encode(&slice, &work.slice);
	work.parameters.plan = (struct plan){.kind = PLAN_GATHER, .shard_count = 1, .inputs = inputs};
}

static struct slice_winner winner(uint32_t first, uint32_t count)
{
	return (struct slice_winner){
	    first, count, rig.shared.worker, rig.shards[first].token, rig.shards[first].segment, true};
}

Test(slot_input, a_gather_reads_the_winners_in_order_on_stdin_and_by_its_manifest)
{
	struct slice_winner winners[2];

	make_outputs(4, "head -c 100000 /dev/zero | tr '\\0' $SHARDMILL_SHARD");
	winners[0] = winner(0, 1);
	winners[1] = winner(2, 2);
	rig_work_shell(&work, "tr -s 0-9; echo; echo $SHARDMILL_MISSING; wc -l <$SHARDMILL_MANIFEST");
	plan_gather(4, winners, 2);
	rig_run(&rig, &work, 0, 1);
	expect_output(0, "023\n1\n3\n");
}

Test(slot_input, an_output_that_is_not_there_fails_the_gather_instead_of_missing_from_it)
{
	struct slice_winner w;
	char name[100];

	make_outputs(1, "echo precious");
	w = winner(0, 1);
	snprintf(name, sizeof name, "%s/%08u.idx", rig.output.path, w.segment);
	cr_assert_eq(unlink(name), 0);
	rig_work_shell(&work, "cat");
	plan_gather(1, &w, 1);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].kind, FAILURE_INPUT);
	cr_assert_not_null(strstr(rig.shards[0].why, "output_dir"), "%s", rig.shards[0].why);
	/* One that wrote nothing names no segment, and is missed by nobody. */
	w.segment = 0;
	plan_gather(1, &w, 1);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].end, RIG_DONE, "%s", rig.shards[0].why);
}

/* One shard of a winner that names a segment has an entry there: where there is none, the index was cut. */
Test(slot_input, a_winner_without_an_entry_fails_the_gather_unless_it_is_a_part_of_one)
{
	struct slice_winner w;

	make_outputs(1, "echo precious");
	w = winner(0, 1);
	w.token.lease += 100;
	rig_work_shell(&work, "cat");
	plan_gather(1, &w, 1);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].kind, FAILURE_INPUT);
	cr_assert_not_null(strstr(rig.shards[0].why, "the output of shard 0 is lost"), "%s",
			   rig.shards[0].why);
	w.whole = false;
	plan_gather(1, &w, 1);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].end, RIG_DONE, "%s", rig.shards[0].why);
}

/* As a worker leaves it that was killed, or whose machine lost its power. */
Test(slot_input, the_torn_end_of_an_index_is_not_taken_for_damage)
{
	struct slice_winner w;
	char command[700], name[200];
	int fd;

	make_outputs(1, "echo kept");
	w = winner(0, 1);
	w.worker = (struct uuid){0, 9};
	snprintf(command, sizeof command, "cp -r %s %s/output/%032d", rig.output.path, rig.dir, 9);
	cr_assert_eq(system(command), 0);
	snprintf(name, sizeof name, "output/%032d/%08u.idx", 9, w.segment);
	fd = open(rig_path(&rig, name), O_WRONLY | O_APPEND);
	cr_assert_eq(write(fd, (uint8_t[2 * OUTPUT_ENTRY_BYTES + 5]){0}, 2 * OUTPUT_ENTRY_BYTES + 5),
		     2 * OUTPUT_ENTRY_BYTES + 5);
	close(fd);
	rig_work_shell(&work, "cat");
	plan_gather(1, &w, 1);
	rig_run(&rig, &work, 0, 1);
	expect_output(0, "kept\n");
}

Test(slot_input, items_pass_through_arguments_untouched)
{
	struct bytes items[] = {BYTES_LIT("$(touch /tmp/shardmill-owned)"),
				BYTES_LIT("-rf"),
				BYTES_LIT("two\nlines"),
				BYTES_LIT("\xff\xfe not UTF-8"),
				BYTES_LIT("{{shard.index}}"),
				BYTES_LIT("")};

	rig_work_init(&work, (const char *const[]){"printf", "%s", "<{{shard.item}}>", NULL});
	rig_work_items(&work, items, ARRAY_LENGTH(items));
	rig_run(&rig, &work, 100, ARRAY_LENGTH(items));
	for (uint32_t i = 0; i < ARRAY_LENGTH(items); i++) {
		char expected[100];

		snprintf(expected, sizeof expected, "<%s>", (const char *)items[i].data);
		expect_output(100 + i, expected);
	}
	cr_assert_neq(access("/tmp/shardmill-owned", F_OK), 0);
}

Test(slot_input, an_item_with_a_nul_byte_is_refused_as_argument_and_fine_as_input)
{
	struct bytes items[] = {BYTES_LIT("a\0b"), BYTES_LIT("plain")};

	rig_work_init(&work, (const char *const[]){"echo", "{{shard.item}}", NULL});
	rig_work_items(&work, items, 2);
	rig_run(&rig, &work, 0, 2);
	cr_assert_eq(rig.shards[0].kind, FAILURE_NO_PROGRAM);
	cr_assert_eq(rig.shards[1].end, RIG_DONE);
	rig_work_shell(&work, "wc -c; echo \"${SHARDMILL_VALUE-none}\"");
	rig_work_items(&work, items, 2);
	work.phase.run.input = FEED_STDIN;
	rig_run(&rig, &work, 10, 2);
	expect_output(10, "3\nnone\n");
	expect_output(11, "5\nplain\n");
}

Test(slot_input, the_environment_is_as_documented)
{
	static const char script[] =
	    "echo $SHARDMILL_JOB $SHARDMILL_NAME $SHARDMILL_PHASE $SHARDMILL_SHARD/$SHARDMILL_SHARDS\n"
	    "echo $SHARDMILL_ATTEMPT $SHARDMILL_ATTEMPT_ID $SHARDMILL_VALUE $MINE $SECRET $TWICE\n"
	    "echo ${#SHARDMILL_WORKER} ${SHARDMILL_LEAKED-none}";
	const char *secret = rig_path(&rig, "secret");

	setenv("SHARDMILL_LEAKED", "from the worker", 1);
	setenv("TWICE", "inherited", 1);
	cr_assert_eq(fs_write_file(secret, BYTES_LIT("hush\n"), 0600, NULL), 0);
	rig_work_shell(&work, script);
	work.parameters.plan.start = 100;
	work.parameters.plan.step = -2;
	rig_work_env(&work, "MINE", "{{job.name}}-{{shard.index}}");
	rig_work_env(&work, "TWICE", "own");
	work.phase.run.env_from = (struct pair_list){&(struct pair){bytes_of("SECRET"), bytes_of(secret)}, 1};
	rig_run(&rig, &work, 3, 1);
	expect_output(3, "7 rig shards 3/1000000\n1 3-1-3 94 rig-3 hush own\n32 none\n");
}

Test(slot_input, a_bytes_shard_is_told_its_range)
{
	rig_work_shell(&work, "echo $SHARDMILL_INPUT_FIRST $SHARDMILL_INPUT_END; cat");
	plan_bytes(&work, rig_path(&rig, "object"), BYTES_LIT("one\ntwo\nthree\n"), 5, ALIGN_LINE);
	rig_run(&rig, &work, 0, 3);
	expect_output(0, "0 8\none\ntwo\n");
	expect_output(1, "8 14\nthree\n");
	expect_output(2, "");
}
