/* A worker notes what runs in its segments, for people who look on, and nothing stale names what comes later.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/scratch.h"
#include "worker/output.h"

static struct output_dir dir;
static struct output output;
static const struct uuid worker = {1, 2};
static const struct output_rules rules = {.durable = true};
static const struct token token = {1, 7};

static void setup(void)
{
	scratch_make();
	cr_assert_eq(output_dir_open(&dir, scratch_path(""), &worker, 100, NULL), 0);
	cr_assert_eq(output_open(&output, &dir, NULL), 0);
}

static void teardown(void)
{
	output_close(&output);
	output_dir_close(&dir);
	scratch_remove();
}

TestSuite(notes, .init = setup, .fini = teardown);

/* What stands at a place of the file: 0 and the note, or the error. */
static int note_at(uint32_t place, struct output_note *ret)
{
	uint8_t raw[OUTPUT_NOTE_BYTES];
	int fd = openat(dir.fd, OUTPUT_NOTES_NAME, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	cr_assert_geq(fd, 0);
	got = pread(fd, raw, sizeof(raw), (off_t)place * OUTPUT_NOTE_BYTES);
	close(fd);
	cr_assert_eq(got, (ssize_t)sizeof(raw));
	return output_note_decode(raw, ret);
}

static void begin(uint32_t shard, const char *out, const char *err)
{
	cr_assert_eq(output_begin(&output, NULL), 0);
	output_note_attempt(&output, token, shard);
	cr_assert_eq(write(output.current->out_fd, out, strlen(out)), (ssize_t)strlen(out));
	cr_assert_eq(write(output.current->err_fd, err, strlen(err)), (ssize_t)strlen(err));
}

static void commit(uint32_t shard)
{
	uint64_t bytes;

	cr_assert_eq(output_commit(&output, token, shard, &rules, &bytes, NULL), 0);
}

Test(notes, say_where_each_attempt_begins)
{
	struct output_note n;

	cr_assert_eq(note_at(0, &n), ERR_NOT_FOUND, "nothing runs yet");
	begin(3, "abc", "e");
	cr_assert_eq(note_at(0, &n), 0);
	cr_assert_eq(n.token.epoch, token.epoch);
	cr_assert_eq(n.token.lease, token.lease);
	cr_assert_eq(n.shard, 3);
	cr_assert_eq(n.segment, output.current->number);
	cr_assert_eq(n.out_offset, 0);
	commit(3);
	cr_assert_eq(note_at(0, &n), 0, "its end costs nothing");
	begin(4, "", "");
	cr_assert_eq(note_at(0, &n), 0);
	cr_assert_eq(n.shard, 4);
	cr_assert_eq(n.out_offset, 3);
	cr_assert_eq(n.err_offset, 1);
}

Test(notes, of_a_new_segment_name_it)
{
	struct output_note n;
	char text[101];

	memset(text, 'x', sizeof(text));
	text[100] = '\0';
	begin(1, text, "");
	commit(1);
	begin(2, "y", "");
	cr_assert_eq(note_at(0, &n), 0);
	cr_assert_eq(n.shard, 2);
	cr_assert_eq(n.segment, 2);
	cr_assert_eq(n.out_offset, 0);
}

Test(notes, are_none_when_a_runners_answers_follow)
{
	const struct shard_output answer = {9, BYTES_LIT("nine")};
	struct output_note n;

	begin(3, "", "");
	cr_assert_eq(output_begin(&output, NULL), 0);
	cr_assert_eq(output_append(&output, token, &answer, 1, &rules, NULL), 0);
	cr_assert_eq(note_at(0, &n), ERR_NOT_FOUND, "they are not shard 3's");
}

Test(notes, have_a_place_for_each_slot_that_is_used_again)
{
	struct output others[20];
	struct output_note n;

	begin(1, "", "");
	for (uint32_t i = 0; i < ARRAY_LENGTH(others); i++) {
		cr_assert_eq(output_open(&others[i], &dir, NULL), 0);
		cr_assert_eq(output_begin(&others[i], NULL), 0);
		output_note_attempt(&others[i], token, 100 + i);
	}
	for (uint32_t i = 0; i < ARRAY_LENGTH(others); i++) {
		cr_assert_eq(note_at(i + 1, &n), 0);
		cr_assert_eq(n.shard, 100 + i);
	}
	output_close(&others[4]);
	cr_assert_eq(note_at(5, &n), ERR_NOT_FOUND, "a slot that is no more runs nothing");
	cr_assert_eq(output_open(&others[4], &dir, NULL), 0);
	output_note_attempt(&others[4], token, 7);
	cr_assert_eq(note_at(5, &n), 0);
	cr_assert_eq(n.shard, 7);
	for (uint32_t i = 0; i < ARRAY_LENGTH(others); i++)
		output_close(&others[i]);
}

Test(notes, leave_nothing_behind)
{
	char path[300];

	begin(1, "", "");
	snprintf(path, sizeof(path), "%s", dir.path);
	output_close(&output);
	output_dir_close(&dir);
	cr_assert_eq(access(path, F_OK), -1, "a worker that wrote nothing has no directory");
}

/* The old note would name what the next attempt writes. */
Test(notes, that_cannot_be_written_are_taken_away)
{
	struct rlimit none = {OUTPUT_NOTE_BYTES / 2, RLIM_INFINITY}, before;

	begin(1, "", "");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	cr_assert_eq(output_begin(&output, NULL), 0);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	output_note_attempt(&output, token, 2);
	setrlimit(RLIMIT_FSIZE, &before);
	cr_assert_eq(faccessat(dir.fd, OUTPUT_NOTES_NAME, F_OK, 0), -1);
	begin(3, "x", "");
	commit(3);
}
