#include "dispatcher/rule_copies.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"

static void path_of(const char *copies, const char *file, char path[static 4096])
{
	snprintf(path, 4096, "%s/%s", copies, file);
}

int rule_copy_read(const char *copies, const char *file, struct buf *ret, struct error *reterr)
{
	char path[4096];

	path_of(copies, file, path);
	return fs_read_file(path, DEFINITION_BYTES_MAX, ret, reterr);
}

void rule_copy_write(const char *copies, const char *file, struct bytes text)
{
	struct buf old = {0};
	struct error e = {0};
	char path[4096], line[ERROR_LINE_MAX];

	path_of(copies, file, path);
	if (fs_read_file(path, DEFINITION_BYTES_MAX, &old, NULL) < 0 || !bytes_equal(buf_bytes(&old), text)) {
		if (fs_make_dirs(copies, 0750, &e) < 0 || fs_write_file(path, text, 0640, &e) < 0)
			log_warn(
			    "a good version of a rule cannot be kept: should its file be broken at the next "
			    "start, the rule is not there",
			    log_text("file", file), log_error_field(&e, line, sizeof(line)));
	}
	buf_fini(&old);
}

void rule_copy_remove(const char *copies, const char *file)
{
	char path[4096];

	path_of(copies, file, path);
	(void)unlink(path);
}

void rule_copies_sweep(const char *copies, bool (*is_there)(void *arg, const char *file), void *arg)
{
	DIR *dir = opendir(copies);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || is_there(arg, entry->d_name))
			continue;
		log_warn("a rule was removed while no dispatcher ran", log_text("file", entry->d_name));
		rule_copy_remove(copies, entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
}
