#include "dispatcher/retention/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/ids.h"
#include "jobs/output_index.h"

#define FILE_PATH_MAX 4300

static void path_of(const char *output_dir, const struct uuid *worker, uint32_t segment, const char *kind,
		    char ret[FILE_PATH_MAX])
{
	int size = snprintf(ret, FILE_PATH_MAX, "%s/", output_dir);

	if (size > 0 && size < FILE_PATH_MAX)
		output_path(worker, segment, kind, ret + size, FILE_PATH_MAX - (size_t)size);
}

static int sync_and_close(int dir_fd)
{
	int rc = fsync(dir_fd);

	close(dir_fd);
	return rc;
}

int segment_files_remove(const char *output_dir, const struct uuid *worker, uint32_t segment,
			 struct error *reterr)
{
	/* The index last: what has no index is found by the walk only through its other files. */
	static const char *const kinds[] = {"out", "err", "idx"};
	char path[FILE_PATH_MAX], id[UUID_TEXT_BYTES];
	int dir_fd;

	for (size_t i = 0; i < 3; i++) {
		path_of(output_dir, worker, segment, kinds[i], path);
		if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR) {
			error_set(reterr, ERR_IO, "cannot remove an output that is forgotten: %m");
			return error_where(reterr, "%s", path);
		}
	}
	uuid_text(worker, id);
	snprintf(path, sizeof(path), "%s/%s", output_dir, id);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return 0;
	if (sync_and_close(dir_fd) < 0) {
		error_set(reterr, ERR_IO, "cannot sync a directory of outputs: %m");
		return error_where(reterr, "%s", path);
	}
	(void)rmdir(path); /* stays when it holds anything */
	return 0;
}

bool segment_files_are_closed(const char *output_dir, const struct uuid *worker, uint32_t segment)
{
	char path[FILE_PATH_MAX];
	struct stat st;

	path_of(output_dir, worker, segment, "idx", path);
	return stat(path, &st) == 0 && (st.st_mode & OUTPUT_INDEX_CLOSED) != 0;
}

/* ---- the walk ---- */

/* The next directory of a worker that history knows. */
static void enter(struct segment_walk *w, const char *output_dir, struct history_reader *history,
		  const struct dirent *entry)
{
	char path[FILE_PATH_MAX];

	if (uuid_parse(bytes_of(entry->d_name), &w->worker, NULL) < 0 ||
	    history_worker(history, &w->worker, &w->number, NULL) < 0 || w->number == 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", output_dir, entry->d_name);
	w->segments = opendir(path);
}

/* "00000012.out", and so on; 0: it is none of these. */
static uint32_t segment_of(const char *name)
{
	char *end;
	unsigned long n = strtoul(name, &end, 10);

	if (end - name < 8 || n > UINT32_MAX)
		return 0;
	return strcmp(end, ".out") == 0 || strcmp(end, ".err") == 0 || strcmp(end, ".idx") == 0 ? (uint32_t)n
												: 0;
}

static void look_at(const struct segment_walk *w, struct history_reader *history, const struct dirent *entry,
		    history_segment_fn *fn, void *arg)
{
	uint32_t segment = segment_of(entry->d_name);
	bool there = true;

	if (segment > 0 && history_has_segment(history, w->number, segment, &there, NULL) == 0 && !there)
		fn(arg, &w->worker, segment);
}

bool segment_walk_step(struct segment_walk *w, const char *output_dir, struct history_reader *history,
		       uint32_t entries, history_segment_fn *fn, void *arg)
{
	const struct dirent *entry;

	if (w->workers == NULL)
		w->workers = opendir(output_dir);
	for (uint32_t i = 0; w->workers != NULL && i < entries; i++) {
		entry = readdir(w->segments != NULL ? w->segments : w->workers);
		if (entry != NULL && w->segments != NULL) {
			look_at(w, history, entry, fn, arg);
		} else if (entry != NULL) {
			enter(w, output_dir, history, entry);
		} else if (w->segments != NULL) {
			closedir(w->segments);
			w->segments = NULL;
		} else {
			segment_walk_end(w);
		}
	}
	return w->workers != NULL;
}

void segment_walk_end(struct segment_walk *w)
{
	if (w->segments != NULL)
		closedir(w->segments);
	if (w->workers != NULL)
		closedir(w->workers);
	*w = (struct segment_walk){0};
}
