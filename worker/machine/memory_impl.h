/* What memory.c (who bounds), memory_cgroup.c and memory_rlimit.c share. */
#pragma once

#include "worker/machine/memory.h"

/* Finds a place for our groups, and makes the root there. The error says what is in the way. */
int memory_cgroup_open(struct memory_bounds *b, const char *group, const struct uuid *worker,
		       struct error *reterr) MUST_CHECK;
/* What workers that are no more have left below the same parent. */
void memory_cgroup_sweep(struct memory_bounds *b);
void memory_cgroup_close(struct memory_bounds *b);
int memory_cgroup_make(struct memory_group *g, const struct memory_bounds *b, const char *name,
		       struct error *reterr) MUST_CHECK;
void memory_cgroup_remove(struct memory_group *g);
void memory_cgroup_begin(struct memory_group *g);
void memory_cgroup_kill(const struct memory_group *g);
/* Until nothing is in it. */
void memory_cgroup_empty(const struct memory_group *g);
enum memory_verdict memory_cgroup_verdict(const struct memory_group *g);

bool memory_words_say_so(const char *words);
