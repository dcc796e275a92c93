/* Files: bounded reads, whole writes, locks. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "tests/support/scratch.h"

TestSuite(fs, .init = scratch_make, .fini = scratch_remove);

static struct error e;

Test(fs, what_is_written_is_read_and_replaced_whole)
{
	const char *path = scratch_path("f");
	struct buf text = {0};
	struct stat st;

	cr_assert_eq(fs_write_file(path, BYTES_LIT("first and long"), 0600, &e), 0, "%s", e.what);
	cr_assert_eq(fs_write_file(path, BYTES_LIT("second"), 0640, &e), 0);
	cr_assert_eq(fs_read_file(path, 6, &text, &e), 0);
	cr_assert_str_eq(buf_text(&text), "second");
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0640);
	buf_fini(&text);
}

Test(fs, a_failed_write_leaves_the_old_content_and_no_temporary_file)
{
	cr_assert_eq(mkdir(scratch_path("f"), 0700), 0);
	cr_assert_eq(fs_write_file(scratch_path("f/in"), BYTES_LIT("old"), 0600, &e), 0);
	/* A directory stands in the way of the rename. */
	cr_assert_lt(fs_write_file(scratch_path("f"), BYTES_LIT("new"), 0600, &e), 0);
	cr_assert(strstr(e.what, "rename"), "%s", e.what);
	cr_assert_eq(unlink(scratch_path("f/in")), 0);
	cr_assert_eq(rmdir(scratch_path("f")), 0);
	cr_assert_eq(rmdir(scratch_path("")), 0, "a temporary file was left");
	scratch_make();
}

Test(fs, reads_are_bounded_and_only_of_files)
{
	const char *path = scratch_path("f");
	struct buf text = {0};

	cr_assert_eq(fs_write_file(path, BYTES_LIT("1234567"), 0600, &e), 0);
	cr_assert_eq(fs_read_file(path, 6, &text, &e), ERR_LIMIT);
	cr_assert_eq(text.size, 0, "an output is written only on success");
	cr_assert_eq(fs_read_file(path, 0, &text, &e), ERR_LIMIT);
	cr_assert_eq(fs_read_file(scratch_path("none"), 6, &text, &e), ERR_NOT_FOUND);
	cr_assert(strstr(e.where, "none"));
	cr_assert_eq(fs_read_file(scratch_path("."), 6, &text, &e), ERR_INVALID);
	cr_assert(strstr(e.what, "directory"));
	cr_assert_eq(mkfifo(scratch_path("pipe"), 0600), 0);
	cr_assert_eq(fs_read_file(scratch_path("pipe"), 6, &text, &e), ERR_INVALID);
	cr_assert_eq(fs_write_file(path, BYTES_LIT(""), 0600, &e), 0);
	cr_assert_eq(fs_read_file(path, 0, &text, &e), 0, "an empty file has no byte too many");
	buf_fini(&text);
}

Test(fs, a_private_directory_is_ours_alone_or_refused)
{
	static const struct {
		const char *name;
		const char *what; /* NULL: it is taken */
	} cases[] = {
	    {"new", NULL},
	    {"there", NULL},
	    {"open", "expected a directory for us alone (mode 0700), found mode 0755"},
	    {"writable", "expected a directory for us alone (mode 0700), found mode 0720"},
	    {"link", "expected a directory of our own, found a link or a file"},
	    {"file", "expected a directory of our own, found a link or a file"},
	    {"dangling", "expected a directory of our own, found a link or a file"},
	};
	struct stat st;

	cr_assert_eq(mkdir(scratch_path("there"), 0700), 0);
	cr_assert_eq(mkdir(scratch_path("open"), 0700) + chmod(scratch_path("open"), 0755), 0);
	cr_assert_eq(mkdir(scratch_path("writable"), 0700) + chmod(scratch_path("writable"), 0720), 0);
	cr_assert_eq(symlink("there", scratch_path("link")), 0);
	cr_assert_eq(symlink("nowhere", scratch_path("dangling")), 0);
	cr_assert_eq(fs_write_file(scratch_path("file"), BYTES_LIT("x"), 0600, &e), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int rc = fs_make_private_dir(scratch_path(cases[i].name), &e);

		cr_expect_eq(rc, cases[i].what == NULL ? 0 : ERR_DENIED, "%s: %d", cases[i].name, rc);
		if (cases[i].what != NULL)
			cr_expect_str_eq(e.what, cases[i].what, "%s", cases[i].name);
		cr_expect(rc < 0 ||
			  (stat(scratch_path(cases[i].name), &st) == 0 && (st.st_mode & 0777) == 0700));
	}
	cr_expect_neq(access(scratch_path("nowhere"), F_OK), 0, "nothing is made behind a link");
}

/* Root alone can make one that is another's. */
Test(fs, a_private_directory_of_another_user_is_refused)
{
	if (geteuid() != 0) {
		fprintf(stderr, "mill: skipped: fs: only root can give a directory to another user\n");
		cr_skip_test("only root can give a directory to another user");
	}
	cr_assert_eq(mkdir(scratch_path("theirs"), 0700) + chown(scratch_path("theirs"), 65534, 65534), 0);
	cr_assert_eq(fs_make_private_dir(scratch_path("theirs"), &e), ERR_DENIED);
	cr_assert_str_eq(e.what, "expected a directory of our own, found one of user 65534");
}

Test(fs, large_files_come_whole)
{
	const char *path = scratch_path("f");
	struct buf content = {0}, text = {0};

	buf_append_zeros(&content, 300001);
	content.data[300000] = 7;
	cr_assert_eq(fs_write_file(path, buf_bytes(&content), 0600, &e), 0);
	cr_assert_eq(fs_read_file(path, 300001, &text, &e), 0);
	cr_assert(bytes_equal(buf_bytes(&text), buf_bytes(&content)));
	buf_fini(&content);
	buf_fini(&text);
}

Test(fs, directories_are_made_with_their_parents)
{
	struct stat st;

	cr_assert_eq(fs_make_dirs(scratch_path("a//b/c/"), 0750, &e), 0, "%s", e.what);
	cr_assert_eq(fs_make_dirs(scratch_path("a/b"), 0700, &e), 0);
	cr_assert(stat(scratch_path("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode));
	cr_assert_eq(fs_write_file(scratch_path("a/file"), BYTES_LIT(""), 0600, &e), 0);
	cr_assert_eq(fs_make_dirs(scratch_path("a/file"), 0700, &e), ERR_IO);
	cr_assert_eq(fs_make_dirs(scratch_path("a/file/b"), 0700, &e), ERR_IO);
	cr_assert_eq(fs_make_dirs("", 0700, &e), ERR_NOT_FOUND);
}

Test(fs, a_lock_is_held_once_and_free_after_close)
{
	const char *path = scratch_path("lock");
	pid_t holder = 0;
	int fd = -1, second = -1;

	cr_assert_eq(fs_lock_file(path, &fd, &holder, &e), 0);
	cr_assert_eq(fs_lock_file(path, &second, &holder, &e), ERR_EXISTS);
	cr_assert_eq(second, -1);
	cr_assert_eq(holder, getpid());
	close(fd);
	cr_assert_eq(fs_lock_file(path, &second, NULL, &e), 0);
	close(second);
	cr_assert_eq(fs_lock_file(scratch_path("none/lock"), &second, NULL, &e), ERR_NOT_FOUND);
}
