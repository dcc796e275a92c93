/* The directory that attempts of a slot start in, one after the other: each finds it empty, whatever the one
 * before did to it, or somebody did to the directories above. Thread: the slot's. */
#pragma once

#include <sys/types.h>

#include "worker/machine/home.h"

struct scratch {
	struct home *home;
	char name[64];	 /* below the home */
	char path[4096]; /* changes when it has to be made anew */
	int fd;
	unsigned slot;
	const char *suffix;
	dev_t device;
	ino_t inode;
};

/* Makes it. suffix: of its name, lives on. On failure nothing is to be closed. */
int scratch_open(struct scratch *s, struct home *home, unsigned slot, const char *suffix,
		 struct error *reterr) MUST_CHECK;
/* Before an attempt: it is there, ours, open to us alone, and empty; else it is made anew, by another name,
 * and the worker's directory, too, if that is gone. */
int scratch_ready(struct scratch *s, struct error *reterr) MUST_CHECK;
/* After an attempt. */
void scratch_tidy(struct scratch *s);
/* Removes it. Accepts one that was never opened, all zero. */
void scratch_close(struct scratch *s);
