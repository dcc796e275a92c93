/* Directories that others write into: looked at, emptied, removed. All by descriptor, and no link is
 * followed: whoever writes there may move and replace things meanwhile. */
#pragma once

#include "base/types.h"

/* Has it nothing in it? false when that cannot be told. */
bool tree_is_empty(int dir_fd);
/* Removes all that is in it. What cannot be removed stays. */
void tree_clear(int dir_fd);
/* The directory of that name, too (openat(2)); a link or a file of that name as well. false when it stays,
 * and errno tells why. */
bool tree_remove(int parent_fd, const char *name);
