/* Whose state is it, and is it there? Nothing that is missing may be taken for empty. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/statedir.h"
#include "tests/support/scratch.h"

TestSuite(statedir, .init = scratch_make, .fini = scratch_remove);

static struct statedir sd;
static struct error e;

static void put(const char *name, const char *text)
{
	cr_assert_eq(fs_write_file(scratch_path(name), bytes_of(text), 0644, &e), 0, "%s", e.what);
}

/* A state directory "s" that has held state. */
static void make_ready(void)
{
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), 0, "%s", e.what);
	put("s/journal/1", "a segment");
	cr_assert_eq(statedir_set_ready(&sd, &e), 0);
	statedir_close(&sd);
}

Test(statedir, a_new_one_then_the_same_again)
{
	char id[CLUSTER_ID_HEX + 1];
	struct stat st;

	cr_assert_eq(statedir_open(&sd, scratch_path("a/b/s"), STATEDIR_CREATE, &e), 0, "%s", e.what);
	cr_assert(sd.fresh);
	cr_assert_eq(strspn(sd.cluster_id, "0123456789abcdef"), CLUSTER_ID_HEX);
	strcpy(id, sd.cluster_id);
	cr_assert_eq(stat(scratch_path("a/b/s/keys"), &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	statedir_close(&sd);
	statedir_close(&sd);

	/* A crash before the first segment: still new, nothing was accepted. */
	cr_assert_eq(statedir_open(&sd, scratch_path("a/b/s"), 0, &e), 0, "%s", e.what);
	cr_assert(sd.fresh);
	cr_assert_str_eq(sd.cluster_id, id);
	put("a/b/s/journal/1", "x");
	cr_assert_eq(statedir_set_ready(&sd, &e), 0);
	cr_assert_eq(statedir_set_ready(&sd, &e), 0);
	statedir_close(&sd);

	cr_assert_eq(statedir_open(&sd, scratch_path("a/b/s"), 0, &e), 0, "%s", e.what);
	cr_assert_not(sd.fresh);
	cr_assert_str_eq(sd.cluster_id, id);
	statedir_close(&sd);
}

Test(statedir, two_have_different_ids)
{
	struct statedir other;

	cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), 0);
	cr_assert_eq(statedir_open(&other, scratch_path("t"), STATEDIR_CREATE, &e), 0);
	cr_assert_str_neq(sd.cluster_id, other.cluster_id);
	statedir_close(&sd);
	statedir_close(&other);
}

Test(statedir, a_second_process_is_refused_and_told_who_has_it)
{
	char expected[64];
	int status;
	pid_t pid;

	cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), 0);
	snprintf(expected, sizeof expected, "held by process %d", (int)getpid());
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct statedir second;
		int r = statedir_open(&second, scratch_path("s"), STATEDIR_CREATE, &e);

		_exit(r == ERR_EXISTS && strstr(e.what, expected) != NULL && e.help[0] ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "the other process was not refused in these words: %s", expected);
	statedir_close(&sd);
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), 0, &e), 0, "the lock is free again");
	statedir_close(&sd);
}

Test(statedir, the_death_of_its_holder_frees_it)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e) != 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), 0, &e), ERR_EXISTS);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), 0, &e), 0, "%s", e.what);
	statedir_close(&sd);
	close(ready[0]);
	close(ready[1]);
}

Test(statedir, missing_or_empty_is_refused_unless_asked_for)
{
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), 0, &e), ERR_NOT_FOUND);
	cr_assert(strstr(e.what, "missing") && strstr(e.help, "mounted"));
	cr_assert_neq(access(scratch_path("s"), F_OK), 0, "it was made all the same");
	cr_assert_eq(mkdir(scratch_path("s"), 0755), 0);
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), 0, &e), ERR_NOT_FOUND);
	cr_assert(strstr(e.what, "empty"));
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), 0);
	statedir_close(&sd);
}

Test(statedir, the_content_of_others_is_left_alone)
{
	put("homework.txt", "dear diary");
	cr_assert_eq(statedir_open(&sd, scratch_path("."), STATEDIR_CREATE, &e), ERR_INVALID);
	cr_assert(strstr(e.what, "homework.txt"), "%s", e.what);
	cr_assert_neq(access(scratch_path("lock"), F_OK), 0, "nothing may be written there");
	cr_assert_eq(statedir_open(&sd, scratch_path("homework.txt"), STATEDIR_CREATE, &e), ERR_IO);
}

Test(statedir, state_whose_identity_is_gone_is_refused)
{
	make_ready();
	cr_assert_eq(unlink(scratch_path("s/identity")), 0);
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), ERR_INVALID);
	cr_assert(strstr(e.what, "journal without an identity"), "%s", e.what);
}

Test(statedir, a_creation_that_crashed_is_taken_up)
{
	cr_assert_eq(fs_make_dirs(scratch_path("s/journal"), 0755, &e), 0);
	cr_assert_eq(mkdir(scratch_path("s/keys"), 0700), 0);
	put("s/lock", "");
	put("s/.identity.tmp-12", "form");
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), 0, &e), ERR_NOT_FOUND);
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), 0, "%s", e.what);
	statedir_close(&sd);
}

Test(statedir, what_is_missing_is_damage_not_emptiness)
{
	static const char *const subdirs[] = {"journal", "plans", "keys", "output"};

	make_ready();
	for (size_t i = 0; i < ARRAY_LENGTH(subdirs); i++) {
		char path[64], away[64];

		snprintf(path, sizeof path, "s/%s", subdirs[i]);
		snprintf(away, sizeof away, "away-%s", subdirs[i]);
		char *from = strdup(scratch_path(path)), *to = strdup(scratch_path(away));

		cr_assert_eq(rename(from, to), 0);
		cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), ERR_CORRUPT);
		cr_assert(strstr(e.what, subdirs[i]) && strstr(e.what, "missing"), "%s", e.what);
		cr_assert_eq(rename(to, from), 0);
		free(from);
		free(to);
	}
	cr_assert_eq(unlink(scratch_path("s/journal/1")), 0);
	cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), ERR_CORRUPT);
	cr_assert(strstr(e.what, "journal/ is empty"), "%s", e.what);
}

Test(statedir, identities_that_are_wrong)
{
#define ID "0123456789abcdef0123456789abcdef"
	static const struct {
		const char *text;
		int code;
	} cases[] = {
	    {"format: 1\ncluster: " ID "\nstate: ready\n", 0},
	    {"format: 2\ncluster: whatever comes then\n", ERR_VERSION},
	    {"format: 0\ncluster: " ID "\nstate: ready\n", ERR_CORRUPT},
	    {"format: 1\ncluster: " ID "\nstate: ready", ERR_CORRUPT},
	    {"format: 1\ncluster: " ID "\nstate: old\n", ERR_CORRUPT},
	    {"format: 1\ncluster: " ID "\n", ERR_CORRUPT},
	    {"format: 1\ncluster: 0123\nstate: ready\n", ERR_CORRUPT},
	    {"format: 1\ncluster: " ID "0\nstate: ready\n", ERR_CORRUPT},
	    {"", ERR_CORRUPT},
	    {"\n\n\n\x01\xff", ERR_CORRUPT},
	};

	make_ready();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		put("s/identity", cases[i].text);
		cr_assert_eq(statedir_open(&sd, scratch_path("s"), STATEDIR_CREATE, &e), cases[i].code,
			     "case %zu: %s", i, e.what);
		if (cases[i].code == 0)
			statedir_close(&sd);
	}
}

Test(statedir, network_file_systems_are_known_by_their_numbers)
{
	cr_assert_str_eq(fs_network_name_of(0x6969), "NFS");
	cr_assert_str_eq(fs_network_name_of(0xff534d42), "SMB");
	cr_assert_null(fs_network_name_of(0xef53), "ext4");
	cr_assert_null(fs_network_name_of(0x01021994), "tmpfs");
	cr_assert_null(fs_network_name("/proc"));
}

Test(statedir, where_it_lives_when_nobody_says)
{
	char *path = NULL;

	setenv("HOME", "/home/x", 1);
	setenv("XDG_STATE_HOME", "/home/x/state", 1);
	cr_assert_eq(statedir_default(&path, &e), 0);
	cr_assert_str_eq(path, geteuid() == 0 ? "/var/lib/shardmill" : "/home/x/state/shardmill");
	free(path);
}
