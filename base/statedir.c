#include "base/statedir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/fs.h"
#include "base/text.h"

#define IDENTITY_BYTES_MAX 4096u
#define HEAD_LENGTH (sizeof "format: " - 1)

static const struct {
	const char *name;
	mode_t mode;
} subdirs[] = {{"journal", 0750}, {"plans", 0750}, {"keys", 0700}, {"output", 0755}};

char *statedir_path(const struct statedir *sd, const char *name)
{
	struct buf path = {0};

	buf_printf(&path, "%s/%s", sd->path, name);
	buf_text(&path);
	return (char *)path.data;
}

static bool is_temporary_identity(const char *name)
{
	return strncmp(name, ".identity.tmp-", strlen(".identity.tmp-")) == 0;
}

static bool is_subdir(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(subdirs); i++)
		if (strcmp(name, subdirs[i].name) == 0)
			return true;
	return false;
}

/* *ret: the first entry that is_ours does not know (free it), or NULL; an unreadable directory is
 * an error. is_ours may be NULL: then every entry counts. */
static int find_entry(const char *path, bool (*is_ours)(const char *path, const char *name), char **ret,
		      struct error *reterr)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (dir == NULL) {
		error_set(reterr, ERR_IO, "cannot read the directory: %s", strerror(errno));
		error_where(reterr, "%s", path);
		return ERR_IO;
	}
	*ret = NULL;
	while (*ret == NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (is_ours == NULL || !is_ours(path, entry->d_name)) {
			*ret = strdup(entry->d_name);
			CHECK(*ret != NULL);
		}
	}
	closedir(dir);
	return 0;
}

/* What a creation that crashed before its identity may have left. */
static bool is_leftover(const char *path, const char *name)
{
	char *subdir, *entry = NULL;
	struct statedir sd;
	bool empty;

	if (strcmp(name, "lock") == 0 || is_temporary_identity(name))
		return true;
	if (!is_subdir(name))
		return false;
	sd.path = (char *)path;
	subdir = statedir_path(&sd, name);
	empty = find_entry(subdir, NULL, &entry, NULL) == 0 && entry == NULL;
	free(subdir);
	free(entry);
	return empty;
}

static int refuse_empty(const char *path, const char *what, struct error *reterr)
{
	error_set(reterr, ERR_NOT_FOUND, "the state directory is %s", what);
	error_where(reterr, "%s", path);
	error_help(reterr, "is its disk mounted? To start with no state, say so with --init");
	return ERR_NOT_FOUND;
}

/* Before anything is written: is there a directory that may become, or is, ours? */
static int judge_place(const char *path, unsigned flags, struct error *reterr)
{
	struct statedir sd = {.path = (char *)path};
	const char *network;
	char *stranger, *identity;
	bool has_identity;
	struct stat st;
	int r;

	if (stat(path, &st) != 0 && errno == ENOENT) {
		if ((flags & STATEDIR_CREATE) == 0)
			return refuse_empty(path, "missing", reterr);
		r = fs_make_dirs(path, 0755, reterr);
		if (r != 0)
			return r;
	}
	network = fs_network_name(path);
	if (network != NULL) {
		error_set(reterr, ERR_INVALID,
			  "expected a local file system for the state directory, found %s", network);
		error_where(reterr, "%s", path);
		error_help(reterr, "its locks and syncs do not hold after a crash; choose a local "
				   "disk");
		return ERR_INVALID;
	}
	identity = statedir_path(&sd, "identity");
	has_identity = lstat(identity, &st) == 0;
	free(identity);
	if (has_identity)
		return 0;
	r = find_entry(path, is_leftover, &stranger, reterr);
	if (r != 0)
		return r;
	if (stranger == NULL)
		return flags & STATEDIR_CREATE ? 0 : refuse_empty(path, "empty", reterr);
	error_set(reterr, ERR_INVALID,
		  "expected a state directory or an empty one, found %s without an identity", stranger);
	error_where(reterr, "%s", path);
	error_help(reterr, "choose another --state-dir; if this was one, restore its `identity`");
	free(stranger);
	return ERR_INVALID;
}

static int write_identity(const struct statedir *sd, struct error *reterr)
{
	char *path = statedir_path(sd, "identity");
	struct buf text = {0};
	int r;

	buf_printf(&text, "format: %u\ncluster: %s\nstate: %s\n", STATEDIR_FORMAT, sd->cluster_id,
		   sd->fresh ? "new" : "ready");
	r = fs_write_file(path, buf_bytes(&text), 0644, reterr);
	buf_fini(&text);
	free(path);
	return r;
}

static int make_subdirs(const struct statedir *sd, struct error *reterr)
{
	for (size_t i = 0; i < ARRAY_LENGTH(subdirs); i++) {
		char *path = statedir_path(sd, subdirs[i].name);
		int r = fs_make_dirs(path, subdirs[i].mode, reterr);

		free(path);
		if (r != 0)
			return r;
	}
	return 0;
}

static int create(struct statedir *sd, struct error *reterr)
{
	uint8_t random[CLUSTER_ID_HEX / 2];
	int r;

	/* Up to 256 bytes come whole once the kernel is seeded (random(7)). */
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return error_set(reterr, ERR_IO, "the system gives no random bytes: %s", strerror(errno));
	text_hex(sd->cluster_id, sizeof sd->cluster_id, BYTES(random, sizeof random));
	r = make_subdirs(sd, reterr);
	if (r != 0)
		return r;
	sd->fresh = true;
	return write_identity(sd, reterr); /* last: it says that the rest is there */
}

static int parse_identity(struct statedir *sd, const char *text, struct error *reterr)
{
	char state[8] = "", end = 0;
	unsigned format = 0;

	if (strncmp(text, "format: ", HEAD_LENGTH) == 0)
		format = (unsigned)strtoul(text + HEAD_LENGTH, NULL, 10);
	if (format > STATEDIR_FORMAT) {
		error_set(reterr, ERR_VERSION, "the state directory has format %u; this build reads up to %u",
			  format, STATEDIR_FORMAT);
		error_help(reterr, "use the build that wrote it, or a newer one");
		return ERR_VERSION;
	}
	if (sscanf(text, "format: %*u\ncluster: %32[0-9a-f]\nstate: %7[a-z]%c", sd->cluster_id, state,
		   &end) != 3 ||
	    end != '\n' || format == 0 || strlen(sd->cluster_id) != CLUSTER_ID_HEX ||
	    (strcmp(state, "new") != 0 && strcmp(state, "ready") != 0)) {
		char found[80];

		error_set(reterr, ERR_CORRUPT, "expected an identity (format, cluster, state), found %s",
			  text_quote(found, sizeof found, bytes_of(text)));
		error_help(reterr, "restore it from a backup; the cluster id also stands in each "
				   "journal segment");
		return ERR_CORRUPT;
	}
	sd->fresh = strcmp(state, "new") == 0;
	return 0;
}

static int read_identity(struct statedir *sd, struct error *reterr)
{
	char *path = statedir_path(sd, "identity");
	struct buf text = {0};
	int r = fs_read_file(path, IDENTITY_BYTES_MAX, &text, reterr);

	if (r == 0) {
		r = parse_identity(sd, buf_text(&text), reterr);
		if (r != 0)
			error_where(reterr, "%s", path);
	}
	buf_fini(&text);
	free(path);
	return r;
}

/* What a directory that accepted something must still have. */
static int check_complete(const struct statedir *sd, struct error *reterr)
{
	for (size_t i = 0; i < ARRAY_LENGTH(subdirs); i++) {
		char *path = statedir_path(sd, subdirs[i].name), *entry = NULL;
		const char *problem = NULL;
		struct stat st;

		if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
			problem = "is missing";
		else if (i == 0 && find_entry(path, NULL, &entry, NULL) == 0 && entry == NULL)
			problem = "is empty";
		if (problem != NULL) {
			error_set(reterr, ERR_CORRUPT, "%s/ %s, but this directory has held state",
				  subdirs[i].name, problem);
			error_where(reterr, "%s", path);
			error_help(reterr, "is its disk mounted? Else restore it; it is not taken "
					   "for empty");
		}
		free(path);
		free(entry);
		if (problem != NULL)
			return ERR_CORRUPT;
	}
	return 0;
}

static int open_locked(struct statedir *sd, struct error *reterr)
{
	char *identity = statedir_path(sd, "identity");
	struct stat st;
	bool exists = lstat(identity, &st) == 0;
	int r;

	free(identity);
	if (!exists)
		return create(sd, reterr);
	r = read_identity(sd, reterr);
	if (r != 0)
		return r;
	return sd->fresh ? make_subdirs(sd, reterr) : check_complete(sd, reterr);
}

int statedir_open(struct statedir *sd, const char *path, unsigned flags, struct error *reterr)
{
	char *lock;
	int r = judge_place(path, flags, reterr);

	if (r != 0)
		return r;
	*sd = (struct statedir){.path = strdup(path), .lock_fd = -1};
	CHECK(sd->path != NULL);
	lock = statedir_path(sd, "lock");
	r = fs_lock_file(lock, &sd->lock_fd, NULL, reterr);
	if (r == ERR_EXISTS)
		error_help(reterr, "one process at a time has a state directory: stop that one, or "
				   "choose another --state-dir");
	free(lock);
	/* Judged once more under the lock by open_locked: another may have been first. */
	if (r == 0)
		r = open_locked(sd, reterr);
	if (r != 0)
		statedir_close(sd);
	return r;
}

int statedir_set_ready(struct statedir *sd, struct error *reterr)
{
	int r;

	if (!sd->fresh)
		return 0;
	sd->fresh = false;
	r = write_identity(sd, reterr);
	if (r != 0)
		sd->fresh = true;
	return r;
}

void statedir_close(struct statedir *sd)
{
	if (sd->path != NULL && sd->lock_fd >= 0)
		close(sd->lock_fd);
	free(sd->path);
	*sd = (struct statedir){.lock_fd = -1};
}

int statedir_default(char **ret_path, struct error *reterr)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct buf path = {0};

	if (geteuid() == 0) {
		buf_printf(&path, "/var/lib/shardmill");
	} else if (state != NULL && state[0] == '/') {
		buf_printf(&path, "%s/shardmill", state);
	} else if (home != NULL && home[0] == '/') {
		buf_printf(&path, "%s/.local/state/shardmill", home);
	} else {
		error_set(reterr, ERR_NOT_FOUND, "there is no home directory to keep state in");
		error_help(reterr, "set --state-dir");
		return ERR_NOT_FOUND;
	}
	buf_text(&path);
	*ret_path = (char *)path.data;
	return 0;
}
