/* Vectors of resources: made of words and back, added up, compared. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "jobs/amounts.h"
#include "jobs/amounts_text.h"

static const struct amount_names names = {.items = {BYTES_LIT("fpga"), BYTES_LIT("licence")}, .count = 2};

static struct named_amount some[] = {{BYTES_LIT("licence"), 2000}};
static struct named_amount strange[] = {
    {BYTES_LIT("fpga"), 0}, {BYTES_LIT("tape"), 1}, {BYTES_LIT("licence"), 5}};

static struct amounts needed(const struct resources *r)
{
	struct bytes unknown = {0};
	struct amounts a;

	cr_assert(amounts_needed(r, &names, &a, &unknown));
	return a;
}

Test(amounts, needs_are_written_back)
{
	const struct resources r = {
	    .cpu_milli = 1500, .memory_bytes = 1 << 30, .gpu_milli = 500, .named = {some, 1}};
	struct named_amount named[NAMED_RESOURCES_MAX];
	struct amounts a = needed(&r);
	struct resources back;

	cr_assert_eq(a.v[AMOUNT_CPU], 1500);
	cr_assert_eq(a.v[AMOUNT_MEMORY], 1 << 30);
	cr_assert_eq(a.v[AMOUNT_GPUS], 500);
	cr_assert_eq(a.v[AMOUNT_NAMED], 0);
	cr_assert_eq(a.v[AMOUNT_NAMED + 1], 2000);
	amounts_write(&a, &names, &back, named);
	cr_assert_eq(back.cpu_milli, 1500);
	cr_assert_eq(back.memory_bytes, 1 << 30);
	cr_assert_eq(back.gpu_milli, 500);
	cr_assert_eq(back.named.count, 1, "those that are nothing are left out");
	cr_assert(bytes_equal(back.named.items[0].name, BYTES_LIT("licence")));
	cr_assert_eq(back.named.items[0].amount, 2000);
}

Test(amounts, a_name_without_a_number)
{
	const struct resources r = {.cpu_milli = 1, .named = {strange, 3}};
	struct amounts a = {{7}};
	struct bytes unknown;

	cr_assert_not(amounts_needed(&r, &names, &a, &unknown));
	cr_assert(bytes_equal(unknown, BYTES_LIT("tape")));
	cr_assert_eq(a.v[AMOUNT_CPU], 7, "written only on success");
	amounts_offered(&r, &names, &a);
	cr_assert_eq(a.v[AMOUNT_NAMED + 1], 5, "what nobody can ask for is left out of an offer");
	cr_assert_eq(amount_names_find(&names, BYTES_LIT("tape")), NAMED_RESOURCES_MAX);
	cr_assert_eq(amount_names_find(&names, BYTES_LIT("licence")), 1);
	strange[1].amount = 0;
	cr_assert(amounts_needed(&r, &names, &a, &unknown), "none of it is needed");
}

Test(amounts, memory_that_is_not_said_is_not_bounded)
{
	const struct resources r = {.cpu_milli = UINT64_MAX};
	struct named_amount named[NAMED_RESOURCES_MAX];
	struct amounts offered, need = needed(&(struct resources){.memory_bytes = 1ull << 50});
	struct amounts used = {{0}};
	struct resources back;

	amounts_offered(&r, &names, &offered);
	cr_assert_eq(offered.v[AMOUNT_CPU], AMOUNT_UNBOUNDED, "no sum of two wraps");
	cr_assert(amounts_fit(&used, &need, &offered));
	amounts_write(&offered, &names, &back, named);
	cr_assert_eq(back.memory_bytes, 0);
	cr_assert_eq(needed(&(struct resources){0}).v[AMOUNT_MEMORY], 0, "a need that is not said is none");
}

Test(amounts, what_fits)
{
	static const struct {
		uint64_t used, need, offered;
		bool fits;
		uint64_t slots;
	} cases[] = {
	    {0, 0, 0, true, 1},
	    {0, 1, 0, false, 0},
	    {0, 4, 4, true, 1},
	    {1, 4, 4, false, 1},
	    {4, 4, 8, true, 2},
	    {4, 3, 8, true, 2},
	    {9, 0, 8, true, 1}, /* an offer may shrink below what is used; what needs none of it fits */
	    {9, 1, 8, false, 8},
	    {0, UINT64_MAX, AMOUNT_UNBOUNDED, false, 0},
	    {AMOUNT_UNBOUNDED, UINT64_MAX, AMOUNT_UNBOUNDED, false, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		for (size_t at = 0; at < AMOUNTS; at++) {
			struct amounts used = {{0}}, need = {{0}}, offered = {{0}};

			used.v[at] = cases[i].used;
			need.v[at] = cases[i].need;
			offered.v[at] = cases[i].offered;
			cr_expect_eq(amounts_fit(&used, &need, &offered), cases[i].fits, "case %zu of %zu", i,
				     at);
			cr_expect_eq(amounts_slots(&offered, &need), cases[i].slots, "case %zu of %zu", i,
				     at);
		}
}

Test(amounts, sums)
{
	struct amounts a = needed(&(struct resources){.cpu_milli = 1000, .memory_bytes = 100}), sum = a,
		       twice;

	amounts_add(&sum, a);
	cr_assert_eq(sum.v[AMOUNT_CPU], 2000);
	amounts_subtract(&sum, a);
	cr_assert_eq(memcmp(&sum, &a, sizeof(a)), 0);
	twice = amounts_doubled(&a, 3);
	cr_assert_eq(twice.v[AMOUNT_MEMORY], 800);
	cr_assert_eq(twice.v[AMOUNT_CPU], 1000);
	cr_assert_lt(amounts_doubled(&a, 1000).v[AMOUNT_MEMORY], AMOUNT_UNBOUNDED);
}

Test(amounts, more_than_there_is_cannot_be_taken_away, .signal = SIGABRT)
{
	struct amounts a = {{1}}, b = {{2}};

	amounts_subtract(&a, b);
}

/* What stands behind --named. */
Test(amounts, named_ones_in_words)
{
	static const struct {
		const char *text, *back; /* back: NULL is refused */
	} cases[] = {
	    {"", ""},
	    {"license=4", "license=4"},
	    {"scratch=0.5,license=4", "license=4,scratch=0.5"},
	    {"b=2,a=1,c=3,ab=4", "a=1,ab=4,b=2,c=3"},
	    {"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1", "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1"},
	    {"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1", NULL},
	    {"a=1,a=2", NULL},
	    {"a=0", NULL},
	    {"a=-1", NULL},
	    {"a=", NULL},
	    {"a", NULL},
	    {"=1", NULL},
	    {"a=1,", NULL},
	    {",a=1", NULL},
	    {"a b=1", NULL},
	    {"a=1 ", NULL},
	    {"a=1=2", NULL},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct named_amount items[NAMED_RESOURCES_MAX];
		struct named_amount_list list = {.items = items};
		struct error e = {0};
		struct buf out = {0};
		int rc = amounts_parse_named(cases[i].text, &list, &e);

		cr_expect_eq(rc == 0, cases[i].back != NULL, "`%s`: %s", cases[i].text, e.what);
		if (rc == 0)
			amounts_format_named(&list, &out);
		else
			cr_expect_neq(e.what[0], '\0');
		if (rc == 0 && cases[i].back != NULL)
			cr_expect_str_eq(buf_text(&out), cases[i].back, "`%s`: %s", cases[i].text,
					 buf_text(&out));
		buf_fini(&out);
	}
}
