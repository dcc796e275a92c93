/* What attempts write is found again by shard and token, in shard order, and nothing else is. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/slice.h"
#include "worker/io/gather.h"
#include "worker/io/output.h"

static char root[] = "/tmp/shardmill-output-XXXXXX";
static struct output_dir dir;
static struct output output;
static int scratch_fd;
static const struct uuid worker = {1, 2};

static void open_with(uint64_t roll_bytes)
{
	struct error e;

	cr_assert_eq(output_dir_open(&dir, root, &worker, roll_bytes, &e), 0, "%s", e.what);
	output_open(&output, &dir);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(root));
	scratch_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	open_with(1 << 20);
}

static void teardown(void)
{
	char command[100];

	output_close(&output);
	output_dir_close(&dir);
	close(scratch_fd);
	snprintf(command, sizeof command, "rm -r %s", root);
	cr_assert_eq(system(command), 0);
}

TestSuite(output, .init = setup, .fini = teardown);

static void begin(struct token token, uint32_t shard, const char *out, const char *err)
{
	cr_assert_eq(output_begin(&output, scratch_fd, token, shard, NULL), 0);
	cr_assert_eq(write(output.out.fd, out, strlen(out)), (ssize_t)strlen(out));
	cr_assert_eq(write(output.err.fd, err, strlen(err)), (ssize_t)strlen(err));
	cr_assert(!output_end(&output, scratch_fd));
}

static int keep(struct token token, uint32_t shard, bool durable, struct output_kept *ret)
{
	int rc = output_keep(&output, token, shard, durable, ret, NULL);

	output_done(&output);
	return rc;
}

/* Returns the segment of a success; what fails is not kept. */
static uint32_t attempt(struct token token, uint32_t shard, const char *text, bool success)
{
	struct output_kept kept = {0};
	char words[100];

	begin(token, shard, text, success ? "" : "first\nno luck\n");
	if (success) {
		cr_assert_eq(keep(token, shard, true, &kept), 0);
		cr_assert_eq(kept.bytes, strlen(text));
	} else {
		output_last_words(&output, words, sizeof words);
		cr_assert_str_eq(words, "first\nno luck");
		output_done(&output);
	}
	return kept.segment;
}

/* The next place is in another segment. */
static void retire(void)
{
	dir.current->retired = true;
	dir.current = NULL;
}

static uint32_t append(struct token token, const struct shard_output *outputs, uint32_t count)
{
	uint32_t segment;

	cr_assert_eq(output_append(&dir, token, outputs, count, true, &segment, NULL), 0);
	return segment;
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
	cr_assert(rc != ERR_CORRUPT || strstr(e.help, "shardmill retry") != NULL, "%s", e.help);
	close(fds[1]);
	got = read(fds[0], ret, size - 1);
	ret[got > 0 ? got : 0] = '\0';
	close(fds[0]);
}

Test(output, gathered_in_shard_order_from_two_segments_and_two_tokens)
{
	struct token a = {1, 1}, b = {1, 2};
	struct slice_winner winners[2] = {{0, 3, worker, a, 0, true}, {3, 3, worker, b, 0, true}};
	struct range missing[] = {{5, 1}};
	struct slice slice = {.winners = {winners, 2}, .missing = {missing, 1}};
	struct gather *g;
	char text[100];

	winners[0].segment = attempt(a, 2, "two ", true);
	attempt(a, 0, "failed ", false);
	attempt(a, 0, "zero ", true); /* shard 1 wrote nothing */
	retire();
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
	struct slice_winner winners[1] = {{0, 5, worker, a, 0, true}};
	struct slice slice = {.winners = {winners, 1}};
	struct gather *g;
	char text[100];

	winners[0].segment = attempt(a, 0, "zero ", true);
	cr_assert_eq(append(a, first, 2), winners[0].segment);
	cr_assert_eq(append(a, first, 0), 0);
	attempt(a, 3, "three ", true);
	append(a, second, 1);
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
	struct slice_winner winners[1] = {{0, 2000000, worker, a, 0, true}};
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

	winners[0].segment = append(a, outputs, ARRAY_LENGTH(outputs));
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
	struct slice_winner winners[1] = {{0, 1, worker, a, 0, true}};
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

Test(output, a_long_or_old_segment_is_closed_for_a_new_one)
{
	uint32_t first = attempt((struct token){1, 1}, 0, "x", true);

	dir.roll_bytes = 4;
	cr_assert_eq(attempt((struct token){1, 1}, 1, "more than four bytes", true), first);
	cr_assert_eq(attempt((struct token){1, 1}, 2, "x", true), ++first);
	dir.roll_age_us = 1;
	cr_assert_gt(attempt((struct token){1, 1}, 3, "x", true), first);
}

/* A pipe in place of the file: it takes what is written, but cannot be synced. */
static void break_disk(int fds[2])
{
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_geq(dup2(fds[1], dir.current->fds[SEGMENT_OUT]), 0);
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
	struct output_kept kept;
	int fds[2], code = 0, err_fd = dup(dir.current->fds[SEGMENT_ERR]);

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	cr_assert_geq(dup2(fds[1], dir.current->fds[SEGMENT_ERR]), 0);
	cr_assert_eq(output_sync(&dir, &segment, 1, &code, NULL), 0);
	cr_assert_geq(dup2(err_fd, dir.current->fds[SEGMENT_ERR]), 0);
	close(err_fd);
	begin(a, 1, "", "said");
	cr_assert_eq(keep(a, 1, true, &kept), 0);
	cr_assert_geq(dup2(fds[1], dir.current->fds[SEGMENT_ERR]), 0);
	cr_assert_lt(output_sync(&dir, &segment, 1, &code, NULL), 0);
	close(fds[0]);
	close(fds[1]);
}

Test(output, a_segment_that_was_closed_is_synced_or_its_failure_is_told)
{
	uint32_t first = attempt((struct token){1, 1}, 0, "x", true), second;
	struct error e = {0};
	int fds[2], code = 0;

	retire();
	cr_assert_eq(output_sync(&dir, &first, 1, &code, &e), 0, "%s", e.what);
	cr_assert_null(dir.segments, "it is closed");
	cr_assert_eq(output_sync(&dir, &first, 1, &code, &e), 0, "%s", e.what);
	second = attempt((struct token){1, 2}, 0, "x", true);
	break_disk(fds);
	retire();
	cr_assert_lt(output_sync(&dir, (uint32_t[]){first, second}, 2, &code, &e), 0);
	close(fds[0]);
	close(fds[1]);
}

Test(output, what_need_not_last_is_not_synced)
{
	struct output_kept kept;
	int fds[2], code = 0;

	begin((struct token){1, 1}, 0, "x", "");
	cr_assert_eq(keep((struct token){1, 1}, 0, false, &kept), 0);
	break_disk(fds);
	cr_assert_eq(output_sync(&dir, &kept.segment, 1, &code, NULL), 0);
	close(fds[0]);
	close(fds[1]);
}

Test(output, files_that_nothing_was_written_to_go_away)
{
	char path[300];

	attempt((struct token){1, 1}, 0, "x", true);
	retire();
	cr_assert_eq(output_sync(&dir, (uint32_t[]){1}, 1, &(int){0}, NULL), 0);
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
	struct output_kept kept;

	attempt(a, 0, "x", true);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	begin(a, 1, "y", "");
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	cr_assert_lt(keep(a, 1, true, &kept), 0);
	setrlimit(RLIMIT_FSIZE, &before);
	cr_assert_eq(lseek(dir.current->fds[SEGMENT_IDX], 0, SEEK_END), OUTPUT_ENTRY_BYTES);
	cr_assert_eq(lseek(dir.current->fds[SEGMENT_OUT], 0, SEEK_END), 1, "the room is free again");
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

/* An index that says so is damaged: no sum of offset and length may wrap around. */
Test(output, entries_that_no_file_can_have_are_damage)
{
	const struct output_entry bad[] = {{{1, 1}, 0, 1, UINT64_MAX, 0, 0, 0},
					   {{1, 1}, 0, UINT64_MAX, 1, 0, 0, 0},
					   {{1, 1}, 0, 0, 0, INT64_MAX, 1, 0},
					   {{1, 1}, 0, 0, 0, UINT64_MAX - 1, 3, 0}};
	struct output_entry got;
	uint8_t raw[OUTPUT_ENTRY_BYTES];

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		output_entry_encode(&bad[i], raw);
		cr_assert_eq(output_entry_decode(raw, &got), ERR_CORRUPT, "case %zu", i);
	}
	cr_assert(output_entry_fits(&(struct output_entry){.out_offset = 2, .out_length = 3}, 5, 0));
	cr_assert(!output_entry_fits(&(struct output_entry){.out_offset = 2, .out_length = 4}, 5, 0));
	cr_assert(!output_entry_fits(&(struct output_entry){.err_offset = 5, .err_length = 1}, 9, 5));
	cr_assert(output_entry_fits(&(struct output_entry){.out_offset = 9, .err_length = 1}, 0, 5),
		  "where nothing was written there may be no file");
}

Test(output, an_entry_behind_the_end_of_its_file_is_refused)
{
	static const char *const damages[] = {"truncate -s 7 $1/$2.out", "rm $1/$2.out"};

	for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
		struct token a = {1, 1};
		struct slice_winner winners[1] = {{0, 1, worker, a, 0, true}};
		struct slice slice = {.winners = {winners, 1}};
		char command[600], text[100], manifest[200];
		struct gather *g;

		winners[0].segment = attempt(a, 0, "precious", true);
		snprintf(command, sizeof command, "set -- %s %08u; %s", dir.path, winners[0].segment,
			 damages[i]);
		cr_assert_eq(system(command), 0);
		g = gather_open(root, &slice, (struct range){0, 1});
		gather_all(g, text, sizeof text, ERR_CORRUPT);
		cr_assert_str_eq(text, "");
		snprintf(manifest, sizeof manifest, "%s/manifest", root);
		cr_assert_eq(gather_write_manifest(g, manifest, NULL), ERR_CORRUPT);
		gather_close(g);
		retire();
	}
}

/* Two slots of a worker share its segment: one sync for both. */
Test(output, slots_write_to_the_same_segment)
{
	struct output other;
	struct output_kept kept;
	uint32_t first = attempt((struct token){1, 1}, 0, "one", true);

	output_open(&other, &dir);
	cr_assert_eq(output_begin(&other, scratch_fd, (struct token){1, 2}, 0, NULL), 0);
	cr_assert_eq(write(other.out.fd, "two", 3), 3);
	cr_assert(!output_end(&other, scratch_fd));
	cr_assert_eq(output_keep(&other, (struct token){1, 2}, 0, true, &kept, NULL), 0);
	output_done(&other);
	output_close(&other);
	cr_assert_eq(kept.segment, first);
}

/* What is long is not written twice: its file becomes a segment, beside the one for all. */
Test(output, a_long_output_becomes_a_segment_itself)
{
	struct token a = {1, 1};
	struct output_kept kept;
	char path[300], text[10] = "";
	struct stat st;
	ino_t inode;
	uint32_t first = attempt(a, 0, "x", true);
	int fd;

	cr_assert_eq(output_begin(&output, scratch_fd, a, 1, NULL), 0);
	cr_assert_eq(pwrite(output.out.fd, "end", 3, OUTPUT_ADOPT_BYTES), 3);
	cr_assert_eq(write(output.err.fd, "said", 4), 4);
	cr_assert(!output_end(&output, scratch_fd));
	cr_assert_eq(fstat(output.out.fd, &st), 0);
	inode = st.st_ino;
	cr_assert_eq(keep(a, 1, true, &kept), 0);
	cr_assert_neq(kept.segment, first);
	cr_assert_eq(kept.bytes, OUTPUT_ADOPT_BYTES + 3 + 4);
	cr_assert_eq(output_sync(&dir, &kept.segment, 1, &(int){0}, NULL), 0);
	snprintf(path, sizeof path, "%s/%08u.out", dir.path, kept.segment);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_ino, inode);
	cr_assert_eq(st.st_mode & 0777, 0644);
	snprintf(path, sizeof path, "%s/%08u.err", dir.path, kept.segment);
	fd = open(path, O_RDONLY);
	cr_assert_eq(read(fd, text, sizeof text - 1), 4);
	cr_assert_str_eq(text, "said");
	close(fd);
	cr_assert_eq(attempt(a, 2, "y", true), first, "the others go on where they were");
}

/* Whoever clears the directory while the worker runs takes no success from anybody in silence. */
Test(output, a_segment_that_is_gone_or_replaced_keeps_nothing)
{
	/* $1: the worker's directory, $2: the segment */
	static const char *const damages[] = {"rm $1/$2.out", "rm $1/$2.idx",
					      "cp $1/$2.out $1/x && mv $1/x $1/$2.out", "mv $1 $1.away",
					      "rm -r $1"};
	struct token a = {1, 1};

	for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
		uint32_t bad = attempt(a, 0, "precious", true), good;
		struct output_kept kept;
		struct error e = {0};
		char command[600];
		int code = 0;

		snprintf(command, sizeof command, "set -- %s %08u; %s", dir.path, bad, damages[i]);
		cr_assert_eq(system(command), 0);
		begin(a, 1, "more", "");
		cr_assert_lt(output_keep(&output, a, 1, true, &kept, &e), 0, "%s", command);
		cr_assert_str_eq(e.where, dir.path);
		output_done(&output);
		cr_assert_lt(output_sync(&dir, &bad, 1, &code, NULL), 0, "what was there is lost, too");
		good = attempt(a, 1, "again", true);
		cr_assert_neq(good, bad);
		cr_assert_eq(output_sync(&dir, &good, 1, &code, &e), 0, "%s", e.what);
	}
}

/* Where the worker's segment is on another file system than its scratch directory, the bytes are copied. */
Test(output, a_long_output_on_another_file_system_is_copied)
{
	struct token a = {1, 1};
	struct output_kept kept;
	int shm = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat here, there;

	cr_assert(shm >= 0 && fstat(shm, &there) == 0);
	cr_assert_eq(fstat(scratch_fd, &here), 0);
	cr_assert_neq(here.st_dev, there.st_dev);
	cr_assert_eq(output_begin(&output, shm, a, 1, NULL), 0);
	cr_assert_eq(pwrite(output.out.fd, "end", 3, OUTPUT_ADOPT_BYTES), 3);
	cr_assert(!output_end(&output, shm));
	cr_assert_eq(keep(a, 1, true, &kept), 0);
	cr_assert_eq(kept.bytes, OUTPUT_ADOPT_BYTES + 3);
	close(shm);
}
