/* The last good version of each rule's file, kept in the state directory under the file's name. What cannot
 * be written is told, and costs only what happens at a restart with a broken file. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* The copy's text, appended. ERR_NOT_FOUND: there is none. */
int rule_copy_read(const char *copies, const char *file, struct buf *ret, struct error *reterr) MUST_CHECK;
/* Nothing is written when it is the same. */
void rule_copy_write(const char *copies, const char *file, struct bytes text);
void rule_copy_remove(const char *copies, const char *file);
/* Removes and tells the copies of files that are there no more. */
void rule_copies_sweep(const char *copies, bool (*is_there)(void *arg, const char *file), void *arg);
