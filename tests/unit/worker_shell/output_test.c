/* What attempts write is found again by shard and token, in shard order, and nothing else is. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "jobs/slice.h"
#include "worker/gather.h"
#include "worker/output.h"

static char root[] = "/tmp/shardmill-output-XXXXXX";
static struct output_dir dir;
static struct output output;
static const struct uuid worker = {1, 2};
static const struct output_rules rules = {.durable = true};

static void open_with(uint64_t roll_bytes)
{
	struct error e;

	cr_assert_eq(output_dir_open(&dir, root, &worker, roll_bytes, &e), 0, "%s", e.what);
	cr_assert_eq(output_open(&output, &dir, &e), 0, "%s", e.what);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(root));
	open_with(1 << 20);
}

static void teardown(void)
{
	char command[100];

	output_close(&output);
	output_dir_close(&dir);
	snprintf(command, sizeof command, "rm -r %s", root);
	cr_assert_eq(system(command), 0);
}

TestSuite(output, .init = setup, .fini = teardown);

static uint32_t attempt(struct token token, uint32_t shard, const char *text, bool success)
{
	char words[100];
	uint64_t bytes;

	cr_assert_eq(output_begin(&output, NULL), 0);
	cr_assert_eq(write(output.current->out_fd, text, strlen(text)), (ssize_t)strlen(text));
	if (success) {
		cr_assert_eq(output_commit(&output, token, shard, &rules, &bytes, NULL), 0);
		cr_assert_eq(bytes, strlen(text));
	} else {
		cr_assert_eq(write(output.current->err_fd, "first\nno luck\n", 14), 14);
		output_last_words(&output, words, sizeof words);
		cr_assert_str_eq(words, "no luck");
	}
	return output.current->number;
}

/* Runs a feed to its end through a pipe. */
static void gather_all(struct gather *g, char *ret, size_t size, int expected)
{
	struct error e = {0};
	int fds[2], rc;
	ssize_t got;

	cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
	rc = gather_feed(g, fds[1], &e);
	cr_assert_eq(rc, expected, "%s", e.what);
	close(fds[1]);
	got = read(fds[0], ret, size - 1);
	ret[got > 0 ? got : 0] = '\0';
	close(fds[0]);
}

Test(output, gathered_in_shard_order_from_two_segments_and_two_tokens)
{
	struct token a = {1, 1}, b = {1, 2};
	struct slice_winner winners[2] = {{0, 3, worker, a, 0}, {3, 3, worker, b, 0}};
	struct range missing[] = {{5, 1}};
	struct slice slice = {.winners = {winners, 2}, .missing = {missing, 1}};
	struct gather *g;
	char text[100];

	winners[0].segment = attempt(a, 2, "two ", true);
	attempt(a, 0, "failed ", false);
	attempt(a, 0, "zero ", true); /* shard 1 wrote nothing */
	output_close(&output);
	cr_assert_eq(output_open(&output, &dir, NULL), 0);
	winners[1].segment = attempt(b, 3, "three ", true);
	attempt(a, 4, "another token's four ", true);
	attempt(b, 4, "four ", true);
	cr_assert_eq(output_sync(&dir, &winners[1].segment, 1, &(int){0}, NULL), 0);
	cr_assert_neq(winners[0].segment, winners[1].segment);
	g = gather_open(root, &slice, (struct range){0, 6});
	gather_all(g, text, sizeof text, 0);
	cr_assert_str_eq(text, "zero two three four ");
	cr_assert_eq(gather_missing(g), 1);
	gather_close(g);
	g = gather_open(root, &slice, (struct range){2, 2}); /* a node of a tree */
	gather_all(g, text, sizeof text, 0);
	cr_assert_str_eq(text, "two three ");
	gather_close(g);
}

Test(output, a_runners_answers_stand_between_attempts)
{
	struct token a = {1, 1};
	const struct shard_output first[] = {{2, BYTES_LIT("two ")}, {1, BYTES_LIT("one ")}},
				  second[] = {{4, BYTES_LIT("four ")}};
	struct slice_winner winners[1] = {{0, 5, worker, a, 0}};
	struct slice slice = {.winners = {winners, 1}};
	struct gather *g;
	char text[100];

	winners[0].segment = attempt(a, 0, "zero ", true);
	cr_assert_eq(output_begin(&output, NULL), 0);
	cr_assert_eq(output_append(&output, a, first, 2, &rules, NULL), 0);
	cr_assert_eq(output_append(&output, a, first, 0, &rules, NULL), 0);
	attempt(a, 3, "three ", true);
	cr_assert_eq(output_append(&output, a, second, 1, &rules, NULL), 0);
	cr_assert_eq(output_sync(&dir, &winners[0].segment, 1, &(int){0}, NULL), 0);
	g = gather_open(root, &slice, (struct range){0, 5});
	gather_all(g, text, sizeof text, 0);
	cr_assert_str_eq(text, "zero one two three four ");
	gather_close(g);
}

Test(output, few_of_many_shards_are_found_wherever_they_are)
{
	struct token a = {1, 1};
	const struct shard_output outputs[] = {{40000, BYTES_LIT("40000 ")},
					       {40001, BYTES_LIT("40001 ")},
					       {0, BYTES_LIT("0 ")},
					       {1000063, BYTES_LIT("1000063 ")},
					       {1000064, BYTES_LIT("1000064 ")},
					       {1999999, BYTES_LIT("1999999 ")}};
	struct slice_winner winners[1] = {{0, 2000000, worker, a, 0}};
	struct slice slice = {.winners = {winners, 1}};
	static const struct {
		struct range inputs;
		const char *text;
	} cases[] = {
	    {{0, 2000000}, "0 40000 40001 1000063 1000064 1999999 "},
	    {{1, 1999998}, "40000 40001 1000063 1000064 "},
	    {{1000064, 1}, "1000064 "},
	    {{50000, 10000}, ""},
	};

	cr_assert_eq(output_begin(&output, NULL), 0);
	cr_assert_eq(output_append(&output, a, outputs, ARRAY_LENGTH(outputs), &rules, NULL), 0);
	winners[0].segment = output.current->number;
	cr_assert_eq(output_sync(&dir, &winners[0].segment, 1, &(int){0}, NULL), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct gather *g = gather_open(root, &slice, cases[i].inputs);
		char text[100];

		gather_all(g, text, sizeof text, 0);
		cr_assert_str_eq(text, cases[i].text, "case %zu", i);
		gather_close(g);
	}
}

Test(output, a_flipped_bit_in_an_output_is_told)
{
	struct token a = {1, 1};
	struct slice_winner winners[1] = {{0, 1, worker, a, 0}};
	struct slice slice = {.winners = {winners, 1}};
	struct gather *g;
	char text[100], path[200];
	int fd;

	winners[0].segment = attempt(a, 0, "precious", true);
	snprintf(path, sizeof path, "%s/%08u.out", dir.path, winners[0].segment);
	fd = open(path, O_WRONLY);
	cr_assert_eq(pwrite(fd, "P", 1, 0), 1);
	close(fd);
	g = gather_open(root, &slice, (struct range){0, 1});
	gather_all(g, text, sizeof text, ERR_CORRUPT);
	gather_close(g);
}

Test(output, a_long_segment_is_closed_for_a_new_one)
{
	uint32_t first;

	output_close(&output);
	output_dir_close(&dir);
	open_with(4);
	first = attempt((struct token){1, 1}, 0, "more than four bytes", true);
	cr_assert_gt(attempt((struct token){1, 1}, 1, "x", true), first);
}

/* A pipe in place of the file: it takes what is written, but cannot be synced. */
static void break_disk(int fds[2])
{
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_geq(dup2(fds[1], output.current->out_fd), 0);
}

Test(output, a_failed_sync_is_told_to_all_that_the_segment_holds_and_the_next_attempt_gets_a_new_one)
{
	struct token a = {1, 1};
	uint32_t bad = attempt(a, 0, "x", true), good;
	struct error e = {0};
	int fds[2], code = 0;

	break_disk(fds);
	cr_assert_lt(output_sync(&dir, &bad, 1, &code, &e), 0);
	cr_assert_eq(code, EIO);
	cr_assert_not_null(strstr(e.what, "sync"));
	/* What the system dropped it does not tell twice: a later sync would find nothing wrong. */
	cr_assert_lt(output_sync(&dir, &bad, 1, &code, &e), 0);
	good = attempt(a, 1, "y", true);
	cr_assert_neq(good, bad);
	cr_assert_eq(output_sync(&dir, &good, 1, &code, &e), 0, "%s", e.what);
	cr_assert_lt(output_sync(&dir, (uint32_t[]){good, bad}, 2, &code, &e), 0);
	close(fds[0]);
	close(fds[1]);
}

/* A flush of the disk is the dearest thing that a worker asks for: none for what has not changed. */
Test(output, standard_error_is_synced_when_a_success_wrote_to_it)
{
	struct token a = {1, 1};
	uint32_t segment = attempt(a, 0, "x", true);
	int fds[2], code = 0;
	uint64_t bytes;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_eq(write(output.current->err_fd, "said", 4), 4);
	cr_assert_eq(output_sync(&dir, &segment, 1, &code, NULL), 0);
	cr_assert_eq(output_commit(&output, a, 1, &rules, &bytes, NULL), 0);
	cr_assert_geq(dup2(fds[1], output.current->err_fd), 0);
	cr_assert_lt(output_sync(&dir, &segment, 1, &code, NULL), 0);
	close(fds[0]);
	close(fds[1]);
}

Test(output, a_segment_that_was_closed_is_synced_or_its_failure_is_told)
{
	uint32_t first = attempt((struct token){1, 1}, 0, "x", true), second;
	struct error e = {0};
	int fds[2], code = 0;

	output_close(&output);
	cr_assert_eq(output_sync(&dir, &first, 1, &code, &e), 0, "%s", e.what);
	cr_assert_eq(output_open(&output, &dir, NULL), 0);
	second = attempt((struct token){1, 2}, 0, "x", true);
	break_disk(fds);
	output_close(&output);
	cr_assert_lt(output_sync(&dir, (uint32_t[]){first, second}, 2, &code, &e), 0);
	close(fds[0]);
	close(fds[1]);
}

Test(output, what_need_not_last_is_not_synced)
{
	const struct output_rules careless = {.durable = false};
	int fds[2], code = 0;
	uint64_t bytes;

	cr_assert_eq(output_begin(&output, NULL), 0);
	cr_assert_eq(write(output.current->out_fd, "x", 1), 1);
	cr_assert_eq(output_commit(&output, (struct token){1, 1}, 0, &careless, &bytes, NULL), 0);
	break_disk(fds);
	cr_assert_eq(output_sync(&dir, &output.current->number, 1, &code, NULL), 0);
	close(fds[0]);
	close(fds[1]);
}

Test(output, files_that_nothing_was_written_to_go_away)
{
	char path[300];

	attempt((struct token){1, 1}, 0, "x", true);
	output_close(&output);
	snprintf(path, sizeof path, "%s/00000001.out", dir.path);
	cr_assert_eq(access(path, F_OK), 0);
	snprintf(path, sizeof path, "%s/00000001.err", dir.path);
	cr_assert_eq(access(path, F_OK), -1);
}

/* The index of a segment cannot grow: the success is none, and the next segment is whole. */
Test(output, an_index_that_cannot_be_written_fails_the_shard)
{
	struct rlimit none = {OUTPUT_ENTRY_BYTES + 20, RLIM_INFINITY}, before;
	struct token a = {1, 1};
	uint64_t bytes;

	attempt(a, 0, "x", true);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	cr_assert_eq(output_begin(&output, NULL), 0);
	cr_assert_eq(write(output.current->out_fd, "y", 1), 1);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	cr_assert_lt(output_commit(&output, a, 1, &rules, &bytes, NULL), 0);
	setrlimit(RLIMIT_FSIZE, &before);
	cr_assert_eq(lseek(output.current->idx_fd, 0, SEEK_END), OUTPUT_ENTRY_BYTES);
}

Test(output, entries_survive_their_encoding_and_no_flipped_bit)
{
	struct output_entry e = {{7, 1ull << 40}, 12, 1, 2, 3, 4, 5}, got;
	uint8_t raw[OUTPUT_ENTRY_BYTES];

	output_entry_encode(&e, raw);
	cr_assert_eq(output_entry_decode(raw, &got), 0);
	cr_assert_eq(got.token.lease, e.token.lease);
	cr_assert_eq(got.err_length, 4);
	for (int bit = 0; bit < OUTPUT_ENTRY_BYTES * 8; bit++) {
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(output_entry_decode(raw, &got), ERR_CORRUPT);
		raw[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
