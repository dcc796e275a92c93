/* Watched directories as buckets: a file that was closed after writing, or moved in, is an event
 * `Object Created` of source shardmill.bucket. Hidden names, *.tmp and *.part are ignored, in every
 * folder below; symbolic links are not followed.
 *
 * inotify tells at once; a scan at start, after the queue overflowed and each bucket_rescan finds what it
 * did not tell: files whose change time (ctime, which a move sets too) is not older than the journaled
 * watermark less 5 minutes. Path, inode, size and mtime are the key, so that each is taken once, also
 * over restarts and kill -9. A file that somebody has open for writing is left for later. */
#pragma once

#include "base/error.h"

struct buckets;
struct server;

/* After INPUT_OPEN: it offers at once. ERR_NOT_FOUND, ERR_INVALID for what is no directory. */
int buckets_open(struct server *s, struct error *reterr) MUST_CHECK;
void buckets_close(struct server *s);
