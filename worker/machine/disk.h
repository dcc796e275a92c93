/* Is the file system that attempts write to full? A program that does not look at what write(2) says ends
 * well all the same, with half an output. Thread: any. */
#pragma once

#include <stdatomic.h>

#include "base/clock.h"
#include "base/error.h"

/* One disk, as all slots of a worker have seen it; all zero at first. */
struct disk_watch {
	_Atomic usec_t look_at_us, full_at_us;
};

/* Nothing more could be written there: less than 64 KiB are left for us, or our quota is used up. fd: of any
 * file there. */
bool disk_is_full(int fd);
/* Looks whether it is full, unless that is too early. Returns when to look again: before 4 GiB/s could have
 * filled it, 1 to 250 ms from now. What is filled and freed again between two looks is not seen. */
usec_t disk_look(struct disk_watch *w, int fd, usec_t now_us);
/* Was it full at a look since then? */
bool disk_was_full(struct disk_watch *w, usec_t since_us);
/* However much was freed there, so many bytes would not fit: they are more than half of what it holds in all,
 * and what is copied is there twice. Fills reterr then. */
bool disk_is_too_small(int fd, uint64_t bytes, struct error *reterr);
/* Is it full? Found by asking for room behind the end of a file that is not needed any more, which also finds
 * quotas of directories and of groups. */
bool disk_refuses(int fd, uint64_t size);
