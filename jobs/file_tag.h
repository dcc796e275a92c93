/* The eTag that shardmill gives to a file: "inode-size-mtime", in hex. Who cuts a file pins it, who
 * reads a range compares it, so that no job mixes two versions of a file. Pure. */
#pragma once

#include "base/types.h"

#define FILE_TAG_BYTES_MAX 64

/* NUL-terminated into buf; its length. mtime_ns is st_mtim in nanoseconds since 1970. */
size_t file_tag(uint64_t inode, uint64_t size_bytes, int64_t mtime_ns, char buf[FILE_TAG_BYTES_MAX]);
