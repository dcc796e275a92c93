#include "cli/up/library.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/fs.h"
#include "jobs/definition.h"

#define PATH_BYTES 4096
#define USUAL_PATH "/usr/local/bin:/usr/bin:/bin"

static const char *const places[] = {"../jobs/library", "../share/shardmill/library"};

/* The folder of the running program. */
static bool find_own_folder(char *ret, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", ret, size - 1);
	char *slash;

	ret[length > 0 ? length : 0] = '\0';
	slash = strrchr(ret, '/');
	if (slash != NULL)
		*slash = '\0';
	return slash != NULL;
}

/* What matches `pattern` in the library; sorted. globfree is due. */
static void find_in_library(const char *pattern, glob_t *ret)
{
	char own[PATH_BYTES], whole[PATH_BYTES + 256];

	*ret = (glob_t){0};
	if (!find_own_folder(own, sizeof own))
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(places) && ret->gl_pathc == 0; i++) {
		globfree(ret);
		*ret = (glob_t){0};
		snprintf(whole, sizeof whole, "%s/%s/%s", own, places[i], pattern);
		CHECK(glob(whole, 0, NULL, ret) != GLOB_NOSPACE);
	}
}

/* Those without `on` are for `submit`. */
static int copy_rule(const char *from, const char *folder, size_t *count, struct error *reterr)
{
	struct definition *d = NULL;
	struct buf text = {0}, to = {0};
	int rc = fs_read_file(from, DEFINITION_BYTES_MAX, &text, reterr);

	if (rc == 0)
		rc = definition_parse(buf_bytes(&text), from, NULL, &d, reterr);
	if (rc == 0 && d->on.count > 0) {
		buf_printf(&to, "%s%s", folder, strrchr(from, '/'));
		rc = fs_write_file(buf_text(&to), buf_bytes(&text), 0644, reterr);
		*count += rc == 0;
	}
	definition_destroy(d);
	buf_fini(&text);
	buf_fini(&to);
	return rc;
}

int library_fill(const char *rules_dir, size_t *ret_count, struct error *reterr)
{
	struct buf fresh = {0};
	glob_t found;
	size_t count = 0;
	int rc;

	*ret_count = 0;
	if (access(rules_dir, F_OK) == 0)
		return 0;
	/* Aside at first: who is killed meanwhile leaves no half of it. */
	buf_printf(&fresh, "%s.new", rules_dir);
	find_in_library("*/*.yaml", &found);
	rc = fs_make_dirs(buf_text(&fresh), 0755, reterr);
	for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
		rc = copy_rule(found.gl_pathv[i], buf_text(&fresh), &count, reterr);
	if (rc == 0 && rename(buf_text(&fresh), rules_dir) < 0) {
		rc = error_set(reterr, ERR_IO, "cannot make it: %s", strerror(errno));
		error_where(reterr, "%s", rules_dir);
	}
	if (rc == 0)
		*ret_count = count;
	globfree(&found);
	buf_fini(&fresh);
	return rc;
}

void library_extend_path(void)
{
	const char *path = getenv("PATH");
	char own[PATH_BYTES];
	struct buf text = {0};
	glob_t found;

	buf_printf(&text, "%s", path != NULL && path[0] != '\0' ? path : USUAL_PATH);
	if (find_own_folder(own, sizeof own))
		buf_printf(&text, ":%s", own);
	find_in_library("*/", &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		buf_printf(&text, ":%.*s", (int)strlen(found.gl_pathv[i]) - 1, found.gl_pathv[i]);
	globfree(&found);
	CHECK(setenv("PATH", buf_text(&text), 1) == 0);
	buf_fini(&text);
}
