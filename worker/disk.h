/* Is the file system that attempts write to full? A program that does not look at what write(2) says ends
 * well all the same, with half an output. Thread: any. */
#pragma once

#include "base/error.h"

/* Nothing more could be written there: no block is left for us, or our quota is used up. fd: of any file
 * there. */
bool disk_is_full(int fd);
/* However much was freed there, so many bytes would not fit: they are more than half of what it holds in all,
 * and what is copied is there twice. Fills reterr then. */
bool disk_is_too_small(int fd, uint64_t bytes, struct error *reterr);
/* Is it full? Found by asking for room behind the end of a file that is not needed any more, which also finds
 * quotas of directories and of groups. */
bool disk_refuses(int fd, uint64_t size);
