/* Which attempts run now: the worker's file of notes (jobs/output_index.h), for people who look on while an
 * attempt writes. It costs one pwrite an attempt, and nothing else depends on it: a file that cannot be
 * written is removed, and its worker is one that shows nothing. Threads: notes_write any; the others under
 * the output directory's lock. */
#pragma once

#include <stdatomic.h>

#include "jobs/output_index.h"

#define NOTES_NO_PLACE UINT32_MAX

struct notes {
	int dir_fd; /* the worker's directory; not owned */
	int fd;	    /* -1: there is no file */
	_Atomic bool broken;
	bool *taken; /* places */
	uint32_t count;
};

void notes_open(struct notes *n, int dir_fd);
/* Removes the file. */
void notes_close(struct notes *n);
/* A place without a note; NOTES_NO_PLACE when there are too many. */
uint32_t notes_take(struct notes *n);
void notes_give_back(struct notes *n, uint32_t place);
/* NULL: nothing runs there. */
void notes_write(struct notes *n, uint32_t place, const struct output_note *note);
