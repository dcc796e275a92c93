#include "base/scratch_root.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"

/* As the system knows it outside of all user namespaces that can be seen from here (user_namespaces(7)). */
static unsigned outer_uid(void)
{
	FILE *f = fopen("/proc/self/uid_map", "re");
	unsigned uid = (unsigned)geteuid(), inside, outside, count, found = uid;

	while (f != NULL && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
		if (uid >= inside && uid - inside < count)
			found = outside + (uid - inside);
	if (f != NULL)
		fclose(f);
	return found;
}

static int make_parents(const char *path, struct error *reterr)
{
	char parent[4096];
	char *end;

	snprintf(parent, sizeof parent, "%s", path);
	end = strrchr(parent, '/');
	if (end == NULL || end == parent)
		return 0;
	*end = '\0';
	return fs_make_dirs(parent, 0700, reterr);
}

int scratch_root(const char *said, char *ret, size_t size, struct error *reterr)
{
	const char *tmp = getenv("TMPDIR");
	int length, rc;

	if (said[0] != '\0')
		length = snprintf(ret, size, "%s", said);
	else
		length = snprintf(ret, size, "%s/shardmill-%u", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp",
				  outer_uid());
	if ((size_t)length >= size)
		return error_set(reterr, ERR_LIMIT, "the path of scratch_dir is too long");
	while (length > 1 && ret[length - 1] == '/') /* O_NOFOLLOW would follow what stands before it */
		ret[--length] = '\0';
	rc = said[0] != '\0' ? make_parents(ret, reterr) : 0;
	return rc < 0 ? rc : fs_make_private_dir(ret, reterr);
}
