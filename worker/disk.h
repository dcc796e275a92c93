/* Is the file system that attempts write to full? A program that does not look at what write(2) says ends
 * well all the same, with half an output. Thread: any. */
#pragma once

#include "base/types.h"

/* Nothing more could be written there: no block is left for us, or our quota is used up. fd: of any file
 * there. */
bool disk_is_full(int fd);
/* What it holds in all, used or not; 0: it does not say. */
uint64_t disk_bytes(int fd);
/* Is it full? Found by asking for room behind the end of a file that is not needed any more, which also finds
 * quotas of directories and of groups. */
bool disk_refuses(int fd, uint64_t size);
