#include "jobs/file_tag.h"

#include <stdio.h>

size_t file_tag(uint64_t inode, uint64_t size_bytes, int64_t mtime_ns, char buf[FILE_TAG_BYTES_MAX])
{
	return (size_t)snprintf(buf, FILE_TAG_BYTES_MAX, "%llx-%llx-%llx", (unsigned long long)inode,
				(unsigned long long)size_bytes, (unsigned long long)mtime_ns);
}
