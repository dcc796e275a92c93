/* Files as one stream, so that the result of several files is one output. Format: POSIX.1-1988 ustar. */
#pragma once

#include "base/error.h"

/* Appends a regular file, mode 0644, without owner or time: the same input gives the same bytes. name: at
 * most 99 bytes. ERR_IO. */
int tar_add(int out, const char *name, const char *path, struct error *reterr) MUST_CHECK;
int tar_end(int out, struct error *reterr) MUST_CHECK;
