/* Who looks on sees an attempt's own bytes or none. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "dispatcher/api/live.h"
#include "dispatcher/api/seen.h"
#include "tests/support/scratch.h"

static const struct uuid worker = {.hi = 0x1122334455667788, .lo = 0x99aabbccddeeff00};
static const struct output_note note = {
    .token = {.epoch = 1, .lease = 7}, .shard = 3, .segment = 2, .out_offset = 10, .err_offset = 1};
static char root[256], dir[300];

static const char *in_dir(const char *name)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const void *data, size_t size)
{
	cr_assert_eq(fs_write_file(in_dir(name), BYTES(data, size), 0644, NULL), 0);
}

static void put_notes(const struct output_note *n, size_t size)
{
	uint8_t raw[2 * OUTPUT_NOTE_BYTES] = {0}; /* it is at the second place */

	output_note_encode(n, raw + OUTPUT_NOTE_BYTES);
	put(OUTPUT_NOTES_NAME, raw, size);
}

static void put_entry(const struct output_entry *e, size_t cut)
{
	uint8_t raw[OUTPUT_ENTRY_BYTES];

	output_entry_encode(e, raw);
	put("00000002.idx", raw, sizeof(raw) - cut);
}

static void setup_files(void)
{
	put("00000002.out", "another's.mine is this", 22);
	put("00000002.err", "xoops", 5);
	put("00000002.idx", "", 0);
	put_notes(&note, 2 * OUTPUT_NOTE_BYTES);
}

static void setup(void)
{
	char id[33];

	scratch_make();
	uuid_text(&worker, id);
	snprintf(root, sizeof(root), "%s", scratch_path(""));
	snprintf(dir, sizeof(dir), "%s/%s", root, id);
	cr_assert_eq(fs_make_dirs(dir, 0755, NULL), 0);
	setup_files();
}

TestSuite(live, .init = setup, .fini = scratch_remove, .timeout = 60);

/* "-": not found. */
static const char *read_from(bool err, uint64_t from, size_t max)
{
	const struct live_query q = {note.token, note.shard, err, from};
	static char text[100];
	size_t size = 0;

	if (live_read(root, &worker, &q, text, max, &size) < 0)
		return "-";
	text[size] = '\0';
	return text;
}

Test(live, shows_an_attempt_from_its_beginning_on)
{
	struct live_note found[4];
	uint64_t out = 0, err = 0;

	cr_assert_eq(live_notes(root, &worker, found, 4), 1);
	cr_assert_eq(found[0].place, 1);
	cr_assert_eq(found[0].note.shard, 3);
	cr_assert(live_sizes(root, &worker, &found[0], &out, &err));
	cr_assert_eq(out, 12);
	cr_assert_eq(err, 4);
	cr_assert_str_eq(read_from(false, 0, 99), "mine is this");
	cr_assert_str_eq(read_from(false, 8, 99), "this");
	cr_assert_str_eq(read_from(false, 0, 4), "mine");
	cr_assert_str_eq(read_from(false, 12, 99), "");
	cr_assert_str_eq(read_from(false, UINT64_MAX, 99), "");
	cr_assert_str_eq(read_from(true, 0, 99), "oops");
}

Test(live, ends_where_the_index_says_that_the_attempt_does)
{
	struct output_entry e = {.token = note.token,
				 .shard = note.shard,
				 .out_offset = 10,
				 .out_length = 4,
				 .err_offset = 1,
				 .err_length = 0};
	struct live_note found[4];
	uint64_t out, err;

	put_entry(&e, 0);
	cr_assert_eq(live_notes(root, &worker, found, 4), 1);
	cr_assert(live_sizes(root, &worker, &found[0], &out, &err));
	cr_assert_eq(out, 4);
	cr_assert_eq(err, 0);
	cr_assert_str_eq(read_from(false, 0, 99), "mine");
	cr_assert_str_eq(read_from(false, 4, 99), "");
	cr_assert_str_eq(read_from(true, 0, 99), "");
	put_entry(&e, 1);
	cr_assert_str_eq(read_from(false, 0, 99), "mine is this", "half an entry says nothing");
	e.shard++;
	put_entry(&e, 0);
	cr_assert_str_eq(read_from(false, 0, 99), "mine is this", "nor does another's");
}

Test(live, shows_nothing_where_no_note_is_right)
{
	const struct uuid stranger = {1, 1};
	struct live_note found[4];
	struct output_note bent = note;
	uint8_t raw[OUTPUT_NOTE_BYTES];

	cr_assert_eq(live_notes(root, &stranger, found, 4), 0, "its directory is not there");
	put_notes(&note, 2 * OUTPUT_NOTE_BYTES - 1);
	cr_assert_str_eq(read_from(false, 0, 99), "-", "cut off");
	output_note_encode(&note, raw);
	raw[20] ^= 1;
	put(OUTPUT_NOTES_NAME, raw, sizeof(raw));
	cr_assert_str_eq(read_from(false, 0, 99), "-", "torn");
	put(OUTPUT_NOTES_NAME, "", 0);
	cr_assert_str_eq(read_from(false, 0, 99), "-", "empty");
	bent.shard++;
	put_notes(&bent, 2 * OUTPUT_NOTE_BYTES);
	cr_assert_str_eq(read_from(false, 0, 99), "-", "another shard's");
	bent = note;
	bent.out_offset = UINT64_MAX - 5;
	put_notes(&bent, 2 * OUTPUT_NOTE_BYTES);
	cr_assert_str_eq(read_from(false, 0, 99), "-", "of no file's size");
	bent.out_offset = 1000;
	put_notes(&bent, 2 * OUTPUT_NOTE_BYTES);
	cr_assert_str_eq(read_from(false, 0, 99), "", "the file was cut off");
	unlink(in_dir("00000002.out"));
	put_notes(&note, 2 * OUTPUT_NOTE_BYTES);
	cr_assert_str_eq(read_from(false, 0, 99), "", "it is gone");
}

/* A shard may write to where its output goes. */
Test(live, waits_for_no_pipe_and_follows_no_link)
{
	struct live_note found[4];

	unlink(in_dir("00000002.out"));
	cr_assert_eq(symlink("00000002.err", in_dir("00000002.out")), 0);
	cr_assert_str_eq(read_from(false, 0, 99), "");
	unlink(in_dir("00000002.out"));
	cr_assert_eq(mkfifo(in_dir("00000002.out"), 0644), 0);
	cr_assert_str_eq(read_from(false, 0, 99), "");
	unlink(in_dir(OUTPUT_NOTES_NAME));
	cr_assert_eq(mkfifo(in_dir(OUTPUT_NOTES_NAME), 0644), 0);
	cr_assert_eq(live_notes(root, &worker, found, 4), 0);
}

Test(live, sizes_are_not_told_of_an_attempt_whose_note_has_changed)
{
	struct output_note next = note;
	struct live_note found[4];
	uint64_t out, err;

	cr_assert_eq(live_notes(root, &worker, found, 4), 1);
	next.shard++;
	put_notes(&next, 2 * OUTPUT_NOTE_BYTES);
	cr_assert_not(live_sizes(root, &worker, &found[0], &out, &err));
}

Test(live, knows_the_last_words_of_an_attempt_that_has_ended)
{
	const struct output_entry e = {.token = note.token,
				       .shard = note.shard,
				       .out_offset = 10,
				       .out_length = 4,
				       .err_offset = 1,
				       .err_length = 4};
	struct live_query q = {note.token, note.shard, false, 1};
	char text[100];
	size_t size;

	unlink(in_dir(OUTPUT_NOTES_NAME));
	cr_assert_eq(live_read_ended(root, &worker, 2, &q, text, 99, &size), ERR_NOT_FOUND, "no entry yet");
	put_entry(&e, 0);
	cr_assert_eq(live_read_ended(root, &worker, 2, &q, text, 99, &size), 0);
	cr_assert(size == 3 && memcmp(text, "ine", 3) == 0);
	q.err = true;
	cr_assert_eq(live_read_ended(root, &worker, 2, &q, text, 99, &size), 0);
	cr_assert(size == 3 && memcmp(text, "ops", 3) == 0);
	q.shard++;
	cr_assert_eq(live_read_ended(root, &worker, 2, &q, text, 99, &size), ERR_NOT_FOUND);
	cr_assert_eq(live_read_ended(root, &worker, 9, &q, text, 99, &size), ERR_NOT_FOUND);
}

/* ---- while it is written ---- */

/* Before the read of this number the slot goes on to its next attempt; 0: it does not. */
static int reads_left;

/* As a slot does it: the note first, then the bytes. */
static void begin_next(void)
{
	struct output_note next = note;
	int notes = open(in_dir(OUTPUT_NOTES_NAME), O_WRONLY);
	int out = open(in_dir("00000002.out"), O_WRONLY | O_APPEND);
	uint8_t raw[OUTPUT_NOTE_BYTES];

	next.shard++;
	next.out_offset = 22;
	output_note_encode(&next, raw);
	cr_assert_eq(pwrite(notes, raw, sizeof(raw), OUTPUT_NOTE_BYTES), (ssize_t)sizeof(raw));
	close(notes);
	cr_assert_eq(write(out, "next", 4), 4);
	close(out);
}

/* The C library's, as live.c is compiled to call it. */
ssize_t pread64(int fd, void *to, size_t size, off64_t offset)
{
	if (reads_left > 0 && --reads_left == 0)
		begin_next();
	return (ssize_t)syscall(SYS_pread64, fd, to, size, offset);
}

Test(live, shows_no_byte_of_an_attempt_that_begins_at_any_moment_of_the_look)
{
	const char *seen = "";
	int at = 0;

	do {
		setup_files();
		reads_left = ++at;
		seen = read_from(false, 0, 99);
		cr_assert(strcmp(seen, "-") == 0 || strcmp(seen, "mine is this") == 0, "%s at read %d", seen,
			  at);
	} while (reads_left == 0);
	reads_left = 0;
	cr_assert_geq(at, 3, "the note, the bytes, the note again");
	cr_assert_str_eq(seen, "mine is this", "nothing happened this time");
}

Test(seen, remembers_the_newest)
{
	struct seen *s = seen_create();

	for (uint32_t i = 0; i < 3 * SEEN_MAX; i++) {
		const struct seen_attempt a = {.token = {1, i / 2}, .shard = i, .job = i + 1};

		seen_remember(s, &a);
		seen_remember(s, &a);
		cr_assert_eq(seen_find(s, a.token, i)->job, i + 1);
		if (i > SEEN_MAX) {
			uint32_t old = i - SEEN_MAX, young = old + 1;

			cr_assert_null(seen_find(s, (struct token){1, old / 2}, old));
			cr_assert_eq(seen_find(s, (struct token){1, young / 2}, young)->job, young + 1);
		}
	}
	cr_assert_null(seen_find(s, (struct token){2, 0}, 0));
	seen_destroy(s);
	seen_destroy(NULL);
}
