/* The API's sockets: whose they are, what is in their way. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "dispatcher/api/sockets.h"
#include "tests/support/scratch.h"

static mode_t mode_of(const char *path)
{
	struct stat st;

	cr_assert_eq(lstat(path, &st), 0);
	return st.st_mode;
}

Test(sockets, of_the_file_system_are_private_and_replaced_when_stale, .init = scratch_make,
     .fini = scratch_remove)
{
	const char *path = scratch_path("api.sock");
	struct error e = {0};
	int first, second = -1;

	cr_assert_eq(socket_listen_unix(path, &first, &e), 0, "%s", e.what);
	cr_assert(S_ISSOCK(mode_of(path)));
	cr_assert_eq(mode_of(path) & 0777, 0600);

	cr_assert_eq(socket_listen_unix(path, &second, &e), ERR_EXISTS, "somebody listens there");
	close(first);
	cr_assert_eq(socket_listen_unix(path, &second, &e), 0, "nobody does any more: %s", e.what);
	close(second);
}

Test(sockets, never_replace_a_file, .init = scratch_make, .fini = scratch_remove)
{
	const char *path = scratch_path("data");
	struct error e = {0};
	int fd = -1;

	cr_assert_eq(fs_write_file(path, BYTES_LIT("x"), 0644, NULL), 0);
	cr_assert_eq(socket_listen_unix(path, &fd, &e), ERR_EXISTS);
	cr_assert(S_ISREG(mode_of(path)));
}

Test(sockets, a_path_that_is_too_long_is_told)
{
	char path[300];
	struct error e = {0};
	int fd = -1;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	cr_assert_eq(socket_listen_unix(path, &fd, &e), ERR_INVALID);
	cr_assert_not_null(strstr(e.help, "--api-socket"));
}

Test(sockets, addresses_of_tcp)
{
	static const struct {
		const char *address;
		int rc;
	} cases[] = {
	    {"127.0.0.1:0", 0},
	    {"localhost:0", 0},
	    {"[::1:0", ERR_INVALID},
	    {"7171", ERR_INVALID},
	    {":7171", ERR_INVALID},
	    {"127.0.0.1:", ERR_INVALID},
	    {"", ERR_INVALID},
	    {"127.0.0.1:port", ERR_INVALID},
	    {"300.0.0.1:7171", ERR_INVALID},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error e = {0};
		int fd = -1, rc = socket_listen_tcp(cases[i].address, &fd, &e);

		cr_assert_eq(rc, cases[i].rc, "%s: %s", cases[i].address, e.what);
		if (rc == 0)
			close(fd);
		else
			cr_assert_not_null(strstr(e.what, "HOST:PORT"), "%s", e.what);
	}
}
