/* Bugs planted in the cores (base/plant.h), one chosen at run time in the build that has them. */
#pragma once

#include "base/types.h"

/* Negative when this build has no such bug. */
int plants_choose(const char *name);
/* Runs seeds 1..last with each bug until it is found; a table on stdout. 0 when all were found. */
int plants_find_all(uint64_t last_seed);
