#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/child.h"
#include "base/leftovers.h"
#include "tests/support/scratch.h"

TestSuite(leftovers, .init = scratch_make, .fini = scratch_remove, .timeout = 20);

#define ID "00000000000000000000000000abcdef"

static struct child sleeper(char *first, char *second)
{
	char *argv[] = {"sleep", "60", NULL}, *envp[] = {first, second, NULL};
	struct child_spec spec = {.program = "/bin/sleep", .argv = argv, .envp = envp};
	struct child c;
	struct error e;

	cr_assert_eq(child_start(&spec, &c, &e), 0, "%s", e.what);
	return c;
}

Test(leftovers, those_of_the_worker_end_and_nobody_else)
{
	struct child mine[] = {
	    sleeper("SHARDMILL_WORKER=" ID, NULL),
	    sleeper("A=b", "SHARDMILL_WORKER=" ID),
	};
	struct child others[] = {
	    sleeper("SHARDMILL_WORKER=" ID "0", NULL),
	    sleeper("XSHARDMILL_WORKER=" ID, NULL),
	    sleeper("SHARDMILL_WORKER=", "B=SHARDMILL_WORKER=" ID),
	    sleeper("C=d", NULL),
	};
	struct child_end end;

	cr_expect_eq(leftovers_end(ID), 2);
	for (size_t i = 0; i < ARRAY_LENGTH(mine); i++) {
		struct pollfd p = {.fd = mine[i].pidfd, .events = POLLIN};

		cr_assert_eq(poll(&p, 1, 10000), 1, "one lives on");
		cr_assert(child_reap(&mine[i], &end));
		cr_expect_eq(end.code, SIGKILL);
		child_close(&mine[i]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		cr_expect_not(child_reap(&others[i], &end), "a stranger was killed: %zu", i);
		child_signal(&others[i], SIGKILL);
		child_close(&others[i]);
	}
	cr_expect_eq(leftovers_end(ID), 0);
}
