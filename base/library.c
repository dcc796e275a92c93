#include "base/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"

#define PATH_BYTES 4096
#define USUAL_PATH "/usr/local/bin:/usr/bin:/bin"

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

/* What the first of the patterns that matches anything matches; a relative one begins at our own folder. */
static void find(const char *const *patterns, size_t count, glob_t *ret)
{
	char own[PATH_BYTES], whole[PATH_BYTES + 256];
	bool known = find_own_folder(own, sizeof own);

	*ret = (glob_t){0};
	for (size_t i = 0; i < count && ret->gl_pathc == 0; i++) {
		bool absolute = patterns[i][0] == '/';

		if (!absolute && !known)
			continue;
		globfree(ret);
		*ret = (glob_t){0};
		snprintf(whole, sizeof whole, "%s%s%s", absolute ? "" : own, absolute ? "" : "/",
			 patterns[i]);
		CHECK(glob(whole, 0, NULL, ret) != GLOB_NOSPACE);
	}
}

void library_definitions(glob_t *ret)
{
	static const char *const patterns[] = {"../jobs/library/*/*.yaml",
					       "../share/shardmill/library/*/*.yaml",
					       SHARDMILL_DATADIR "/library/*/*.yaml"};

	find(patterns, ARRAY_LENGTH(patterns), ret);
}

/* Unless it is there already: whoever started us may have added it. */
static void add_folder(struct buf *path, const char *folder)
{
	size_t size = strlen(folder);
	const char *at = buf_text(path);

	size -= size > 0 && folder[size - 1] == '/';
	while (at != NULL) {
		if (strcspn(at, ":") == size && memcmp(at, folder, size) == 0)
			return;
		at = strchr(at, ':');
		at = at != NULL ? at + 1 : NULL;
	}
	buf_printf(path, ":%.*s", (int)size, folder);
}

void library_extend_path(void)
{
	static const char *const patterns[] = {"../jobs/library/*/", "../libexec/shardmill/",
					       SHARDMILL_LIBEXECDIR "/"};
	const char *path = getenv("PATH");
	char own[PATH_BYTES];
	struct buf text = {0};
	glob_t found;

	buf_printf(&text, "%s", path != NULL && path[0] != '\0' ? path : USUAL_PATH);
	if (find_own_folder(own, sizeof own))
		add_folder(&text, own);
	find(patterns, ARRAY_LENGTH(patterns), &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		add_folder(&text, found.gl_pathv[i]);
	globfree(&found);
	CHECK(setenv("PATH", buf_text(&text), 1) == 0);
	buf_fini(&text);
}
