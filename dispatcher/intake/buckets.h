/* Watched directories as buckets: a file that was closed after writing, moved in or linked is an event
 * `Object Created` of source shardmill.bucket.
 *
 * What makes an event: a file is known by its path below the directory, its inode, size and mtime. While
 * these stay, it is one event, however often it is listed: also over restarts, chmod, and hard links
 * elsewhere. A file that is written anew, touched, replaced or renamed has another of these and is a new
 * event. So is a file that was moved out, was missed by a rescan, and is moved in again after the
 * deduplication window; within the window it is not.
 *
 * What is left out: names that begin with a dot, *.tmp and *.part, symbolic links, and what is no regular
 * file; in every folder below. `status` counts them, and the log names the first of each kind.
 *
 * inotify tells at once. A scan at start, after the queue overflowed and each bucket_rescan finds what it did
 * not tell: every file that is not among those that were taken (bucket_taken.h), whatever its times are. A
 * file that somebody has open for writing is left for later. The journaled watermark, a change time (ctime),
 * is needed only when the list of files that were taken was lost: older files then count as taken.
 *
 * The directory itself is looked at each second. When it is removed, replaced, or covered by a mount, this is
 * told, and what stands at its path is taken up: each directory has a list of its own, so that one that comes
 * back is known again.
 *
 * A thread of the directory's own makes all calls that its file system may keep: while it does not answer,
 * nothing of it is taken, `status` tells so after 10 s, and nobody else waits. */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "base/types.h"

struct buckets;
struct request;
struct services;

/* For status: [{"path", "error" (or null), "files" that were taken, "left_out": {kind: count}}]. */
json_t *buckets_json(const struct services *s);

/* Offers what is in a watched directory already to one rule. `bucket` is a directory as it was told or as it
 * is; NULL: the only one. The first call starts it, further ones with the same arguments tell how far it is;
 * when it has ended, the first one that tells so forgets it. ERR_NOT_FOUND, ERR_INVALID. */
int buckets_apply(struct services *s, const char *rule, const char *bucket, usec_t since_us, json_t **ret,
		  struct error *reterr) MUST_CHECK;
