/* The state directory: whose state this is, and that one process at a time has it.
 *
 *   identity   "format: 1", "cluster: <32 hex digits>", "state: new" or "ready"
 *   lock       held as long as the directory is open; holds the process id
 *   journal/ plans/ keys/ output/      (keys/ mode 0700)
 *   history.db                         the history's own; may be rebuilt, so it may be missing
 *
 * Missing state is never taken for empty state:
 *   - A missing or empty directory is refused unless the caller says STATEDIR_CREATE: a disk that
 *     is not mounted looks just like that. A person says so (`--init`), or `shardmill up` for a
 *     directory in its own default place.
 *   - Content without an identity is refused (but for what a creation that crashed leaves: our
 *     lock, temporary identities, our empty subdirectories).
 *   - The identity starts as `new`. The journal's owner calls statedir_set_ready when its first
 *     segment is synced, before anything is accepted. From then on a missing subdirectory or an
 *     empty journal/ is damage (ERR_CORRUPT), in words; while `new`, nothing was ever accepted
 *     and the journal may be begun again.
 * Network file systems are refused: their locks and syncs do not hold what we promise. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define STATEDIR_FORMAT 1u
#define CLUSTER_ID_HEX 32u

enum statedir_flags { STATEDIR_CREATE = 1 };

struct statedir {
	char *path; /* as given */
	int lock_fd;
	bool fresh;			     /* `new`: no journal was ever completed here */
	char cluster_id[CLUSTER_ID_HEX + 1]; /* small hex digits */
};

/* ERR_NOT_FOUND: missing or empty, and not told to create; ERR_EXISTS: another process has it (its
 * id is in the text); ERR_INVALID: content of others, or a network file system; ERR_VERSION;
 * ERR_CORRUPT. On success statedir_close is due. */
int statedir_open(struct statedir *sd, const char *path, unsigned flags, struct error *reterr) MUST_CHECK;
/* The journal has its first synced segment. Once; later calls do nothing. */
int statedir_set_ready(struct statedir *sd, struct error *reterr) MUST_CHECK;
/* Lets the lock go. An all-zero or closed one is fine. */
void statedir_close(struct statedir *sd);
/* A path inside: statedir_path(sd, "journal"); free it. */
char *statedir_path(const struct statedir *sd, const char *name) MUST_CHECK;
/* Where state lives when nobody says: /var/lib/shardmill for root, else
 * $XDG_STATE_HOME/shardmill or ~/.local/state/shardmill; ERR_NOT_FOUND without a home. Free it. */
int statedir_default(char **ret_path, struct error *reterr) MUST_CHECK;
