/* The files that were taken from a watched directory: as a set, as a file, and when the file is hurt. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "dispatcher/intake/bucket_taken.h"
#include "tests/support/scratch.h"

static struct taken *taken;
static char path[256];

static enum taken_state open_list(void)
{
	enum taken_state state;
	struct error e = {0};

	cr_assert_eq(taken_open(path, &taken, &state, &e), 0, "%s", e.what);
	return state;
}

static void setup(void)
{
	scratch_make();
	snprintf(path, sizeof(path), "%s", scratch_path("list"));
	cr_assert_eq(open_list(), TAKEN_MISSING);
}

static void teardown(void)
{
	taken_close(taken);
	scratch_remove();
}

static uint64_t key_of(uint64_t n)
{
	return n * UINT64_C(0x9e3779b97f4a7c15);
}

static void take(uint64_t n)
{
	taken_add(taken, key_of(n));
	taken_keep(taken, key_of(n));
}

static void end_sweep(bool anew)
{
	taken_sweep_end(taken, anew);
	cr_assert_eq(taken_flush(taken, NULL), 0);
}

static struct buf read_list(void)
{
	struct buf text = {0};

	cr_assert_eq(fs_read_file(path, 1 << 20, &text, NULL), 0);
	return text;
}

/* Keys of one home slot, so that removing one moves others. */
Test(taken, is_a_set, .init = setup, .fini = teardown)
{
	for (uint64_t n = 1; n <= 1000; n++)
		taken_add(taken, n << 32);
	for (uint64_t n = 1; n <= 1000; n += 2)
		taken_remove(taken, n << 32);
	cr_assert_eq(taken_count(taken), 500);
	for (uint64_t n = 1; n <= 1000; n++)
		cr_assert_eq(taken_has(taken, n << 32), n % 2 == 0, "%llu", (unsigned long long)n);
	taken_add(taken, 0);
	cr_assert(taken_has(taken, 0));
}

Test(taken, is_written_and_read, .init = setup, .fini = teardown)
{
	for (uint64_t n = 1; n <= 100; n++) {
		take(n);
		if (n % 7 == 0)
			cr_assert_eq(taken_flush(taken, NULL), 0);
	}
	taken_add(taken, key_of(101)); /* in somebody's hands: not to be remembered */
	taken_close(taken);
	cr_assert_eq(open_list(), TAKEN_WHOLE);
	cr_assert_eq(taken_count(taken), 100);
	cr_assert_not(taken_has(taken, key_of(101)));
}

Test(taken, a_sweep_forgets_what_is_gone, .init = setup, .fini = teardown)
{
	struct buf before, after;

	for (uint64_t n = 1; n <= 10000; n++)
		take(n);
	cr_assert_eq(taken_flush(taken, NULL), 0);
	before = read_list();
	taken_sweep_begin(taken);
	for (uint64_t n = 1; n <= 100; n++)
		cr_assert(taken_mark(taken, key_of(n)));
	take(10001); /* came while it was swept */
	end_sweep(false);
	cr_assert_eq(taken_count(taken), 101);
	after = read_list();
	cr_assert_lt(after.size, before.size / 50, "a list of files that are gone is written anew");
	taken_close(taken);
	cr_assert_eq(open_list(), TAKEN_WHOLE);
	cr_assert_eq(taken_count(taken), 101);
	buf_fini(&before);
	buf_fini(&after);
}

/* The loop goes on with the list while a thread writes: what it keeps then is in the next write. */
Test(taken, is_used_while_it_is_written, .init = setup, .fini = teardown)
{
	bool whole;

	take(1);
	cr_assert(taken_write_begin(taken));
	cr_assert_not(taken_write_begin(taken), "one write at a time");
	take(2);
	taken_sweep_end(taken, true); /* its image has both, and comes behind the write under way */
	take(3);
	taken_write_make(taken);
	cr_assert_eq(taken_write_end(taken, &whole, NULL), 0);
	cr_assert_not(whole);
	cr_assert(taken_write_begin(taken));
	take(4);
	taken_write_make(taken);
	cr_assert_eq(taken_write_end(taken, &whole, NULL), 0);
	cr_assert(whole);
	cr_assert(taken_write_begin(taken));
	take(5);
	taken_close(taken); /* ends it, and writes the rest */
	cr_assert_eq(open_list(), TAKEN_WHOLE);
	cr_assert_eq(taken_count(taken), 5);
}

/* A whole file that cannot be written leaves the old one, and its keys are tried again. */
Test(taken, a_write_that_fails_loses_no_key, .init = setup, .fini = teardown)
{
	take(1);
	cr_assert_eq(taken_flush(taken, NULL), 0);
	take(2);
	taken_sweep_begin(taken);
	cr_assert(taken_mark(taken, key_of(1)) && taken_mark(taken, key_of(2)));
	taken_sweep_end(taken, true);
	cr_assert_eq(rename(path, scratch_path("old")), 0);
	cr_assert_eq(fs_make_dirs(path, 0755, NULL), 0);
	cr_assert_neq(taken_flush(taken, NULL), 0);
	cr_assert(taken_is_pending(taken));
	cr_assert_eq(rmdir(path), 0);
	cr_assert_eq(rename(scratch_path("old"), path), 0);
	cr_assert_eq(taken_flush(taken, NULL), 0);
	taken_close(taken);
	cr_assert_eq(open_list(), TAKEN_WHOLE);
	cr_assert_eq(taken_count(taken), 2);
}

/* Cut anywhere, or with a bit turned anywhere, it is known as damaged, or a frame less. */
Test(taken, damage_is_told, .init = setup, .fini = teardown)
{
	struct buf whole;

	for (uint64_t n = 1; n <= 6; n++) {
		take(n);
		cr_assert_eq(taken_flush(taken, NULL), 0);
	}
	whole = read_list();
	for (size_t at = 0; at < whole.size; at++) {
		bool is_border = at >= 16 && (at - 16) % 16 == 0;

		taken_close(taken);
		cr_assert_eq(fs_write_file(path, BYTES(whole.data, at), 0644, NULL), 0);
		cr_assert_eq(open_list(), is_border ? TAKEN_WHOLE : TAKEN_DAMAGED, "cut at %zu", at);
		cr_assert_eq(taken_count(taken), at < 16 ? 0 : (at - 16) / 16);
	}
	for (size_t at = 0; at < whole.size; at++) {
		enum taken_state state = TAKEN_WHOLE;

		if (at >= 8 && at < 16)
			continue; /* the version: below */
		taken_close(taken);
		taken = NULL;
		whole.data[at] ^= 0x20;
		cr_assert_eq(fs_write_file(path, buf_bytes(&whole), 0644, NULL), 0);
		whole.data[at] ^= 0x20;
		state = open_list();
		cr_assert_eq(state, TAKEN_DAMAGED, "bit at %zu", at);
	}
	buf_fini(&whole);
}

Test(taken, a_newer_version_is_refused, .init = setup, .fini = teardown)
{
	struct buf text = read_list();
	enum taken_state state;
	struct error e = {0};

	taken_close(taken);
	taken = NULL;
	text.data[8] = 2;
	cr_assert_eq(fs_write_file(path, buf_bytes(&text), 0644, NULL), 0);
	cr_assert_eq(taken_open(path, &taken, &state, &e), ERR_VERSION);
	cr_assert_not_null(strstr(e.what, "version 2"));
	buf_fini(&text);
}

/* Version 1, as it was first written: keys 2 and 0x0123456789abcdee. */
static const uint8_t golden[] = {'m', 'i', 'l', 'l', 't',  'a',	 'k',  'n',  1,	   0,	 0,    0,   0, 0,
				 0,   0,   2,	0,   0,	   0,	 0x69, 0xe0, 0x20, 0x03, 2,    0,   0, 0,
				 0,   0,   0,	0,   0xee, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01};

Test(taken, the_golden_file_of_version_1_is_read_and_written, .init = setup, .fini = teardown)
{
	struct buf text;

	taken_add(taken, 2);
	taken_keep(taken, 2);
	taken_add(taken, UINT64_C(0x0123456789abcdef));
	taken_keep(taken, UINT64_C(0x0123456789abcdef));
	cr_assert_eq(taken_flush(taken, NULL), 0);
	text = read_list();
	cr_assert_eq(text.size, sizeof(golden));
	for (size_t i = 0; i < sizeof(golden); i++)
		cr_assert_eq(text.data[i], golden[i], "byte %zu: %02x", i, text.data[i]);
	buf_fini(&text);
	taken_close(taken);
	cr_assert_eq(fs_write_file(path, BYTES(golden, sizeof(golden)), 0644, NULL), 0);
	cr_assert_eq(open_list(), TAKEN_WHOLE);
	cr_assert(taken_has(taken, UINT64_C(0x0123456789abcdee)));
}
