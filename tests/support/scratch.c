#include "tests/support/scratch.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static char directory[200];

void scratch_make(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(directory, sizeof directory, "%s/shardmill-test-XXXXXX", base != NULL ? base : "/tmp");
	cr_assert_not_null(mkdtemp(directory));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void scratch_remove(void)
{
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const char *name)
{
	static char paths[8][300];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", directory, name);
	return path;
}
