/* What a thread does for the rules: it looks which directory stands at the path, watches it, lists its files,
 * reads those that changed, and keeps copies of the good ones. It parses nothing and knows no rule, so that
 * the loop can go on with its rules while a directory (NFS) does not answer.
 *
 * Thread: a look and its changes belong to the thread between readers_ask and `done`, to the loop else. */
#pragma once

#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"

/* A rule that the loop has. */
struct rule_known {
	uint32_t number;
	char *name; /* of its file; owned */
	struct stat seen;
	bool good; /* not to be read while its file is the same */
};

/* A file that is there. */
struct rule_file {
	char *name;
	uint32_t number; /* of the rule that it is; 0: of none */
	struct stat seen;
	bool is_read; /* false: it is as it was */
	int rc;
	struct error error;
	struct buf text;
	bool is_copied; /* the copy of the last good version is the text */
	int copy_rc;
	struct error copy_error;
	struct buf copy; /* empty when is_copied */
};

enum rules_dir_state {
	RULES_DIR_SAME,
	RULES_DIR_OTHER, /* notify_fd watches it */
	RULES_DIR_GONE,
	RULES_DIR_UNWATCHABLE,
};

struct rules_look {
	/* What the loop sets. */
	const char *dir, *copies;
	struct stat dir_seen;
	bool is_new; /* nothing is watched: whatever stands there is another one */
	bool reads;  /* also while it is the same */
	struct rule_known *known;
	size_t known_count;

	/* What was found. */
	enum rules_dir_state what;
	int number; /* errno of RULES_DIR_GONE */
	struct error dir_error;
	struct stat dir_now;
	int notify_fd; /* inotify; -1: none. Whoever takes it sets -1. */
	bool is_listed;
	int rc; /* of the listing */
	struct error error;
	struct rule_file *files; /* by name */
	size_t file_count;
};

void rules_look_run(struct rules_look *look);
void rules_look_fini(struct rules_look *look);

/* Copies that are to be written, or removed. */
struct rule_change {
	char *name;
	bool is_removed;
	struct buf text;
};

struct rule_changes {
	struct rule_change *items;
	size_t count, capacity;
};

/* text NULL: the copy is to be removed. Takes what is in it. */
void rule_changes_add(struct rule_changes *c, const char *name, struct buf *text);
void rule_changes_make(const struct rule_changes *c, const char *copies);
void rule_changes_fini(struct rule_changes *c);
