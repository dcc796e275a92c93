/* A control group of a worker's own, <parent>/<prefix><worker id>, below which the worker makes others. It is
 * locked (flock) while the worker lives, so that a later worker of the same parent finds what a dead one
 * left. */
#pragma once

#include <stddef.h>

#include "jobs/schema.h"

struct cgroup_root {
	char path[4200];
	int fd; /* of the directory, locked; -1: none */
};

/* 0, or -1 with errno; then there is none. */
int cgroup_root_make(const char *parent, const char *prefix, const struct uuid *worker,
		     struct cgroup_root *ret) MUST_CHECK;
/* Lets go of it and removes it, if nothing is below it any more. */
void cgroup_root_close(struct cgroup_root *r);

/* For each such group below parent whose worker is gone: `remove` each group below it, and then itself. */
void cgroup_root_sweep(const char *parent, const char *prefix, void (*remove)(const char *path, void *arg),
		       void *arg);
/* For each group below that one. */
void cgroup_root_each(const char *path, void (*fn)(const char *path, void *arg), void *arg);
