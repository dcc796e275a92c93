#include "cli/reasons.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define S USEC_PER_SEC

Test(reasons, one_that_passes_is_not_told)
{
	struct reasons r = {0};

	cr_expect_not(reasons_note(&r, 0, "no worker"));
	cr_expect_not(reasons_note(&r, 2 * S, "no worker"));
	cr_expect_not(reasons_note(&r, 3 * S, ""), "it runs");
	cr_expect_not(reasons_note(&r, 4 * S, "no worker"));
	cr_expect_not(reasons_note(&r, 6 * S, "no worker"), "it has waited for two seconds again");
	cr_expect(reasons_note(&r, 7 * S, "no worker"));
}

Test(reasons, each_is_told_once_whatever_its_numbers)
{
	struct reasons r = {0};

	cr_expect_not(reasons_note(&r, 0, "3 starts failed; next try in 8s"));
	cr_expect(reasons_note(&r, 3 * S, "3 starts failed; next try in 5s"));
	cr_expect_not(reasons_note(&r, 4 * S, "4 starts failed; next try in 1m30s"));
	cr_expect(reasons_note(&r, 5 * S, "the pool starts 2 workers"),
		  "another one, and it has waited long");
	cr_expect_not(reasons_note(&r, 6 * S, "3 starts failed; next try in 250ms"));
}

Test(reasons, there_is_an_end)
{
	struct reasons r = {0};
	char why[8] = "a";
	unsigned told = 0;

	cr_expect_not(reasons_note(&r, 0, why));
	for (int i = 0; i < 20; i++, why[0]++)
		told += reasons_note(&r, 3 * S, why);
	cr_expect_eq(told, REASONS_MAX);
}
