/* Whatever somebody leaves in a directory goes, and nothing outside of it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/scratch.h"
#include "worker/machine/home.h"
#include "worker/machine/scratch.h"
#include "worker/machine/tree.h"

TestSuite(tree, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

static void sh(const char *script)
{
	char command[1000];

	snprintf(command, sizeof command, "cd %s && %s", scratch_path("."), script);
	cr_assert_eq(system(command), 0, "%s", script);
}

Test(tree, is_emptied_of_whatever_is_in_it)
{
	static const char *const fills[] = {
	    "touch d/a d/.b; mkdir -p d/c/d/e; echo x >d/c/d/f",
	    "ln -s ../outside d/link; ln -s nowhere d/dangling; mkfifo d/fifo",
	    "mkdir -p d/closed/inner; touch d/closed/inner/x; chmod 000 d/closed/inner d/closed",
	    "chmod 000 d",
	    "i=0; cd d; while [ $i -lt 300 ]; do mkdir deep; cd -P deep; i=$((i+1)); done; touch bottom",
	    "mkdir -p d/wide; cd d/wide; seq 3000 | xargs touch",
	};

	sh("mkdir d outside; echo kept >outside/kept");
	for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
		int fd = open(scratch_path("d"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		cr_assert(tree_is_empty(fd));
		sh(fills[i]);
		tree_clear(fd);
		cr_expect(tree_is_empty(fd), "%s", fills[i]);
		close(fd);
	}
	cr_assert_eq(access(scratch_path("outside/kept"), F_OK), 0);
}

Test(tree, is_removed_with_its_name_also_when_that_is_a_link)
{
	sh("mkdir -p d/e outside; echo kept >outside/kept; ln -s outside link");
	cr_assert(tree_remove(AT_FDCWD, scratch_path("d")));
	cr_assert(tree_remove(AT_FDCWD, scratch_path("d")), "it is gone already");
	cr_assert(tree_remove(AT_FDCWD, scratch_path("link")));
	cr_assert_eq(access(scratch_path("link"), F_OK), -1);
	cr_assert_eq(access(scratch_path("outside/kept"), F_OK), 0);
}

/* What the attempt before did to its directory, or somebody else to those above; H is the worker's, S the
 * slot's. */
Test(tree, each_attempt_finds_an_empty_directory_of_its_own)
{
	static const char *const damages[] = {
	    "true",
	    "touch $S/left",
	    "rmdir $S",
	    "mv $S $H/moved",
	    "rmdir $S; ln -s $T/outside $S",
	    "rmdir $S; touch $S",
	    "rmdir $S; mkdir -m 777 $S",
	    "chmod 000 $S",
	    "chmod 777 $S",
	    "rm -r $H",
	    "mv $H $H.away",
	    "rm -r $H; ln -s $T/outside $H",
	    "rm $H/lock",
	    "chmod 500 $H",
	    "rm -r $T/root",
	};
	struct error e = {0};
	struct scratch s;
	struct home h;

	sh("mkdir outside; echo kept >outside/kept; mkdir -m 700 root");
	cr_assert_eq(home_open(&h, scratch_path("root"), &e), 0, "%s", e.what);
	cr_assert_eq(scratch_open(&s, &h, 7, "", &e), 0, "%s", e.what);
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		char command[9000];
		struct stat st;

		snprintf(command, sizeof command, "S=%s H=%s T=%s; %s", s.path, h.path, scratch_path("."),
			 damages[i]);
		cr_assert_eq(system(command), 0, "%s", damages[i]);
		cr_assert_eq(scratch_ready(&s, &e), 0, "%s: %s", damages[i], e.what);
		cr_assert_eq(lstat(s.path, &st), 0, "%s", damages[i]);
		cr_assert(S_ISDIR(st.st_mode), "%s", damages[i]);
		cr_assert_eq(st.st_mode & 07777, 0700, "%s", damages[i]);
		cr_assert(tree_is_empty(s.fd), "%s", damages[i]);
		snprintf(command, sizeof command, "flock -n %s/lock true", h.path);
		cr_assert_neq(system(command), 0, "the worker's directory is locked: %s", damages[i]);
	}
	cr_assert_eq(access(scratch_path("outside/kept"), F_OK), 0);
	scratch_close(&s);
	home_close(&h);
}

Test(tree, a_root_that_is_anothers_is_no_place_for_attempts)
{
	struct error e = {0};
	struct scratch s;
	struct home h;

	sh("mkdir -m 700 root");
	cr_assert_eq(home_open(&h, scratch_path("root"), &e), 0, "%s", e.what);
	cr_assert_eq(scratch_open(&s, &h, 7, "", &e), 0, "%s", e.what);
	sh("rm -r root; mkdir -m 777 root");
	cr_assert_lt(scratch_ready(&s, &e), 0);
	cr_assert_str_eq(e.where, scratch_path("root"));
	sh("chmod 700 root");
	cr_assert_eq(scratch_ready(&s, &e), 0, "%s", e.what);
	scratch_close(&s);
	home_close(&h);
}
