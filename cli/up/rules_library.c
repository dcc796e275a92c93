#include "cli/up/rules_library.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/library.h"
#include "jobs/definition.h"

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
	library_definitions(&found);
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
