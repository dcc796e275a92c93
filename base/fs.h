/* Small helpers for files. All block; errors carry the path in where. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/types.h"

/* Appends a regular file's content to *ret; more than max_bytes is ERR_LIMIT and no such file
 * ERR_NOT_FOUND. A directory, pipe or device is refused, so that nothing hangs on it. */
int fs_read_file(const char *path, size_t max_bytes, struct buf *ret, struct error *reterr) MUST_CHECK;
/* The whole new content or the old one, also after a crash: a temporary file beside it
 * (".NAME.tmp-PID"), fsync, rename, fsync of the directory. */
int fs_write_file(const char *path, struct bytes content, mode_t mode, struct error *reterr) MUST_CHECK;
/* mkdir -p; each new directory is synced into its parent. An existing one is left as it is. */
int fs_make_dirs(const char *path, mode_t mode, struct error *reterr) MUST_CHECK;
/* One directory in a place that all may write to (/tmp): made with mode 0700, or there already, ours, and
 * nobody else's to look into. ERR_DENIED: it is a link or another's, or its mode lets others in. */
int fs_make_private_dir(const char *path, struct error *reterr) MUST_CHECK;
int fs_sync_dir(const char *path, struct error *reterr) MUST_CHECK;
/* Takes the lock of a file (made when missing, mode 0600) for as long as *ret_fd is open and
 * writes our process id into it. Held by another process: ERR_EXISTS, with its id in the text and
 * in *ret_holder (may be NULL; 0 = unknown).
 * flock(2): it belongs to the open file, so a child that inherits the descriptor holds it too;
 * the descriptor is close-on-exec. The file must never be deleted while others may lock it. */
int fs_lock_file(const char *path, int *ret_fd, pid_t *ret_holder, struct error *reterr) MUST_CHECK;
/* "NFS", "SMB", … when path is on a file system where locks and fsync do not mean what we need;
 * NULL when not, or when it cannot be told. */
const char *fs_network_name(const char *path);
/* The same for a statfs(2) f_type. */
const char *fs_network_name_of(unsigned long type);
