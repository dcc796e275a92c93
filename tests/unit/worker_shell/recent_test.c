/* Who looked on while an attempt ran gets its last bytes, for as long as it is remembered. */
#include <criterion/criterion.h>

#include "base/fs.h"
#include "tests/support/scratch.h"
#include "worker/io/recent.h"

static const struct token a = {1, 1};
static struct recent recent;

static void setup(void)
{
	scratch_make();
	cr_assert_eq(
	    fs_write_file(scratch_path("00000003.out"), BYTES_LIT("before second after"), 0644, NULL), 0);
	cr_assert_eq(fs_write_file(scratch_path("00000003.err"), BYTES_LIT("oops"), 0644, NULL), 0);
	recent_init(&recent);
}

static void teardown(void)
{
	recent_fini(&recent);
	scratch_remove();
}

TestSuite(recent, .init = setup, .fini = teardown);

static void add(uint32_t segment, struct token token, uint32_t shard, uint64_t offset, uint64_t length)
{
	recent_add(
	    &recent, segment,
	    &(struct output_entry){
		.token = token, .shard = shard, .out_offset = offset, .out_length = length, .err_length = 4});
}

static const char *text(struct token token, uint32_t shard, bool err, uint64_t from, size_t size)
{
	static char bytes[100];
	int64_t got = recent_read(&recent, scratch_path(""), token, shard, err, from, bytes, size);

	if (got < 0)
		return NULL;
	bytes[got] = '\0';
	return bytes;
}

Test(recent, just_the_bytes_of_the_newest_attempt_of_that_name)
{
	add(3, a, 1, 0, 6);
	add(3, a, 1, 7, 6);
	cr_assert_str_eq(text(a, 1, false, 0, 99), "second");
	cr_assert_str_eq(text(a, 1, false, 2, 3), "con");
	cr_assert_str_eq(text(a, 1, false, 6, 99), "");
	cr_assert_str_eq(text(a, 1, false, UINT64_MAX, 99), "");
	cr_assert_str_eq(text(a, 1, true, 1, 99), "ops");
	cr_assert_null(text(a, 2, false, 0, 99));
	cr_assert_null(text((struct token){2, 1}, 1, false, 0, 99));
	add(4, a, 2, 0, 6);
	cr_assert_null(text(a, 2, false, 0, 99), "its segment is gone");
}

Test(recent, so_many_are_remembered)
{
	add(3, a, 1, 0, 6);
	for (uint32_t i = 0; i < RECENT_MAX - 1; i++)
		add(3, (struct token){3, 3}, i, 0, 6);
	cr_assert_str_eq(text(a, 1, false, 0, 99), "before");
	add(3, (struct token){3, 3}, RECENT_MAX, 0, 6);
	cr_assert_null(text(a, 1, false, 0, 99));
}
