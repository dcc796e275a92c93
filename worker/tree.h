/* Directories that others write into: looked at, emptied, removed. */
#pragma once

#include "base/types.h"

/* Of an open directory: has it nothing in it? false when that cannot be told. */
bool tree_is_empty(int dir_fd);
/* Removes all that is in it. What cannot be removed stays. */
void tree_clear(const char *path);
/* The directory, too; false when it stays, and errno tells why. */
bool tree_remove(const char *path);
